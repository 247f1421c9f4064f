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
"""


def test_each_event_is_one_line_of_json():
    """Facts with ids go out, also at the very end of a process; private keys are blanked; a traceback is a field."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    accepted, failed = [json.loads(line) for line in done.stdout.splitlines()]
    assert (accepted["event"], accepted["message_id"], accepted["level"]) == ("message_accepted", "0WE2", "info")
    assert (accepted["sender"], accepted["text"]) == ("[redacted]", "[redacted]")
    assert "ValueError: a bug" in failed["exception"]
