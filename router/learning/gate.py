"""The gate: may a challenger take the champion's place? Pure; both answered the same messages, which neither saw.

A share may sink by as little as the limits say, at the lower end of its interval: 95 % of 2,000 paired bootstrap
resamples lie above it. Where there are too few messages for that, a loss that looks too large waits for a person to
judge, and is refused if it can't be chance; all such departments are looked at together as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers._figures import expected_calibration_error
from router.learning.dataset import kind_of
from router.learning.proofs import accepted, changed, covered, lower_bound, sign_test, surely_grows
from router.learning.verdicts import FAILED, FOR_A_PERSON, PASSED, Check, Replayed, Verdict, first, sentence
from router.routing.policy import Thresholds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from router.interfaces import Example
    from router.learning.rehearsal import Rehearsed
    from router.records import Prediction

    Truths = NDArray[np.bool_]
    Pair = tuple[Truths, Truths]

OVERALL_LIMIT, GROUP_LIMIT = -0.015, -0.05  # least difference of a share, challenger minus champion
ECE_LIMIT = 0.02  # most that the calibration error may grow
COVERAGE_LIMIT = -0.05  # most that fewer messages could be routed at the wanted error,
ROUTED_LIMIT = -0.1  # or are at its own thresholds, which are found by trial and differ from training to training
ENOUGH = 100  # messages of a department or a language
FEW = 600
"""With fewer held-out messages chance alone refuses most challengers that are as good, if one answer in twenty changed:
1.645 √(0.05 / 600) is the limit of 1.5 points."""

_ACCURACY, _MISROUTED = "accuracy", "messages sent to the wrong department"
NO_CHANCE = 0.002  # nine worse and none better, say: less likely than this, it isn't chance
_REFERENCE = "beside the best model before"
HARDLY_CHANCE = 0.2  # three worse and none better, or four and one: with less one can't even suspect anything


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What one model said: of the held-out messages, row for row, and of those that are no department's business.

    `thresholds` is what it must reach to route; `unalarmed` are the numbers of the urgent messages (strangers' come
    last) of which nobody would be told.
    """

    held_out: Sequence[Prediction]
    strangers: Sequence[Prediction] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    unalarmed: Collection[int] = ()

    def right(self, held_out: Sequence[Example]) -> Truths:
        """Return for each held-out message whether the first choice is right."""
        pairs = zip(self.held_out, held_out, strict=True)
        return np.array([answer.ranking[0][0] == row.department for answer, row in pairs], dtype=bool)

    @cached_property
    def everything(self) -> tuple[Prediction, ...]:
        """The answers about held-out messages, then those about strangers'."""
        return (*self.held_out, *self.strangers)

    @cached_property
    def confidence(self) -> NDArray[np.floating[Any]]:
        """How sure it is of each answer."""
        sure: NDArray[np.floating[Any]] = np.array([answer.likely[0][1] for answer in self.everything])
        return sure.clip(0.0, 1.0)

    @cached_property
    def routed(self) -> Truths:
        """Whether each message would go to a department without a person."""
        score = np.array([answer.score for answer in self.everything])
        return (self.confidence >= self.thresholds.min_confidence) & (score >= self.thresholds.min_score)

    def misrouted(self, held_out: Sequence[Example]) -> Truths:
        """Whether each message would go to the wrong department; any is wrong for a stranger's."""
        return self.routed & ~self.right_or_stranger(held_out)

    def right_or_stranger(self, held_out: Sequence[Example]) -> Truths:
        """Whether each answer is right; none about a stranger's message is."""
        return np.concatenate([self.right(held_out), np.zeros(len(self.strangers), dtype=bool)])


def compare(
    champion: Answered | None,
    challenger: Answered,
    held_out: Sequence[Example],
    *,
    strangers: Sequence[Example] = (),
    reference: Answered | None = None,
    replayed: Replayed | None = None,
    rehearsed: Rehearsed | None = None,
    target_error: float = 0.05,
    seed: int = 0,
) -> Verdict:
    """Judge a challenger by its answers about the held-out examples (in scope), row for row, and by its alarms of all.

    Beside departments and languages the corpus, corrections and files are each looked at, so that a flood of wrong
    corrections, some of which are held out and speak for it, can't outvote the corpus.
    Beside the champion a `reference` may be given, the best model that served before: a little may be lost with each
    champion, and must not add up. Without a champion it passes if it is right more often than always naming the
    commonest label would be. `rehearsed` adds to what is known where too few messages are held out (`is_open`).
    """
    replayed = replayed or Replayed()
    if not held_out:
        return Verdict(passed=False, sentence="There is no held-out message to judge the model by.", replayed=replayed)
    right = challenger.right(held_out)
    if champion is None:
        return first(float(right.mean()), [row.department for row in held_out], replayed)
    before = champion.right(held_out)
    checks = [
        *_overall(_ACCURACY, (before, right), rehearsed.right if rehearsed else None, seed),
        *_by_group("department", [row.department for row in held_out], before, right, seed),
        *_by_group("language", [row.input.language for row in held_out], before, right, seed),
        *_by_group("source", [kind_of(row.source) for row in held_out], before, right, seed),
        _calibration(champion, challenger, held_out, seed),
        *_routing(champion, challenger, held_out, target_error),
        *_sent_wrongly(
            (champion, challenger), held_out, rehearsed.not_misrouted if rehearsed else None, target_error, seed
        ),
        *_urgent(champion, challenger, held_out, strangers, seed),
        *_replay(replayed),
        *(_beside(reference, challenger, held_out, target_error, seed) if reference else ()),
    ]
    return Verdict(
        passed=_passed(checks),
        sentence=sentence(checks, len(rehearsed.right[0]) if rehearsed else 0),
        checks=tuple(checks),
        replayed=replayed,
    )


