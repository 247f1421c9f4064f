"""The gate: may a challenger take the champion's place? Pure; both answered the same messages, which neither saw.

A share may sink by as little as the limits say, at the lower end of its interval: 95 % of 2,000 paired bootstrap
resamples lie above it. Where there are too few messages for that, the difference is listed for a person to judge.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers._figures import expected_calibration_error
from router.learning.dataset import kind_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from router.interfaces import Example
    from router.records import Prediction

    Truths = NDArray[np.bool_]

OVERALL_LIMIT, GROUP_LIMIT = -0.015, -0.05  # least difference of accuracy, challenger minus champion
ECE_LIMIT = 0.02  # most that the calibration error may grow
ENOUGH = 100  # messages of a department or a language
RESAMPLES = 2_000
_LOWER = 0.05
PASSED, FAILED, FOR_A_PERSON = "passed", "failed", "for a person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A row of the table. `lower` is the difference's lower bound where one counts, `limit` what it must reach."""

    what: str
    n: int
    champion: float | None
    challenger: float
    lower: float | None = None
    limit: float | None = None
    outcome: str = PASSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Past misroutes shown to both models again: how many, how many each puts right, how many nobody trained on."""

    n: int = 0
    champion: int = 0
    challenger: int = 0
    held_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the challenger may serve, why in one sentence, and the table behind it."""

    passed: bool
    sentence: str
    checks: tuple[Check, ...] = ()
    replayed: Replayed = Replayed()

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON object, for the registry."""
        return asdict(self) | {"checks": [asdict(check) for check in self.checks]}


def compare(
    champion: Sequence[Prediction] | None,
    challenger: Sequence[Prediction],
    held_out: Sequence[Example],
    *,
    unalarmed: tuple[Collection[int], Collection[int]] = ((), ()),
    replayed: Replayed | None = None,
    seed: int = 0,
) -> Verdict:
    """Judge a challenger by its predictions for the held-out examples (in scope), row for row.

    Beside departments and languages the corpus, corrections and files are each looked at, so that a flood of wrong
    corrections, some of which are held out and speak for it, can't outvote the corpus.
    `unalarmed` are the numbers of the urgent held-out messages of which nobody would be told, with either.
    Without a champion it passes if it is right more often than always naming the commonest label would be.
    """
    replayed = replayed or Replayed()
    if not held_out:
        return Verdict(passed=False, sentence="There is no held-out message to judge the model by.", replayed=replayed)
    right = _right(challenger, held_out)
    if champion is None:
        return _first(right, held_out, replayed)
    before = _right(champion, held_out)
    checks = [
        _overall(before, right, seed),
        *_by_group("department", [row.department for row in held_out], before, right, seed),
        *_by_group("language", [row.input.language or "unknown" for row in held_out], before, right, seed),
        *_by_group("source", [kind_of(row.source) for row in held_out], before, right, seed),
        _calibration(champion, challenger, before, right),
        *_urgent(before, right, held_out),
        *_alarms(unalarmed, held_out),
    ]
    return Verdict(passed=_passed(checks), sentence=_sentence(checks), checks=tuple(checks), replayed=replayed)


def _right(predictions: Sequence[Prediction], held_out: Sequence[Example]) -> Truths:
    pairs = zip(predictions, held_out, strict=True)
    return np.array([prediction.ranking[0][0] == row.department for prediction, row in pairs], dtype=bool)


def _first(right: Truths, held_out: Sequence[Example], replayed: Replayed) -> Verdict:
    labels = [row.department for row in held_out]
    guess = max(map(labels.count, set(labels))) / len(labels)
    share = float(right.mean())
    passed = share > guess
    check = Check(
        what="accuracy, beside always naming the commonest label",
        n=len(right),
        champion=guess,
        challenger=share,
        outcome=PASSED if passed else FAILED,
    )
    word = "more" if passed else "not more"
    sentence = (
        f"This is the first model: it is right on {share:.1%} of {len(right)} held-out messages, {word} than the "
        f"{guess:.1%} of always naming the commonest label."
    )
    return Verdict(passed=passed, sentence=sentence, checks=(check,), replayed=replayed)


# --- the checks -------------------------------------------------------------------------------------------------------


def lower_bound(before: Truths, after: Truths, seed: int) -> float:
    """Return the 5 % quantile of the accuracy difference over 2,000 paired bootstrap resamples.

    A resample's difference depends only on how many of its rows got better and how many worse, so these are drawn
    from their multinomial distribution, which is the same thing.
    """
    n = len(before)
    better, worse = int((after & ~before).sum()), int((before & ~after).sum())
    shares = np.array([better, worse, n - better - worse]) / n
    draws = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES)
    return float(np.quantile((draws[:, 0] - draws[:, 1]) / n, _LOWER))


def _overall(before: Truths, right: Truths, seed: int) -> Check:
    return _difference("accuracy", before, right, OVERALL_LIMIT, seed)


def _difference(what: str, before: Truths, right: Truths, limit: float, seed: int) -> Check:
    lower = lower_bound(before, right, seed)
    return Check(
        what=what,
        n=len(right),
        champion=float(before.mean()),
        challenger=float(right.mean()),
        lower=lower,
        limit=limit,
        outcome=PASSED if lower >= limit else FAILED,
    )


def _by_group(kind: str, names: Sequence[str], before: Truths, right: Truths, seed: int) -> Iterable[Check]:
    names_of_rows = np.array(names)
    for name in np.unique(names_of_rows).tolist():
        mask = names_of_rows == name
        what, n = f"{kind} {name}", int(mask.sum())
        if n >= ENOUGH:
            yield _difference(what, before[mask], right[mask], GROUP_LIMIT, seed)
            continue
        old, new = float(before[mask].mean()), float(right[mask].mean())
        yield Check(what=what, n=n, champion=old, challenger=new, outcome=PASSED if new >= old else FOR_A_PERSON)


def _calibration(
    champion: Sequence[Prediction], challenger: Sequence[Prediction], before: Truths, right: Truths
) -> Check:
    old, new = _calibration_error(champion, before), _calibration_error(challenger, right)
    return Check(
        what="calibration error (the less the better)",
        n=len(right),
        champion=old,
        challenger=new,
        limit=ECE_LIMIT,
        outcome=PASSED if new - old <= ECE_LIMIT else FAILED,
    )


def _calibration_error(predictions: Sequence[Prediction], right: Truths) -> float:
    confidence = np.clip(np.array([prediction.ranking[0][1] for prediction in predictions]), 0.0, 1.0)
    return expected_calibration_error(confidence, right)


def _urgent(before: Truths, right: Truths, held_out: Sequence[Example]) -> Iterable[Check]:
    """No urgent message may go wrong that went right."""
    urgent = np.array([row.urgent for row in held_out], dtype=bool)
    if urgent.any():
        missed = int((urgent & before & ~right).sum())
        yield Check(
            what="urgent messages" + (f" ({missed} newly misrouted)" if missed else ""),
            n=int(urgent.sum()),
            champion=float(before[urgent].mean()),
            challenger=float(right[urgent].mean()),
            outcome=FAILED if missed else PASSED,
        )


def _alarms(unalarmed: tuple[Collection[int], Collection[int]], held_out: Sequence[Example]) -> Iterable[Check]:
    """No urgent message may lose its alarm."""
    n, (before, after) = sum(row.urgent for row in held_out), unalarmed
    if n:
        lost = len(set(after) - set(before))
        yield Check(
            what="alarms for urgent messages" + (f" ({lost} newly missed)" if lost else ""),
            n=n,
            champion=1 - len(before) / n,
            challenger=1 - len(after) / n,
            outcome=FAILED if lost else PASSED,
        )


# --- what is said -----------------------------------------------------------------------------------------------------


def _passed(checks: Sequence[Check]) -> bool:
    return all(check.outcome != FAILED for check in checks)


def _sentence(checks: Sequence[Check]) -> str:
    overall = checks[0]
    assert overall.champion is not None
    figures = (
        f"right on {overall.challenger:.1%} of {overall.n} held-out messages, the champion on {overall.champion:.1%}"
    )
    failed = [_failure(check) for check in checks if check.outcome == FAILED]
    if failed:
        return f"The challenger is {figures}; it is refused: {'; '.join(failed)}."
    doubtful = [check.what.partition(" ")[2] for check in checks if check.outcome == FOR_A_PERSON]
    look = f"; too few messages to judge where it does worse: {', '.join(doubtful)}" if doubtful else ""
    return f"The challenger is {figures}; it passes{look}."


def _failure(check: Check) -> str:
    if check.lower is not None and check.limit is not None:
        return f"{check.what} may be {-check.lower * 100:.1f} points worse, more than {-check.limit * 100:.1f}"
    if check.limit is not None and check.champion is not None:
        return f"{check.what} grows from {check.champion:.1%} to {check.challenger:.1%}"
    return check.what
