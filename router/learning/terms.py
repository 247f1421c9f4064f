"""What governs learning in a daemon: when to train, how far a challenger is tried, what a training is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, time
    from zoneinfo import ZoneInfo

    from router.learning.order import Order
    from router.records import Department

PAUSE, LONGEST_PAUSE = timedelta(hours=1), timedelta(days=1)  # after a failure; it doubles


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The settings under `learning` that the daemon acts on, with what else it needs. `order` reads secrets."""

    order: Callable[[], Order]
    departments: Sequence[Department]
    target_error: float
    zone: ZoneInfo
    retrain_after: int
    retrain_at: time | None
    within: timedelta
    shadow: int
    shadow_for: timedelta
    keep: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known when it is asked whether to train. Counts are since the last training that ended well."""

    now: datetime
    confirmed: int = 0  # corrections
    changed: int = 0  # corrections that were confirmed or withdrawn
    failures: int = 0
    failed_at: datetime | None = None
    daily_at: datetime | None = None  # when the daily time was last acted on


def why_now(terms: Terms, standing: Standing) -> str:
    """Return why it is time to train, in words; "" if it isn't."""
    if not standing.changed or not rested(standing):
        return ""
    if terms.retrain_after and standing.confirmed >= terms.retrain_after:
        return f"{standing.confirmed} corrections were confirmed"
    if is_time(terms, standing):
        return f"it is {terms.retrain_at:%H:%M}, and {standing.changed} corrections were confirmed or withdrawn"
    return "the last training failed" if standing.failures else ""


def rested(standing: Standing) -> bool:
    """Return whether enough time has passed since the last failure."""
    if not standing.failures or standing.failed_at is None:
        return True
    pause = min(LONGEST_PAUSE, PAUSE * 2 ** min(standing.failures - 1, 10))
    return not standing.failed_at <= standing.now < standing.failed_at + pause


def is_time(terms: Terms, standing: Standing) -> bool:
    """Return whether the daily time has come, by the clock on the wall: once a day, whatever the clocks do.

    An hour that a change of clocks leaves out is over when the clocks have been put forward; one that comes twice was
    acted on the first time. Before it was ever acted on it hasn't come: a daemon's first start is no time to train.
    """
    if terms.retrain_at is None or standing.daily_at is None:
        return False
    local, before = standing.now.astimezone(terms.zone), standing.daily_at.astimezone(terms.zone)
    acted = before.date() == local.date() and before.time() >= terms.retrain_at
    return local.time() >= terms.retrain_at and not acted
