"""What the gate says of a challenger: the verdict, its table, and how both come back from another process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from router.errors import SignpostError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Past misroutes shown to both models again, by what became of them; `held_out`: how many nobody trained on."""

    n: int = 0
    fixed: int = 0
    still_right: int = 0
    still_wrong: int = 0
    newly_wrong: int = 0
    held_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the challenger may serve, why in one sentence, and the table behind it.

    `remark` is for those who govern what is learnt: it may name a person, and so stands on no card. `doubted` are the
    keys of the words (`Lesson.key`) without which it might have passed, or has. `instead_of` is the champion that
    couldn't be used, where the challenger was compared with what served in its place.
    """

    passed: bool
    sentence: str
    checks: tuple[Check, ...] = ()
    replayed: Replayed = Replayed()
    remark: str = ""
    doubted: tuple[str, ...] = ()
    instead_of: str = ""

    @property
    def waits(self) -> bool:
        """Whether a person has to judge first: nothing is surely worse, but something may be."""
        return self.passed and any(check.outcome == FOR_A_PERSON for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON object, for the registry."""
        checks = [asdict(check) for check in self.checks]
        return asdict(self) | {"checks": checks, "doubted": [*self.doubted], "waits": self.waits}


def verdict_from_json(value: dict[str, Any]) -> Verdict:
    """Return the verdict that `Verdict.to_json` wrote; raise `SignpostError` for anything else."""
    try:
        checks = tuple(Check(**check) for check in value["checks"])
        return Verdict(
            passed=bool(value["passed"]),
            sentence=str(value["sentence"]),
            checks=checks,
            replayed=Replayed(**value["replayed"]),
            remark=str(value.get("remark", "")),
            doubted=tuple(value.get("doubted", ())),
            instead_of=str(value.get("instead_of", "")),
        )
    except (KeyError, TypeError) as error:
        raise SignpostError(f"the gate's verdict can't be read: {error}") from error


def first(share: float, labels: Sequence[str], replayed: Replayed) -> Verdict:
    """Return what is said of a first model that is right on so large a share of messages with these labels."""
    guess = max(map(labels.count, set(labels))) / len(labels)
    passed = share > guess
    check = Check(
        what="accuracy, beside always naming the commonest label",
        n=len(labels),
        champion=guess,
        challenger=share,
        outcome=PASSED if passed else FAILED,
    )
    word = "more" if passed else "not more"
    said = (
        f"This is the first model: it is right on {share:.1%} of {len(labels)} held-out messages, {word} than the "
        f"{guess:.1%} of always naming the commonest label."
    )
    return Verdict(passed=passed, sentence=said, checks=(check,), replayed=replayed)


def sentence(checks: Sequence[Check], rehearsed: int = 0) -> str:
    """Return what the checks say, of which the first is the overall one; so many of its messages were rehearsed."""
    overall = checks[0]
    assert overall.champion is not None
    which = (
        f"messages ({overall.n - rehearsed} held out, the others in a rehearsal)" if rehearsed else "held-out messages"
    )
    figures = f"right on {overall.challenger:.1%} of {overall.n} {which}, the champion on {overall.champion:.1%}"
    failed, doubtful = (
        "; ".join(_failure(check) for check in checks if check.outcome == outcome) for outcome in (FAILED, FOR_A_PERSON)
    )
    if failed:
        return f"The challenger is {figures}; it is refused: {failed}."
    return f"The challenger is {figures}; it passes{f', but a person has to judge: {doubtful}' if doubtful else ''}."


def _failure(check: Check) -> str:
    if check.lower is not None and check.limit is not None:
        return f"{check.what} may be {-check.lower * 100:.1f} points worse, more than {-check.limit * 100:.1f}"
    if check.limit is not None and check.champion is not None:
        word = "grows" if check.challenger > check.champion else "falls"
        return f"{check.what} {word} from {check.champion:.1%} to {check.challenger:.1%}"
    if check.champion is not None and "newly" not in check.what:
        return f"{check.what} falls from {check.champion:.1%} to {check.challenger:.1%} of {check.n}"
    return check.what
