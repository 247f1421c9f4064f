"""The district's business hours: how much of them lies between two moments, whatever the clocks were set to. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NONE = timedelta()
_FAR = 3660  # days: who is never open isn't looked at for ever

Span = tuple[time, time]
"""When a day's hours begin and end; an end at 00:00 is the midnight after."""


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """When people are at work: the hours of each weekday (Monday first; None: closed) but on holidays."""

    zone: ZoneInfo
    week: tuple[Span | None, ...]
    holidays: frozenset[date] = field(default=frozenset())

    def are_on(self, at: datetime) -> bool:
        """Return whether a moment lies within business hours."""
        opened, closed = self._of(at.astimezone(self.zone).date())
        return opened <= at < closed

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Return how much of the business hours lies between two moments, nothing if the second isn't later."""
        if end <= start:
            return _NONE
        days = _days(start.astimezone(self.zone).date(), end.astimezone(self.zone).date())
        return sum((_common(start, end, *self._of(day)) for day in days), _NONE)

    def after(self, start: datetime, span: timedelta) -> datetime | None:
        """Return when so much of the business hours will have passed; None if that isn't within ten years."""
        day = start.astimezone(self.zone).date()
        for ahead in range(_FAR):
            opened, closed = self._of(day + timedelta(days=ahead))
            begin = max(start, opened)
            if closed - begin >= span and closed > begin:
                return begin + span
            span -= max(closed - begin, _NONE)
        return None

    def _of(self, day: date) -> tuple[datetime, datetime]:
        """Return when a day's hours begin and end; a day without any begins and ends at once."""
        span = self.week[day.weekday()]
        return _nothing(day) if span is None or day in self.holidays else _moments(day, span, self.zone)


def week_of(hours: Mapping[str, str]) -> tuple[Span | None, ...]:
    """Return a week from how settings write it, such as {"mon-fri": "08:00-16:30"}; the last word on a day counts."""
    week: list[Span | None] = [None] * 7
    for days, span in hours.items():
        begin, _, end = span.partition("-")
        for day in weekdays(days):
            week[day] = (time.fromisoformat(begin), time.fromisoformat(end))
    return tuple(week)


def weekdays(days: str) -> Iterator[int]:
    """Yield the days (0: Monday) of "mon", "mon-fri" or "fri-mon"."""
    first, _, last = days.partition("-")
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    yield from (day % 7 for day in range(begin, end + 1 if end >= begin else end + 8))


@lru_cache(maxsize=4096)
def _moments(day: date, span: Span, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the moments of a span: an hour that clocks leave out isn't there, one that they repeat counts twice."""
    last = day if span[1] > time() else day + timedelta(days=1)
    opened = datetime.combine(day, span[0], zone).astimezone(UTC)
    closed = datetime.combine(last, span[1], zone).replace(fold=1).astimezone(UTC)
    return opened, max(opened, closed)


def _nothing(day: date) -> tuple[datetime, datetime]:
    noon = datetime.combine(day, time(12), UTC)
    return noon, noon


def _common(start: datetime, end: datetime, opened: datetime, closed: datetime) -> timedelta:
    return max(_NONE, min(end, closed) - max(start, opened))


def _days(first: date, last: date) -> Iterator[date]:
    yield from (first + timedelta(days=number) for number in range((last - first).days + 1))
