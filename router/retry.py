"""When to try a delivery again, and when to stop: pure functions of the delivery, the failure and the time."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from router.errors import DeliveryError, Permanent, Retryable, Unclear
from router.records import DeliveryState

if TYPE_CHECKING:
    from random import Random

    from router.records import Delivery

_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"']+@[^\s<>()\[\],;:\"']+")
REASON_LIMIT = 300
_ALERT_WAITS = timedelta(seconds=50)  # at most a minute with jitter: a relay that is back must not wait for an alarm
ANSWERS_LAST = timedelta(days=1)  # an automatic answer that comes later than this is worth nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a delivery after a failed attempt.

    `state` is waiting (then `next_attempt_at` is set), unclear, dead or dropped; `unclear` is the delivery's new count
    of lost answers; `reason` is one line of at most 300 characters without addresses.
    """

    state: DeliveryState
    reason: str
    unclear: int
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Doubling waits with jitter until a delivery is too old; the defaults are those of DESIGN section 7."""

    first: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(hours=1)
    jitter: float = 0.2
    give_up_after: timedelta = timedelta(days=5)
    longest_asked: timedelta = timedelta(days=1)  # more than this a server can't ask for
    first_after_return: timedelta = timedelta(hours=1)
    most_unclear: int = 2
    gives_up_as: DeliveryState | None = None  # instead of dead or unclear, where no person is to look at it

    def for_answers(self) -> RetryPolicy:
        """Return the policy for automatic answers: for a day, never after a lost confirmation, then dropped."""
        return replace(self, give_up_after=ANSWERS_LAST, most_unclear=1, gives_up_as=DeliveryState.DROPPED)

    def for_alerts(self) -> RetryPolicy:
        """Return the policy for alerts about urgent messages: about once a minute, whatever the other side asks for."""
        return replace(
            self, longest=min(self.longest, _ALERT_WAITS), longest_asked=min(self.longest_asked, _ALERT_WAITS)
        )

    def next_attempt_at(
        self, attempts: int, created_at: datetime, now: datetime, rng: Random, retry_after: float | None = None
    ) -> datetime | None:
        """Return when to try again, None if the delivery is too old.

        `attempts` counts those made so far, the failed one included; `retry_after` is the wait in seconds the other
        side asked for: never sooner than that, unless it is absurd. The last attempt may come one wait after the age
        limit.
        """
        if now - created_at >= self.give_up_after:
            return None
        wait = self._backoff(attempts) * rng.uniform(1 - self.jitter, 1 + self.jitter)
        return now + max(wait, self._asked(retry_after) * rng.uniform(1, 1 + self.jitter))

    def after_return(self, delivery: Delivery, now: datetime, rng: Random) -> datetime | None:
        """Return when to send again what a mail server took and sent back for a passing reason, None if it is too old.

        Much later than after a refusal, and each time twice as late: the server has tried for a while, too.
        """
        asked_s = self.first_after_return.total_seconds() * (1 << min(max(delivery.attempts - 1, 0), 32))
        return self.next_attempt_at(delivery.attempts, delivery.created_at, now, rng, asked_s)

    def _backoff(self, attempts: int) -> timedelta:
        doublings = min(max(attempts - 1, 0), 32)
        return min(self.first * (1 << doublings), self.longest)

    def _asked(self, retry_after: float | None) -> timedelta:
        if retry_after is None or not retry_after > 0:  # not a number counts as not said
            return timedelta(0)
        return timedelta(seconds=min(retry_after, self.longest_asked.total_seconds()))

    def after(self, delivery: Delivery, error: BaseException, now: datetime, rng: Random) -> Verdict:
        """Return what becomes of a delivery whose attempt raised `error`.

        `delivery.attempts` counts the failed attempt, `delivery.unclear` doesn't yet. An exception that isn't a
        `DeliveryError` is retryable, and only its type is told.
        """
        unclear = isinstance(error, Unclear)
        lost = delivery.unclear + unclear
        reason = describe(error)
        if isinstance(error, Permanent):
            return Verdict(state=self._end(DeliveryState.DEAD), reason=_with_doubt(reason, lost), unclear=lost)
        if unclear and lost >= self.most_unclear:
            return Verdict(state=self._end(DeliveryState.UNCLEAR), reason=reason, unclear=lost)
        asked = error.retry_after if isinstance(error, Retryable) else None
        at = self.next_attempt_at(delivery.attempts, delivery.created_at, now, rng, asked)
        if at is None:
            state = self._end(DeliveryState.UNCLEAR if unclear else DeliveryState.DEAD)
            return Verdict(state=state, reason=_with_doubt(f"gave up: {reason}", lost), unclear=lost)
        return Verdict(state=DeliveryState.WAITING, reason=reason, unclear=lost, next_attempt_at=at)

    def _end(self, otherwise: DeliveryState) -> DeliveryState:
        return self.gives_up_as or otherwise


def describe(error: BaseException) -> str:
    """Return why an attempt failed, as one safe line; of an exception nobody meant, only the type."""
    text = str(error) if isinstance(error, DeliveryError) else f"unexpected {type(error).__name__}"
    return one_line(text) or type(error).__name__


def one_line(text: str, limit: int = REASON_LIMIT) -> str:
    """Return `text` as one printable line of at most `limit` characters, e-mail addresses masked."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * limit])
    shown = _ADDRESS.sub("(address)", " ".join(printable.split()))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _with_doubt(reason: str, lost: int) -> str:
    note = " (an earlier attempt may have arrived)" if lost else ""
    return one_line(reason, REASON_LIMIT - len(note)) + note
