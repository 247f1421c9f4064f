"""Logs: one JSON object a line on standard output; facts with ids, never a message's text, an address or a secret."""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import structlog
from pydantic_core import to_json

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

# What must never be a key of a log line; a test logs through every stage and greps.
PRIVATE = frozenset(
    {"text", "subject", "body", "sender", "recipient", "to", "phone", "email", "name", "password", "token", "secret"}
)
_PAUSE_S = 0.05  # lines of this while go out together
_MOST_WAITING = 50_000  # lines, should standard output be blocked
_STANDARD_ERROR = 2
_LAST_WORDS_S = 2.0  # for the last lines, should nobody read them
_SILENT = ("aiohttp.server",)
_QUIET = ("aiohttp.access", "aiosmtpd", "mail.log", "asyncio", "sqlalchemy.engine", "alembic")


def configure(*, level: str = "info", stream: TextIO | None = None, pretty: bool | None = None) -> FilteringBoundLogger:
    """Set up logging once, at start, and return the root logger. Pretty lines only for a terminal.

    `stream` is a file of the system, by default standard output.
    """
    stream = stream or sys.stdout
    if stream is None:  # the process was started without a standard output
        stream = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lives
    if pretty is None:
        pretty = stream.isatty()
    number = logging.getLevelNamesMapping()[level.upper()]
    lines = _Lines(stream.fileno(), pretty=pretty)
    atexit.register(lines.close)
    _bridge_standard_logging(lines, number)
    structlog.configure(
        processors=[_hand_over],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lines,
        cache_logger_on_first_use=True,
    )
    logger: FilteringBoundLogger = structlog.get_logger().bind()  # a lazy one looks for itself at every line
    return logger


def close() -> None:
    """Write the last lines. Nothing on standard output can keep the process from ending afterwards."""
    lines = structlog.get_config()["logger_factory"]
    if isinstance(lines, _Lines):
        lines.close()


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank what must not be logged, should somebody pass it all the same."""
    if not PRIVATE.isdisjoint(event):
        for key in PRIVATE & event.keys():
            event[key] = "[redacted]"
    return event


def trace(error: BaseException) -> str:
    """Return a traceback without the errors' own words: those may quote a message."""
    lines = [f"{type(error).__name__}\n", *traceback.format_tb(error.__traceback__)]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "".join(lines) + (f"caused by {trace(cause)}" if cause is not None else "")


def _hand_over(_logger: WrappedLogger, method: str, event: EventDict) -> tuple[tuple[float, str, EventDict], EventDict]:
    """End the event loop's part of a line: the rest is the writing thread's, which makes many at a time."""
    if "exc_info" in event:  # only here it is known what `True` means
        given = event.pop("exc_info")
        error = given if isinstance(given, BaseException) else sys.exc_info()[1]
        if error is not None:
            event["exception"] = trace(error)
    return (time.time(), method, event), {}


def _finished(at: float, method: str, event: EventDict) -> EventDict:
    event["level"] = method
    second = int(at)
    event["timestamp"] = f"{_to_the_second(second)}.{int((at - second) * 1e6):06}Z"
    return redact(None, method, event)


@lru_cache(maxsize=2)
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _as_json(event: EventDict) -> str:
    try:
        return to_json(event, fallback=repr).decode()  # a third of the time that `json` takes
    except ValueError:  # half a surrogate pair, say
        return json.dumps(event, default=repr)


class _Lines:
    """A file written by a thread of its own, so that a blocked standard output can't stall the event loop.

    Waking that thread for each line would cost more than making the line, so it writes twenty times a second, and at
    once what is urgent. It holds no lock while it writes: the process can end although the thread is stuck. This is
    what structlog asks for a logger, and that logger.
    """

    def __init__(self, descriptor: int, *, pretty: bool) -> None:
        self._descriptor = descriptor
        console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        self._render = partial(console, None, "") if pretty else _as_json
        self._events: deque[tuple[float, str, EventDict]] = deque()
        self._dropped = 0
        self._closing = False
        self._due = threading.Event()
        self._urgent = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def __call__(self, *_args: object) -> _Lines:
        """Return what takes the lines."""
        return self

    def info(self, at: float, method: str, event: EventDict) -> None:
        """Take one line."""
        if len(self._events) >= _MOST_WAITING:
            self._dropped += 1
            return
        self._events.append((at, method, event))
        if not self._due.is_set():
            self._due.set()

    debug = warning = msg = info

    def error(self, at: float, method: str, event: EventDict) -> None:
        """Take one line that says that something is wrong."""
        self.info(at, method, event)
        self._urgent.set()

    critical = exception = error

    def close(self, within_s: float = _LAST_WORDS_S) -> None:
        """Write what waits; if nobody reads it in time, give up standard output, so that nothing else waits for it."""
        self._closing = True
        self._due.set()
        self._urgent.set()
        self._thread.join(within_s)
        if self._thread.is_alive():
            _give_up(self._descriptor)

    def _run(self) -> None:
        while not self._closing or self._events:
            self._due.wait()
            self._urgent.wait(_PAUSE_S)
            self._due.clear()  # before the lines are taken: what comes from here on is due again
            self._urgent.clear()
            self._flush()

    def _flush(self) -> None:
        events = [self._events.popleft() for _ in range(len(self._events))]
        dropped, self._dropped = self._dropped, 0
        if dropped:
            events.append((time.time(), "warning", {"event": "log_lines_dropped", "count": dropped}))
        text = "".join([f"{self._render(_finished(*event))}\n" for event in events])
        try:
            _write(self._descriptor, text.encode("utf-8", "backslashreplace"))
        except OSError:  # a full disk, or a reader that is gone: no reason to stop
            self._dropped += dropped + len(events) - bool(dropped)  # the line that counted them isn't one of them


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _give_up(descriptor: int) -> None:
    """Lead a file that takes nothing more to nowhere; standard error too, where it is the same file."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):  # there may be no standard error
        if os.path.sameopenfile(descriptor, _STANDARD_ERROR):
            os.dup2(nowhere, _STANDARD_ERROR)
    os.dup2(nowhere, descriptor)


class _Bridge(logging.Handler):
    """Lets libraries' warnings through, without what they were filled in with: that may be an address or a text."""

    def __init__(self, lines: _Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        event: EventDict = {"event": "library", "logger": record.name}
        if record.args:
            event["what"] = str(record.msg)[:200]  # the template alone
        if record.exc_info and record.exc_info[1] is not None:
            event["exception"] = trace(record.exc_info[1])
        self._lines.info(time.time(), record.levelname.lower(), event)


def _bridge_standard_logging(lines: _Lines, level: int) -> None:
    logging.basicConfig(handlers=[_Bridge(lines)], level=max(level, logging.WARNING), force=True)
    for name in _SILENT:  # what strangers send to a web server is no error of ours
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