def is_open(verdict: Verdict) -> bool:
    """Return whether a challenger is refused only because few messages are held out, and not for what they say."""
    refused_for = {check.what: check for check in verdict.checks if check.outcome == FAILED}
    return bool(refused_for) and all(
        what in {_ACCURACY, _MISROUTED} and check.n < FEW and _loss(check) <= -(check.limit or 0.0)
        for what, check in refused_for.items()
    )


def _loss(check: Check) -> float:
    """Return by how much a check's share got worse."""
    assert check.champion is not None
    worse = check.champion - check.challenger
    return -worse if check.what == _MISROUTED else worse


# --- the checks -------------------------------------------------------------------------------------------------------


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


def _overall(
    what: str, held_out: Pair, rehearsed: Pair | None, seed: int, limit: float = OVERALL_LIMIT
) -> Iterable[Check]:
    """One bound for all messages; with those of a rehearsal, what is held out must not point the other way."""
    if rehearsed is None:
        yield _difference(what, *held_out, limit, seed)
        return
    before, after = (np.concatenate(both) for both in zip(held_out, rehearsed, strict=True))
    yield _difference(what, before, after, limit, seed)
    old, new = (float(truths.mean()) for truths in held_out)
    yield Check(
        what=f"{what}, of what is held out",
        n=len(held_out[0]),
        champion=old,
        challenger=new,
        limit=limit,
        outcome=PASSED if new - old >= limit else FAILED,
    )


def _by_group(kind: str, names: Sequence[str], before: Truths, right: Truths, seed: int) -> Iterable[Check]:
    """Each group by itself, and those together that are too small for a test of their own; one without name is none."""
    names_of_rows = np.array(names)
    groups = [(name, names_of_rows == name) for name in np.unique(names_of_rows).tolist() if name]
    for name, mask in groups:
        yield _of_group(f"{kind} {name}", before[mask], right[mask], seed)
    small = [mask for _name, mask in groups if mask.sum() < ENOUGH]
    if len(small) > 1:
        together = np.logical_or.reduce(small)
        yield _of_group(f"small {kind}s together", before[together], right[together], seed)


def _of_group(what: str, before: Truths, right: Truths, seed: int) -> Check:
    enough = len(right) >= ENOUGH
    return _difference(what, before, right, GROUP_LIMIT, seed) if enough else _small(what, before, right)


def _small(what: str, before: Truths, right: Truths) -> Check:
    """A loss among few messages that looks larger than the limit is a person's to judge; refused if it is no chance."""
    better, worse = changed(before, right)
    chance = sign_test(better, worse)
    doubt = (better - worse) / len(right) < GROUP_LIMIT and chance < HARDLY_CHANCE
    outcome = FAILED if chance < NO_CHANCE else FOR_A_PERSON if doubt else PASSED
    return Check(
        what=what, n=len(right), champion=float(before.mean()), challenger=float(right.mean()), outcome=outcome
    )


def _calibration(champion: Answered, challenger: Answered, held_out: Sequence[Example], seed: int) -> Check:
    """It may grow by a little, and by more if that may be chance: of few messages it says little."""
    (sure_before, before), (sure_after, after) = (_spoken_of(each, held_out) for each in (champion, challenger))
    old, new = expected_calibration_error(sure_before, before), expected_calibration_error(sure_after, after)
    grows = new - old > ECE_LIMIT and surely_grows(
        expected_calibration_error, (sure_before, before), (sure_after, after), seed
    )
    return Check(
        what="calibration error (the less the better)",
        n=len(after),
        champion=old,
        challenger=new,
        limit=ECE_LIMIT,
        outcome=FAILED if grows else PASSED,
    )


def _spoken_of(answered: Answered, held_out: Sequence[Example]) -> tuple[NDArray[np.floating[Any]], Truths]:
    """Return confidence and truth of the messages that the confidence speaks of: strangers' too, if it counts them."""
    aware = any(answer.confidence is not None for answer in answered.held_out)
    n = len(answered.everything) if aware else len(held_out)
    return answered.confidence[:n], answered.right_or_stranger(held_out)[:n]


