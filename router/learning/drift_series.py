"""The days that are compared: the window, the reference before it, and the same weeks of last year. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from router.learning.drift_counts import ASKED, LABEL, ROUTED, WORDS
from router.learning.drift_proofs import FEWEST_REFERENCE_DAYS, Question

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from router.learning.drift_proofs import Days
    from router.store.drift import Key

_YEAR = timedelta(days=364)  # whole weeks: Mondays stay Mondays
_AROUND = timedelta(days=21)  # holidays move from year to year
_REFERENCE_TIMES = 4  # so many times as many messages as in the window are needed


class Series:
    """The sums of days by what they count; days are the district's. `today` isn't over and counts for nothing."""

    def __init__(self, today: date, window_days: int, reference_days: int) -> None:
        between = today - timedelta(days=window_days)
        self.edges = between - timedelta(days=reference_days), between, today
        """Where the reference begins, where it ends and the window begins, and where that ends."""
        self._year_ago = between - _YEAR - _AROUND, min(today - _YEAR + _AROUND, self.edges[0])
        self.first = min(self.edges[0], self._year_ago[0])
        self._by_model: defaultdict[tuple[str, str, str], defaultdict[date, float]]
        self._by_model = defaultdict(lambda: defaultdict(float))
        self._of_all: defaultdict[tuple[str, str], defaultdict[date, float]] = defaultdict(lambda: defaultdict(float))
        self._flags: defaultdict[str, Counter[date]] = defaultdict(Counter)

    def take(self, sums: Mapping[Key, float]) -> None:
        """Take in what the store has summed up."""
        for (day, model, what, name), amount in sums.items():
            self._by_model[model, what, name][day] += amount
            self._of_all[what, name][day] += amount

    def flag(self, flags: Iterable[tuple[date, str]]) -> None:
        """Take in when messages of a department were flagged."""
        for day, department in flags:
            self._flags[department][day] += 1

    def spans(self) -> tuple[tuple[date, date], ...]:
        """Return the times that are compared, from one day to before another."""
        return (self.edges[0], self.edges[2]), self._year_ago

    # --- how much there is --------------------------------------------------------------------------------------------

    @property
    def messages(self) -> int:
        """How many the model was asked about in the window."""
        return round(self._sum(self._of_all[ASKED, ""], *self.edges[1:]))

    @property
    def reference_messages(self) -> int:
        """Likewise in the reference."""
        return round(self._sum(self._of_all[ASKED, ""], *self.edges[:2]))

    def enough(self, least: int) -> bool:
        """Return whether there are so many messages in the window, and four times as many before."""
        return self.messages >= least and self.reference_messages >= _REFERENCE_TIMES * least

    @property
    def words_known(self) -> bool:
        """Whether models could say which words they know, all the time."""
        words, asked = self._of_all[WORDS, ""], self._of_all[ASKED, ""]
        days = [day for day, n in asked.items() if n and self.edges[0] <= day < self.edges[2]]
        return all(words.get(day) for day in days)

    def names(self, what: str) -> list[str]:
        """Return the labels or departments that there are both in the window and before."""
        start, between, end = self.edges
        names = (name for kind, name in self._of_all if kind == what)
        return sorted(
            name
            for name in names
            if self._sum(self._of_all[what, name], start, between)
            and (what == LABEL or self._sum(self._of_all[what, name], between, end))
        )

    def routed_enough(self, department: str, least: int) -> bool:
        """Return whether a department got so many messages in the window, and three times as many before."""
        routed = self._of_all[ROUTED, department]
        return self._sum(routed, *self.edges[1:]) >= least and self._sum(routed, *self.edges[:2]) >= 3 * least

    # --- questions ----------------------------------------------------------------------------------------------------

    def shares(self, what: str, name: str, among: str, *, least: float, of: int, both_ways: bool = False) -> Question:
        """Return the question whether one sum changed as a share of another (`among`); `of` messages are enough."""
        start, between, end = self.edges
        hits, cases = self._of_all[what, name], self._of_all[among, ""]
        return Question(
            what=what,
            name=name,
            window=_days(hits, cases, between, end),
            reference=_days(hits, cases, start, between),
            last_year=self._last_year(hits, cases, of),
            least=least,
            both_ways=both_ways,
        )

    def of_model(self, what: str, least: float, times: int, of: int) -> Question:
        """Return the same for what every model does in its own way: with the reference of the same model, if it can be.

        Where another one answered before, the difference must be so many `times` greater: a new model may be more, or
        less, cautious, and was let serve for that.
        """
        start, between, end = self.edges
        asked = {model: days for (model, kind, _), days in self._by_model.items() if kind == ASKED}
        present = max(asked, key=lambda model: self._sum(asked[model], between, end))
        own, cases = self._by_model[present, what, ""], asked[present]
        long_enough = sum(start <= day < between for day, n in cases.items() if n) >= FEWEST_REFERENCE_DAYS
        if not (long_enough and self._sum(cases, start, between) >= _REFERENCE_TIMES * of):
            return self.shares(what, "", ASKED, least=times * least, of=of)
        return Question(
            what=what,
            name="",
            window=_days(own, cases, between, end),
            reference=_days(own, cases, start, between),
            last_year=self._last_year(self._of_all[what, ""], self._of_all[ASKED, ""], of),
            least=least,
        )

    def corrected(self, department: str, least: float, of: int) -> Question:
        """Return the question whether more of what a department got is sent on; counted when it was sent on."""
        start, between, end = self.edges
        flags, routed = self._flags[department], self._of_all[ROUTED, department]
        return Question(
            what="corrected",
            name=department,
            window=_days(flags, routed, between, end),
            reference=_days(flags, routed, start, between),
            last_year=self._last_year(flags, routed, of),
            least=least,
        )

    def _last_year(self, hits: Mapping[date, float], cases: Mapping[date, float], least: int) -> Days:
        """Return the days around the same time a year ago, none where there are too few cases."""
        enough = self._sum(cases, *self._year_ago) >= _REFERENCE_TIMES * least
        return _days(hits, cases, *self._year_ago) if enough else {}

    @staticmethod
    def _sum(days: Mapping[date, float], since: date, until: date) -> float:
        return sum(amount for day, amount in days.items() if since <= day < until)


def _days(hits: Mapping[date, float], cases: Mapping[date, float], since: date, until: date) -> Days:
    days = (day for day in _each(since, until) if hits.get(day) or cases.get(day))
    # what is sent on may have come the day before: a share is never more than all
    return {day: (hits.get(day, 0.0), max(cases.get(day, 0.0), hits.get(day, 0.0))) for day in days}


def _each(since: date, until: date) -> Iterator[date]:
    for number in range((until - since).days):
        yield since + timedelta(days=number)
