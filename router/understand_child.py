"""The child process that parses hostile bytes under limits, and the frames it exchanges with its parent.

It is started as `python -m router.understand_child SPEC`, SPEC being JSON, by `router.understand`. It imports the
named parse function, and nothing heavy besides: its resident memory is what N of them cost the daemon. It also guesses
the language, which is work on the same text.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import asdict, fields
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from router.language import Language
from router.records import Attachment, Content
from router.store.codec import report_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Parse = Callable[[bytes, Mapping[str, Any], str], Content]

_T = TypeVar("_T")
FRAME = struct.Struct("!I")  # the length of what follows, in bytes
_TEXTS = tuple(field.name for field in fields(Content) if field.type == "str")


def encode_content(content: Content) -> bytes:
    """Return a content as JSON; it holds no lone surrogate, so it is UTF-8."""
    shown: dict[str, Any] = {field.name: getattr(content, field.name) for field in fields(Content)}
    shown["attachments"] = [[item.name, item.content_type, item.size] for item in content.attachments]
    shown["headers"] = dict(content.headers)
    shown["report"] = asdict(content.report) if content.report else None
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()


def decode_content(data: bytes) -> Content:
    """Return the content that `encode_content` wrote; raise ValueError for anything else."""
    try:
        shown = json.loads(data)
        if {type(shown[name]) for name in _TEXTS} != {str} or type(shown["hops"]) is not int:
            raise ValueError("a field has the wrong type")
        shown["attachments"] = tuple(_attachment(*item) for item in shown["attachments"])
        for name in ("recipients", "references"):
            shown[name] = _strings(shown[name])
        shown["headers"] = MappingProxyType({str(key): _strings(value) for key, value in shown["headers"].items()})
        shown["report"] = report_from_json(shown["report"]) if shown["report"] else None
        return Content(**shown)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"that is no content ({type(error).__name__})") from error


def _strings(values: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise ValueError("a list of texts holds something else")
    return tuple(values)


def _attachment(name: Any, content_type: Any, size: Any) -> Attachment:
    return Attachment(name=str(name), content_type=str(content_type), size=int(size))


def main(spec: str) -> None:
    """Answer frames on standard input until it ends.

    The first frame out is empty, or says why this child can't work. A function that raises ends the child. A question
    that names a function (`ask`) is answered by it instead, in bytes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the daemon, which drains first
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wanted = json.loads(spec)
    resource.setrlimit(resource.RLIMIT_AS, (wanted["memory"], wanted["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        parse: Parse = _imported(wanted["parse"])
    except Exception as error:  # the parent raises it again, in words
        _send(answers, f"{type(error).__name__}: {error}".encode())
        return
    _send(answers, b"")
    language = Language()
    while (frame := _receive(source)) is not None:
        question, original = json.loads(frame), _receive(source) or b""
        if "ask" in question:
            _send(answers, _limited(_imported(question["ask"]), wanted["cpu"], original, question["wanted"]))
            continue
        content = _limited(parse, wanted["cpu"], original, question["facts"], question["medium"])
        with suppress(Exception):  # no language is better than no content
            content = language.of(content)
        _send(answers, encode_content(content))


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _limited(function: Callable[..., _T], cpu_s: float, *arguments: Any) -> _T:
    """Call with a timer whose signal ends this process: nothing written in C can swallow it."""
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        return function(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _receive(source: BinaryIO) -> bytes | None:
    """Return one frame, None at the end (the parent has closed, or is gone)."""
    head = source.read(FRAME.size)
    if len(head) < FRAME.size:
        return None
    (length,) = FRAME.unpack(head)
    data = source.read(length)
    return data if len(data) == length else None


def _send(answers: BinaryIO, data: bytes) -> None:
    answers.write(FRAME.pack(len(data)) + data)
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
