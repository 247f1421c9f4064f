"""What a check says (`signpost check --connect`): findings, each one sentence, with the remedy where there is need."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How good what a check found is."""

    FINE = "fine"
    REMARK = "remark"  # it works, and a person should know all the same
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found out about one thing: a sentence, and how to mend it where it isn't fine."""

    level: Level
    what: str
    mend: str = ""


Checking = AsyncGenerator[str | Finding, None]
"""What a check is about to do (a str), and what it found."""


def fine(what: str) -> Finding:
    """Return that something works."""
    return Finding(Level.FINE, what)


def remark(what: str, mend: str = "") -> Finding:
    """Return that something works, with something to know or to do about it."""
    return Finding(Level.REMARK, what, mend)


def failed(what: str, mend: str) -> Finding:
    """Return that something doesn't work, and how to mend it."""
    return Finding(Level.FAILED, what, mend)
