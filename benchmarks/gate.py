"""How often the gate passes a worse model and refuses a better one: `python -m benchmarks.gate` prints it as a table.

Simulated: champion and challenger answer the same held-out messages, of which the champion has 88 % right. A challenger
that is really d points better (or worse) puts some wrong messages right and some right ones wrong, as models do that
are trained again: besides those d points 1.2 % of all answers turn right or wrong (measured with the bundled messages
and 60 corrections), or 5 % (much that is new). There are seventeen uneven departments; one message in five is Spanish,
one in fifteen urgent (alarms are the same in both), one in ten no department's business. Both know how sure they are.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import Figure
from router.interfaces import Example, ModelInput
from router.learning.gate import Answered, compare
from router.learning.verdicts import FAILED
from router.records import Prediction
from router.routing.policy import Thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    Truths = NDArray[np.bool_]

SIZES = (300, 1_000, 3_000)
POINTS = (-5.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0)  # how much better the challenger really is
TRIALS, QUICK_TRIALS = 100, 30
ACCURACY = 0.88
CHURNS = (0.012, 0.05)
DEPARTMENTS, SPANISH, URGENT, STRANGERS = 17, 0.2, 1 / 15, 0.1
THRESHOLD = 0.7
_WRONG = "another"


def measure(*, quick: bool = False) -> list[Figure]:
    """Return how often it passes challengers, and why it refuses them."""
    trials = QUICK_TRIALS if quick else TRIALS
    figures = []
    for churn in CHURNS:
        cells = {(size, points): _cell(size, points, churn, trials) for points in POINTS for size in SIZES}
        _print(cells, churn, trials)
        figures += [
            Figure(
                name=f"gate.passes_{points:+g}_points.{size}.{churn:.1%}",
                value=passed,
                unit="share",
                n=trials,
                note=f"challengers that are really {points:+g} points better, judged on {size} held-out messages; "
                f"{churn:.1%} of the answers change besides",
                detail={"refused_for": reasons, "waits_for_a_person": waits},
            )
            for (size, points), (passed, waits, reasons) in cells.items()
        ]
    return figures


def _print(cells: dict[tuple[int, float], tuple[float, float, dict[str, float]]], churn: float, trials: int) -> None:
    heads = "".join(f"{size:>9,}" for size in (*SIZES, *SIZES))
    print(
        f"passed by the gate, of {trials} challengers each (of which wait for a person); {churn:.1%} change besides",
        file=sys.stderr,
    )
    print(f"really better by (points)  |{heads}  | refused mostly for, at {SIZES[-1]:,}", file=sys.stderr)
    for points in POINTS:
        shares = "".join(f"{cells[size, points][0]:>9.0%}" for size in SIZES)
        shares += "".join(f"{cells[size, points][1]:>9.0%}" for size in SIZES)
        reasons = list(cells[SIZES[-1], points][2].items())[:3]
        why = ", ".join(f"{name} {share:.0%}" for name, share in reasons)
        print(f"{points:>+25g}  |{shares}  | {why}", file=sys.stderr)


def _cell(size: int, points: float, churn: float, trials: int) -> tuple[float, float, dict[str, float]]:
    """Return which share of challengers passes and which waits for a person, and for what the others are refused."""
    draws = np.random.default_rng((size, int(points * 10) + 1000))
    reasons: dict[str, int] = {}
    passed = waits = 0
    for trial in range(trials):
        verdict = compare(*_pair(size, points / 100, churn, draws), seed=trial)
        passed += verdict.passed
        waits += verdict.waits
        reasons_here: set[str] = set()
        for check in verdict.checks:
            if check.outcome == FAILED:
                name = check.what.partition(" (")[0]
                name = name.partition(" ")[0] if name.startswith(("department ", "language ")) else name
                reasons_here.add(name)
        for name in reasons_here:
            reasons[name] = reasons.get(name, 0) + 1
    ordered = sorted(reasons.items(), key=lambda pair: -pair[1])
    return (
        round(passed / trials, 4),
        round(waits / trials, 4),
        {name: round(count / trials, 4) for name, count in ordered},
    )


def _pair(size: int, better: float, churn: float, draws: Generator) -> tuple[Answered, Answered, list[Example]]:
    """Return what champion and challenger say of so many messages, and the messages."""
    held_out = _messages(size, draws)
    strangers = int(size * STRANGERS)
    before = draws.random(size) < ACCURACY
    changed = churn + abs(better)
    worse = (changed - better) / 2 / ACCURACY
    mended = (changed + better) / 2 / (1 - ACCURACY)
    flips = draws.random(size)
    after = np.where(before, flips >= worse, flips < mended)
    sure = draws.beta(6, 1.2, size + strangers)  # how sure a model is, and how much less where it is wrong: both models
    doubt = draws.uniform(0.4, 1.0, size + strangers)  # find the same messages hard
    jitter = draws.uniform(0.97, 1.03, (2, size + strangers))
    return (
        _answered(held_out, before, sure * jitter[0], doubt),
        _answered(held_out, after, sure * jitter[1], doubt),
        held_out,
    )


def _messages(size: int, draws: Generator) -> list[Example]:
    shares = 1 / np.arange(2, DEPARTMENTS + 2)
    desks = draws.choice(DEPARTMENTS, size, p=shares / shares.sum())
    spanish, urgent = draws.random(size) < SPANISH, draws.random(size) < URGENT
    languages = {
        False: ModelInput(subject="", body="", language="en"),
        True: ModelInput(subject="", body="", language="es"),
    }
    return [
        Example(input=languages[bool(es)], department=f"d{desk}", urgent=bool(alarm))
        for desk, es, alarm in zip(desks, spanish, urgent, strict=True)
    ]


def _answered(held_out: Sequence[Example], right: Truths, sure: NDArray[Any], doubt: NDArray[Any]) -> Answered:
    """Return answers that are right where they are to be; a wrong one is less sure, and so is one about a stranger."""
    n = len(right)
    confidence = np.where(right, sure[:n], sure[:n] * doubt[:n]).clip(0.0, 1.0)
    names = [row.department if each else _WRONG for row, each in zip(held_out, right, strict=True)]
    of_strangers = sure[n:] * doubt[n:] * 0.9
    return Answered(
        held_out=[_said(name, float(p)) for name, p in zip(names, confidence, strict=True)],
        strangers=[_said(_WRONG, float(p)) for p in of_strangers],
        thresholds=Thresholds(min_confidence=THRESHOLD),
    )


def _said(name: str, confidence: float) -> Prediction:
    return Prediction(ranking=((name, confidence),), score=1.0, confidence=confidence)


if __name__ == "__main__":
    measure(quick="--quick" in sys.argv)
