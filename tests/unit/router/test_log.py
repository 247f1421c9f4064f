"""Logs: one JSON object a line, and nothing personal."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import io, sys
from router import log
logger = log.configure(stream=sys.stdout, pretty=False)
logger.info("message_accepted", message_id="0WE2", bytes=7, sender="ana@home.example", text="secret words")
try:
    raise ValueError("a bug")
except ValueError:
    logger.exception("worker_failed", worker="decide-0")
logger.debug("chatter")
logger.info("odd", why="\\ud83d", what=object)
import logging
logging.getLogger("some.library").warning("can't reach %s", "10.0.0.7")
logging.getLogger("aiohttp.server").error("Error handling request from %s", "10.0.0.7")
"""


def test_each_event_is_one_line_of_json():
    """Facts with ids go out, also at the very end of a process; private keys are blanked; a traceback is a field."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    accepted, failed, odd, library = [json.loads(line) for line in done.stdout.splitlines()]
    assert (accepted["event"], accepted["message_id"], accepted["level"]) == ("message_accepted", "0WE2", "info")
    assert (accepted["sender"], accepted["text"]) == ("[redacted]", "[redacted]")
    assert failed["exception"].startswith("ValueError")
    assert "a bug" not in done.stdout, "an error's own words may quote a message"
    assert (odd["why"], odd["what"]) == ("\ud83d", "<class 'object'>"), "what UTF-8 or JSON can't hold is written, too"
    assert (library["logger"], library["what"]) == ("some.library", "can't reach %s")
    assert "10.0.0.7" not in done.stdout
