"""Logs: one JSON object a line on standard output; facts with ids, never a message's text, an address or a secret."""

from __future__ import annotations

import atexit
import logging
import logging.handlers
import queue
import sys
from typing import TYPE_CHECKING, TextIO

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

# What must never be a key of a log line; a test logs through every stage and greps.
PRIVATE = frozenset(
    {"text", "subject", "body", "sender", "recipient", "to", "phone", "email", "name", "password", "token", "secret"}
)
_QUIET = ("aiohttp.access", "aiosmtpd", "mail.log", "asyncio", "sqlalchemy.engine", "alembic")


def configure(*, level: str = "info", stream: TextIO | None = None, pretty: bool | None = None) -> FilteringBoundLogger:
    """Set up logging once, at start, and return the root logger. Pretty lines only for a terminal."""
    stream = stream or sys.stdout
    if pretty is None:
        pretty = stream.isatty()
    renderer = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    if not pretty:
        processors.append(structlog.processors.format_exc_info)
    number = logging.getLevelNamesMapping()[level.upper()]
    _bridge_standard_logging(stream, number)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(_Background(stream)),  # type: ignore[arg-type]  # it only writes
        cache_logger_on_first_use=True,
    )
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank what must not be logged, should somebody pass it all the same."""
    for key in PRIVATE & event.keys():
        event[key] = "[redacted]"
    return event


class _Background:
    """A stream written by a thread of its own, so that a blocked standard output can't stall the event loop."""

    def __init__(self, stream: TextIO) -> None:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._queue: queue.Queue[logging.LogRecord] = queue.Queue()
        self._listener = logging.handlers.QueueListener(self._queue, handler)
        self._listener.start()
        atexit.register(self._listener.stop)  # writes what is left

    def write(self, line: str) -> None:
        """Hand one line over."""
        text = line.rstrip("\n")
        if text:
            self._queue.put(logging.LogRecord("signpost", logging.INFO, "", 0, text, None, None))

    def flush(self) -> None:
        """Nothing to do: the thread writes line by line."""


def _bridge_standard_logging(stream: TextIO, level: int) -> None:
    """Let libraries' warnings through; their chatter may hold addresses."""
    logging.basicConfig(stream=stream, level=max(level, logging.WARNING), force=True, format="%(name)s: %(message)s")
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
