"""How often drift is told for nothing, and from which share of new messages on: `python -m benchmarks.drift`.

Simulated: a district's messages by day (few at weekends), of which the model leaves 40 % to people, with 8 % unknown
words, 17 labels, and 12 departments of which 4 % is sent on. Days differ: a day's share of 40 % has a standard
deviation of 0, 3.5 or 7 points. For nothing: a year of daily looks, as a daemon does. For something: in the week that
is looked at, a share of the messages is about something new, of which the model leaves 90 % to people and doesn't know
20 % of the words.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import Figure
from router.learning.drift import Limits, changed, questions
from router.learning.drift_counts import ABSTAINED, ASKED, DOUBT, LABEL, ROUTED, UNKNOWN, WORDS
from router.learning.drift_proofs import answer
from router.learning.drift_series import Series

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Counts = NDArray[np.integer[Any]]

PER_DAY = (30, 100, 300, 1_000)
SPREADS = {
    0.0: "0",
    0.005: "3.5",
    0.02: "7",
}  # of a beta distribution; standard deviation of a share of 40 %, in points
NEW = (0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # shares of messages that are about something new
TRIALS, QUICK_TRIALS = 20, 5
OFTEN = 0.9
YEARS, QUICK_YEARS = 4, 1
LABELS, DEPARTMENTS, WORDS_EACH = 17, 12, 25
LIMITS = Limits()
_WINDOW, _REFERENCE = LIMITS.window.days, LIMITS.reference.days
_DAY = date(2026, 11, 2)


def measure(*, quick: bool = False) -> list[Figure]:
    """Return the false alarms of a year, and which share of new messages is told nine times in ten."""
    trials, years = (QUICK_TRIALS, QUICK_YEARS) if quick else (TRIALS, YEARS)
    figures = []
    for spread, points in SPREADS.items():
        for per_day in PER_DAY:
            alarms = sum(_false_alarms(per_day, spread, year) for year in range(years)) / years
            least = next((share for share in NEW if _seen(per_day, spread, share, trials) >= OFTEN * trials), None)
            print(f"{per_day:>6} a day, {points:>3} points: {alarms:g} false a year, sees {least}", file=sys.stderr)
            kind = f"{per_day}.{points}_points"
            note = f"{per_day} messages a day, whose shares vary by {points} points from day to day"
            figures += [
                Figure(
                    name=f"drift.false_alarms.{kind}",
                    value=alarms,
                    unit="per year",
                    n=years * 365,
                    better="lower",
                    limit=LIMITS.false_alarms,
                    note=note,
                ),
                Figure(name=f"drift.sees.{kind}", value=least or 1.0, unit="share", n=trials, note=note),
            ]
    return figures


def _false_alarms(per_day: int, spread: float, year: int) -> int:
    """Return on how many days of a year something is found, not counting those of the same alarm (28 days)."""
    draws = np.random.default_rng((per_day, int(spread * 1000), year))
    length = 365 + _WINDOW + _REFERENCE
    sums = _sums(draws, length, per_day, spread)
    told = [end for end in range(_WINDOW + _REFERENCE, length) if _found(sums, _DAY + timedelta(days=end))]
    return sum(not any(end - 28 < before < end for before in told) for end in told)


def _seen(per_day: int, spread: float, share: float, trials: int) -> int:
    """Return how often a new matter of the last week is told."""
    seen = 0
    for trial in range(trials):
        draws = np.random.default_rng((per_day, int(spread * 1000), int(share * 1000), trial, 1))
        sums = _sums(draws, _WINDOW + _REFERENCE, per_day, spread, share)
        seen += any(
            what in (ABSTAINED, DOUBT, UNKNOWN) for what in _found(sums, _DAY + timedelta(_WINDOW + _REFERENCE))
        )
    return seen


def _found(sums: dict[Any, float], today: date) -> list[str]:
    series = Series(today, _WINDOW, _REFERENCE)
    series.take({key: n for key, n in sums.items() if series.edges[0] <= key[0] < today and key[2] != _FLAGGED})
    flags = ((key, int(n)) for key, n in sums.items() if key[2] == _FLAGGED and series.edges[0] <= key[0] < today)
    series.flag((key[0], key[3]) for key, n in flags for _ in range(n))
    return [each.question.what for each in changed([answer(each) for each in questions(series, LIMITS)], LIMITS.wrong)]


_FLAGGED = "flagged"


def _sums(draws: Generator, length: int, per_day: int, spread: float, new: float = 0.0) -> dict[Any, float]:
    """Return what the store would hold of so many days; in the last week a share of the messages is new."""
    days = [_DAY + timedelta(days=number) for number in range(length)]
    n = np.array([draws.poisson(per_day * (0.2 if day.weekday() > 4 else 1.32)) for day in days])
    lately = np.arange(length) >= length - _WINDOW
    other = np.where(lately, draws.binomial(n, new), 0)

    def hits(cases: Counts, share: float) -> Counts:
        wanted = draws.beta(share / spread, (1 - share) / spread, length) if spread else np.full(length, share)
        return draws.binomial(cases, wanted)

    labels = draws.dirichlet(np.full(LABELS, 3.0))
    columns: dict[tuple[str, str], Counts | NDArray[np.floating[Any]]] = {
        (ASKED, ""): n,
        (ABSTAINED, ""): hits(n - other, 0.4) + draws.binomial(other, 0.9),
        (DOUBT, ""): 0.8 * hits(n - other, 0.3) + 0.6 * other,
        (WORDS, ""): n * WORDS_EACH,
        (UNKNOWN, ""): hits((n - other) * WORDS_EACH, 0.08) + draws.binomial(other * WORDS_EACH, 0.2),
    }
    for number, share in enumerate(labels):
        columns[LABEL, f"l{number}"] = hits(n, share)
    for number in range(DEPARTMENTS):
        routed = (0.6 * columns[LABEL, f"l{number}"]).astype(np.int64)
        columns[ROUTED, f"l{number}"] = routed
        columns[_FLAGGED, f"l{number}"] = hits(routed, 0.04)
    return {
        (day, "m", what, name): float(value)
        for (what, name), values in columns.items()
        for day, value in zip(days, values.tolist(), strict=True)
    }


if __name__ == "__main__":
    measure(quick="--quick" in sys.argv)
