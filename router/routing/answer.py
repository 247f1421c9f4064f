"""What a step of routing is, and what it may answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from router.records import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.records import Message, Prediction, Returned

UNDECIDED = frozenset({Reason.ABSTAINED, Reason.MODEL_DOWN, Reason.UNREADABLE, Reason.OBSERVE})
"""Reasons by which nothing was decided: what continues such a message speaks for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A step's answer: send it to this department."""

    department: str
    reason: str
    detail: str = ""
    prediction: Prediction | None = None
    confidence: float | None = None
    suggestions: tuple[str, ...] = ()
    also: tuple[str, ...] = ()  # departments that get it too, since it has a second matter
    school: str = ""  # of the message that this one continues: meant unless this one names another


@dataclass(frozen=True, slots=True)
class Hold:
    """A step's answer: a person has to look first."""

    detail: str
    delivery_id: int = 0  # it answers this delivery of ours by itself: its words are ours
    unless_urgent: bool = False  # an urgent message isn't held for this: it goes to the fallback
    told: bool = False  # people were told of the same words before: they aren't alarmed again


@dataclass(frozen=True, slots=True)
class File:
    """A step's answer: there is nothing to forward."""

    detail: str
    delivery_id: int = 0  # it does nothing but report on this delivery of ours: its words are ours
    returned: Returned | None = None


@dataclass(frozen=True, slots=True)
class MarkUrgent:
    """A step's remark: tell people at once. It doesn't end the list of steps."""

    detail: str


@dataclass(frozen=True, slots=True)
class Follow:
    """A step's answer: send it where another message of the same batch goes, if anybody knows where that is."""

    message_id: str


@dataclass(frozen=True, slots=True)
class Tagged:
    """A step's remark: what else the message is. It doesn't end the list of steps."""

    tags: tuple[str, ...]


Answer = Route | Hold | File | Follow | MarkUrgent | Tagged | None


class Step(Protocol):
    """One step of routing. The first answer that isn't a remark wins."""

    name: str

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Return one answer per message, None where this step has nothing to say."""
        ...
