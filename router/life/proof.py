"""Proof of life: what is known of a channel's working in one direction, and what follows from it. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SILENT_AFTER = timedelta(minutes=10)  # without a proven look, a polled channel is silent; longer where it looks seldom
FIRST_LOOKS = timedelta(minutes=2)  # a daemon that has just started has looked nowhere yet
STEADY = timedelta(minutes=5)  # without a failure: what was told as trouble is over


class Side(StrEnum):
    """A channel may take in and deliver, and one of them may fail while the other works."""

    IN = "in"
    OUT = "out"


class Health(StrEnum):
    """How a channel is; the last two are degraded."""

    WELL = "well"
    UNPROVEN = "unproven"  # nothing has happened yet
    FAILING = "failing"  # the last thing that happened was a failure
    SILENT = "silent"  # it should have looked, and nothing says that it did


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """When a channel was first run, last proven and last failed, and why (a sentence).

    `refused` requests since the last proof didn't prove whose they are, and `refusal` says why of the last of all. That
    is no failure: anybody can send such requests.
    """

    first_at: datetime
    proven_at: datetime | None = None
    failed_at: datetime | None = None
    error: str = ""
    refused: int = 0
    refused_at: datetime | None = None
    refusal: str = ""

    def proven(self, at: datetime) -> Life:
        """Return it after a proof: what failed before is over."""
        return replace(self, proven_at=at, failed_at=None, error="", refused=0)

    def failed(self, at: datetime, error: str) -> Life:
        """Return it after a failure."""
        return replace(self, failed_at=at, error=error)

    def turned_away(self, at: datetime, why: str) -> Life:
        """Return it after a request that didn't prove whose it is."""
        return replace(self, refused=self.refused + 1, refused_at=at, refusal=why)

    def merged(self, other: Life) -> Life:
        """Return what two daemons know together: the newest proof and the newest failure."""
        proofs = [life.proven_at for life in (self, other) if life.proven_at]
        failures = [(life.failed_at, life.error) for life in (self, other) if life.failed_at]
        failed_at, error = max(failures, default=(None, ""))
        refusals = [(life.refused_at, life.refusal) for life in (self, other) if life.refused_at]
        refused_at, refusal = max(refusals, default=(None, ""))
        proven_at = max(proofs, default=None)
        return Life(
            first_at=min(self.first_at, other.first_at),
            proven_at=proven_at,
            failed_at=failed_at,
            error=error,
            refused=max(life.refused for life in (self, other) if life.proven_at == proven_at),
            refused_at=refused_at,
            refusal=refusal,
        )

    @property
    def failing(self) -> bool:
        """Whether it has failed since the last proof."""
        return self.failed_at is not None and (self.proven_at is None or self.failed_at >= self.proven_at)

    def silent(self, now: datetime, limit: timedelta | None) -> bool:
        """Return whether nothing was proven for longer than `limit`; never where there is none."""
        return limit is not None and now - (self.proven_at or self.first_at) > limit

    def health(self, now: datetime, limit: timedelta | None) -> Health:
        """Return how the channel is."""
        if self.failing:
            return Health.FAILING
        if self.silent(now, limit):
            return Health.SILENT
        return Health.WELL if self.proven_at else Health.UNPROVEN

    def steady(self, now: datetime, limit: timedelta | None) -> bool:
        """Return whether it has worked for a while, so that trouble is over."""
        calm = self.failed_at is None or now - self.failed_at >= STEADY
        return calm and self.health(now, limit) is Health.WELL

    def to_json(self) -> dict[str, Any]:
        """Return it as the store keeps it."""
        names = ("first_at", "proven_at", "failed_at", "refused_at")
        times = {name: at.isoformat() for name in names if (at := getattr(self, name))}
        return times | {"error": self.error, "refused": self.refused, "refusal": self.refusal}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Life:
        """Read what the store kept."""
        times = {name: datetime.fromisoformat(at) for name, at in value.items() if name.endswith("_at")}
        return cls(error=value["error"], refused=value.get("refused", 0), refusal=value.get("refusal", ""), **times)


def silent_after(polls: timedelta | None) -> timedelta | None:
    """Return how long a channel may go without a proof, given the longest time between two looks; None: for ever."""
    return None if polls is None else max(SILENT_AFTER, 2 * polls)


# --- what runs out ----------------------------------------------------------------------------------------------------

_SOON = (timedelta(0), timedelta(days=3), timedelta(days=14))


@dataclass(frozen=True, slots=True)
class Expiry:
    """What stops working by itself at a time: a certificate, a secret, a token.

    `renewed` says that Signpost gets the next one by itself whenever it needs one.
    """

    what: str
    at: datetime
    renewed: bool = False

    def step(self, now: datetime) -> timedelta | None:
        """Return which warning is due: 14 days before, 3 days before, none left; None while nobody need do anything."""
        return None if self.renewed else next((step for step in _SOON if self.at - now <= step), None)
