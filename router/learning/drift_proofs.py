"""Is what came in lately other than before, by more than chance and the usual ups and downs of days? Pure.

Everything that is looked at is a share: hits among cases, by day. Messages of one day aren't independent (a bus breaks
down, and forty families write), so days, not messages, are the units: both counts are divided by the design effect,
how much more the reference's days differ than independent messages would (Rao and Scott 1992), and what is left is
compared by Fisher's exact test, as surely as so many days allow (Student 1908). No single day makes a finding: it must
stand without any one day of the window. Where last year's same weeks are known it must stand against these as well, so
that no August is news twice (both must hold, which needs no correction: Berger 1982). All that is looked at together
errs as often as asked for at most (Holm 1979).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log1p, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

from router.learning.proofs import fisher_test

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    Days = Mapping[date, tuple[float, float]]
    """Hits and cases of each day; a day without cases may be missing."""

_NORMAL = NormalDist()
FEWEST_DAYS = 3  # with cases, in the window: with one left out, two must say the same
FEWEST_REFERENCE_DAYS = 10  # fewer don't tell how much days differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One share that is looked at: `what` it is, of which label or department (`name`), and by how much it must differ.

    `last_year` are the days around the same time a year ago, none where too little is known of them. `both_ways` asks
    whether it fell, too.
    """

    what: str
    name: str
    window: Days
    reference: Days
    last_year: Days
    least: float
    both_ways: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The share before and lately, and how likely so great a difference is by chance."""

    question: Question
    before: float
    after: float
    n: float  # cases in the window
    chance: float


def answer(question: Question) -> Answer:
    """Answer one question; the chance is 1 where there is too little to go by, or where the difference is too small."""
    window, reference = question.window, question.reference
    chance = _chance(question, reference)
    if question.last_year and chance < 1:
        chance = max(chance, _chance(question, question.last_year))
    return Answer(question=question, before=rate(reference), after=rate(window), n=_total(window)[1], chance=chance)


def found(answers: Sequence[Answer], wrong: float) -> list[Answer]:
    """Return the answers that say something, the surest first: if nothing has changed, with probability `wrong` any."""
    said: list[Answer] = []
    for number, each in enumerate(sorted(answers, key=lambda each: each.chance)):
        if each.chance > wrong / (len(answers) - number):
            break
        said.append(each)
    return said


def rate(days: Days) -> float:
    """Return the share over all days, 0 if there is no case."""
    hits, cases = _total(days)
    return hits / cases if cases else 0.0


def design_effect(days: Days) -> float:
    """Return how much more the days' shares vary than if every case stood for itself; at least 1.

    The variance of a ratio over clusters, divided by the binomial one (Rao and Scott 1992, formula 3).
    """
    of_all, (_hits, cases), n = rate(days), _total(days), _filled(days)
    expected = of_all * (1 - of_all) * cases
    if n < 2 or expected <= 0:
        return 1.0
    spread = sum((each_hits - each_cases * of_all) ** 2 for each_hits, each_cases in days.values())
    return max(1.0, n / (n - 1) * spread / expected)


def _chance(question: Question, reference: Days) -> float:
    """Return the chance of the difference to a reference without the day of the window that says most for it."""
    window = {day: counts for day, counts in question.window.items() if counts[1]}
    if len(window) < FEWEST_DAYS or _filled(reference) < FEWEST_REFERENCE_DAYS:
        return 1.0
    effect = design_effect(reference)
    chance = _grown(window, reference, question.least, effect)
    if question.both_ways:
        chance = min(1.0, 2 * min(chance, _grown(_turned(window), _turned(reference), question.least, effect)))
    return chance if effect == 1.0 else by_days(chance, reference)


def by_days(chance: float, days: Days) -> float:
    """Return a chance as it is if the spread it rests on was itself measured by these days only.

    The same distance in Student's t distribution instead of the normal one, by Wallace's approximation (1959), with as
    many degrees of freedom as the days count for by their cases (Kish 1965), less one.
    """
    if not 0 < chance < 0.5:
        return chance
    cases = [each for _, each in days.values() if each]
    freedom = max(1.0, sum(cases) ** 2 / sum(each**2 for each in cases) - 1)
    distance = -_NORMAL.inv_cdf(chance)
    fair = (8 * freedom + 1) / (8 * freedom + 3) * sqrt(freedom * log1p(distance**2 / freedom))
    return _NORMAL.cdf(-fair)


def _grown(window: Days, reference: Days, least: float, effect: float) -> float:
    before = _total(reference)
    parts = ({day: counts for day, counts in window.items() if day != left_out} for left_out in window)
    return max(_one_sided(before, _total(part), least, effect) for part in parts)


def _one_sided(before: tuple[float, float], after: tuple[float, float], least: float, effect: float) -> float:
    if not (before[1] and after[1]) or after[0] / after[1] - before[0] / before[1] < least:
        return 1.0
    n_before, n_after = (max(1, round(cases / effect)) for cases in (before[1], after[1]))
    hits_before = min(n_before, -int(-before[0] // effect))  # rounded against the difference
    hits_after = min(n_after, int(after[0] // effect))
    return fisher_test((hits_before, n_before), (hits_after, n_after))


def _turned(days: Days) -> Days:
    return {day: (cases - hits, cases) for day, (hits, cases) in days.items()}


def _total(days: Days) -> tuple[float, float]:
    return sum(hits for hits, _ in days.values()), sum(cases for _, cases in days.values())


def _filled(days: Days) -> int:
    return sum(cases > 0 for _, cases in days.values())
