"""What can go wrong, named by what has to be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class SignpostError(Exception):
    """Base of every error that Signpost raises on purpose; its text is a sentence for a person."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of a configuration file. `path` is dotted, e.g. `channels.relay.port`; `line` counts from 1."""

    file: str
    line: int
    path: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """`file:line: path: what; hint`."""
        where = f"{self.file}:{self.line}: " + (f"{self.path}: " if self.path else "")
        return where + self.what + (f"; {self.hint}" if self.hint else "")


class ConfigError(SignpostError):
    """The configuration can't be used: every problem at once. Exit status 78 (EX_CONFIG of sysexits.h)."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class Refused(SignpostError):
    """A message was not accepted and nothing was stored; the sender is told why."""

    status = 400


class TooLarge(Refused):
    """The message is larger than we take."""

    status = 413


class Malformed(Refused):
    """The request isn't what this channel expects."""

    status = 400


class NotAuthentic(Refused):
    """The request isn't from whom it says."""

    status = 403


class SourceUnavailable(SignpostError):
    """A source can't be reached: reconnect, with jittered backoff."""


class SourceRejected(SignpostError):
    """A source refused our credentials: tell a person, retry slowly."""


class DeliveryError(SignpostError):
    """An attempt to deliver failed."""


class Retryable(DeliveryError):
    """Try again later. `retry_after` in seconds, where the other side named a time.

    `host` says whether the whole destination is in trouble, or only this one recipient or message.
    """

    def __init__(self, reason: str, retry_after: float | None = None, *, host: bool = True) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.host = host


class Permanent(DeliveryError):
    """The destination will never take this: bury it and tell a person."""


class Unclear(DeliveryError):
    """The answer was lost after the last byte: it may have arrived (RFC 1047)."""


class ModelUnavailable(SignpostError):
    """No model can answer: the fallback department gets the message, and a person is told."""


class BadArtifact(ModelUnavailable):
    """A model file is damaged, foreign or tampered with."""


class StoreBusy(SignpostError):
    """The store can't take a write now: refuse with 503 or 451 before accepting."""


class StoreBroken(SignpostError):
    """The store can't be trusted any more: stop."""


class NotFound(SignpostError):
    """There is no such message, delivery, correction, model or department."""


class Conflict(SignpostError):
    """The request is understood but what it asks for doesn't fit the present state."""
