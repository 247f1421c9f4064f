"""How far a message has come, as its writer may know it: times and nothing else, neither content nor department."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Times in the district's time zone; None for what hasn't happened yet."""

    reference: str  # the message's id
    received_at: datetime
    decided_at: datetime | None = None  # the department was chosen that has it now
    delivered_at: datetime | None = None  # it lies with that department
    waits_for_person: bool = False  # somebody has to look at it first


async def nobody_knows(_reference: str) -> Whereabouts | None:
    """Return nothing: for a channel that is built without a store."""
    return None