def _routing(
    champion: Answered, challenger: Answered, held_out: Sequence[Example], target_error: float
) -> Iterable[Check]:
    """What the two would do: how much goes by itself to a department."""
    n = len(challenger.everything)
    old, new = (
        covered(each.confidence, each.right_or_stranger(held_out), target_error) for each in (champion, challenger)
    )
    yield Check(
        what=f"coverage at {100 * target_error:g}% wrong",
        n=n,
        champion=old,
        challenger=new,
        limit=COVERAGE_LIMIT,
        outcome=PASSED if new - old >= COVERAGE_LIMIT else FAILED,
    )
    old, new = float(champion.routed[: len(held_out)].mean()), float(challenger.routed[: len(held_out)].mean())
    doubt = PASSED if new - old >= COVERAGE_LIMIT else FOR_A_PERSON
    yield Check(
        what="messages routed",
        n=len(held_out),
        champion=old,
        challenger=new,
        limit=ROUTED_LIMIT,
        outcome=doubt if new - old >= ROUTED_LIMIT else FAILED,
    )


def _sent_wrongly(
    models: tuple[Answered, Answered], held_out: Sequence[Example], known: Pair | None, target_error: float, seed: int
) -> Iterable[Check]:
    """How much of all would go to the wrong department; `known` is what a rehearsal said of that."""
    champion, challenger = models
    rightly = ~champion.misrouted(held_out), ~challenger.misrouted(held_out)
    limit = OVERALL_LIMIT - accepted(champion.routed, challenger.routed, target_error)
    for check in _overall(_MISROUTED, rightly, known, seed, limit):
        assert check.champion is not None
        yield replace(check, champion=1 - check.champion, challenger=1 - check.challenger)


def _urgent(
    champion: Answered, challenger: Answered, held_out: Sequence[Example], strangers: Sequence[Example], seed: int
) -> Iterable[Check]:
    """No urgent message may be missed that wasn't: its alarm lost, or sent to the wrong department without one.

    With an alarm somebody is told at once wherever it goes, so that its way counts as that of any group of messages:
    a model that is trained again answers a few in a hundred differently, and of many urgent ones always some.
    """
    urgent = np.array([row.alarming for row in (*held_out, *strangers)], dtype=bool)
    if not urgent.any():
        return
    n = len(urgent)
    rightly = [~each.misrouted(held_out)[:n] for each in (champion, challenger)]
    yield _of_group("urgent messages", rightly[0][urgent], rightly[1][urgent], seed)
    missed = [np.isin(np.arange(n), list(each.unalarmed)) & urgent for each in (champion, challenger)]
    lost = int((missed[1] & ~missed[0]).sum())
    unseen = int((missed[1] & ~rightly[1] & rightly[0]).sum())
    words = [f"{lost} newly missed"] * bool(lost) + [f"{unseen} newly misrouted without one"] * bool(unseen)
    yield Check(
        what="alarms for urgent messages" + (f" ({', '.join(words)})" if words else ""),
        n=int(urgent.sum()),
        champion=float(1 - missed[0][urgent].mean()),
        challenger=float(1 - missed[1][urgent].mean()),
        outcome=FAILED if words else PASSED,
    )


def _replay(replayed: Replayed) -> Iterable[Check]:
    """Past misroutes: what was learnt must not be forgotten by more than is put right."""
    if replayed.n:
        worse = replayed.newly_wrong > replayed.fixed
        yield Check(
            what=f"past misroutes ({replayed.fixed} fixed, {replayed.still_wrong} still wrong, "
            f"{replayed.newly_wrong} newly wrong)",
            n=replayed.n,
            champion=(replayed.still_right + replayed.newly_wrong) / replayed.n,
            challenger=(replayed.still_right + replayed.fixed) / replayed.n,
            outcome=FOR_A_PERSON if worse else PASSED,
        )


def _beside(
    reference: Answered, challenger: Answered, held_out: Sequence[Example], target_error: float, seed: int
) -> Iterable[Check]:
    """A few small losses in a row are a large one, though each is within its limit ("bio-creep").

    Everson-Stewart and Emerson 2010, Bio-creep in non-inferiority clinical trials, Statistics in Medicine 29: compare
    with the best there was, too. The limits are twice those beside the champion.
    """
    before, right = reference.right(held_out), challenger.right(held_out)
    yield _difference(f"accuracy {_REFERENCE}", before, right, 2 * OVERALL_LIMIT, seed)
    names = np.array([row.department for row in held_out])
    for name in np.unique(names).tolist():
        mask = names == name
        if mask.sum() >= ENOUGH:
            yield _difference(f"department {name} {_REFERENCE}", before[mask], right[mask], 2 * GROUP_LIMIT, seed)
    before, after = reference.misrouted(held_out), challenger.misrouted(held_out)
    limit = 2 * OVERALL_LIMIT - accepted(reference.routed, challenger.routed, target_error)
    yield _difference(f"messages not sent to a wrong department {_REFERENCE}", ~before, ~after, limit, seed)


def _passed(checks: Sequence[Check]) -> bool:
    return all(check.outcome != FAILED for check in checks)
