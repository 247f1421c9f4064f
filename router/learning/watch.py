"""After a promotion: go back if people correct the new champion, or it abstains, more often than the one before.

One person alone moves no model: nobody counts for more than all the others together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from router.errors import BadArtifact
from router.learning import registry
from router.learning.proofs import fisher_test
from router.records import Notice
from router.store import marks, model_rates, models
from router.store import model_events as events

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from router.learning.retrain import Surroundings
    from router.store.model_rates import Rates
    from router.store.models import ModelRow

FIRST = 100  # messages decided by the new champion, at the first of the looks; each next look has twice as many
LOOKS = 8
CHANCE = 0.01  # of going back from a champion that is no worse, over all looks and both rates
LEAST_MORE = {"corrected": 0.01, "abstained": 0.05}  # smaller differences are no reason, however sure


@dataclass(frozen=True, slots=True, kw_only=True)
class Worse:
    """What got worse: the name of the rate, before and after as (hits, cases); whether one person alone says so."""

    what: str
    before: tuple[int, int]
    after: tuple[int, int]
    by_one: bool = False

    def __str__(self) -> str:
        verb = {"corrected": "were corrected by people", "abstained": "were left to a person"}[self.what]
        whose = {"corrected": "messages that it routed", "abstained": "messages"}[self.what]
        (hits, n), (hits_before, n_before) = self.after, self.before
        return f"of {n} {whose} {hits} {verb}, of {n_before} before it {hits_before}"


class Watch:
    """`look` compares the champion with what was before it, at a few fixed numbers of messages."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def look(self) -> bool:
        """Look if it is time to; return whether the champion was left."""
        around = self._around
        row = await around.store.read(models.champion)
        if row is None or row.promoted_at is None or not row.since_decision:
            return False
        promoted = await around.store.read(lambda c: events.last_of(c, row.version, events.PROMOTED))
        if promoted is None:
            return False
        decided = await around.store.read(lambda c: model_rates.decided(c, row, FIRST << LOOKS))
        number = look_number(decided)
        name = f"watch:{row.version}:{row.since_decision}:{number}"
        if number is None or await around.store.read(lambda c: marks.get(c, name)) is not None:
            return False
        before, after = await around.store.read(lambda c: model_rates.both(c, row))
        worse = what_is_worse(before, after, number)
        around.log.info("champion_watched", model=row.version, look=number, messages=after.n, worse=bool(worse))
        if worse is None or promoted.by or worse.by_one:
            await self._done(name)
            if worse is not None:
                why = "a person has promoted it" if promoted.by else "one person alone has confirmed most of that"
                await self._point_out(row, worse, why)
            return False
        return await self._go_back(row, worse, name)

    async def _done(self, name: str) -> None:
        """Look once for each number: chance gets no second try."""
        now = self._around.store.clock.now()
        await self._around.lease.write(lambda c: marks.claim_since(c, name, now, now))

    async def _go_back(self, row: ModelRow, worse: Worse, name: str) -> bool:
        """Go back, and note with it that this look was made: if it fails it is made again."""
        around = self._around
        before = await around.store.read(models.before_champion)
        if before is None or not await self._is_sound(before):
            await self._done(name)
            await self._point_out(row, worse, "there is no sound one to go back to")
            return False
        now, why = around.store.clock.now(), str(worse)

        def work(connection: Connection) -> bool:
            registry.alone(connection)
            if models.champion_version(connection) != row.version:
                return False
            marks.claim_since(connection, name, now, now)
            registry.go_back(connection, before.version, now, why=why)
            return True

        if not await around.lease.write(work):
            return False
        await around.refresh()
        around.log.warning("model_rolled_back", model=row.version, serves=before.version, why=why)
        text = (
            f"The model {row.version} was taken back, {before.version} serves again: {why}.\n\n"
            f"To use it all the same:  signpost models promote {row.version}\n"
        )
        await around.tell("learning", Notice(subject=f"The new model {row.version} was taken back", text=text))
        return True

    async def _is_sound(self, row: ModelRow) -> bool:
        try:
            await registry.check(self._around.store, row)
        except BadArtifact:
            return False
        return True

    async def _point_out(self, row: ModelRow, worse: Worse, why_it_stays: str) -> None:
        text = (
            f"The model {row.version} does worse than the one before: {worse}.\n"
            f"It stays, because {why_it_stays}.\n\n"
            "To go back:  signpost models rollback\nTo choose another:  signpost models promote VERSION\n"
        )
        await self._around.tell("learning", Notice(subject=f"The model {row.version} does worse", text=text))


def look_number(decided: int) -> int | None:
    """Return which look it is time for (from 0), None before the first and after the last."""
    if decided < FIRST or decided >= FIRST << LOOKS:
        return None
    return (decided // FIRST).bit_length() - 1


def what_is_worse(before: Rates, after: Rates, number: int) -> Worse | None:
    """Return what got significantly worse, None if nothing did.

    Fisher's exact test for each rate. Looking again and again would find a difference by chance sooner or later, so
    look k spends only its part of the chance, 1/((k+1)(k+2)) of it, which add up to 1 (alpha spending, Lan and DeMets
    1983, by Bonferroni's inequality).
    """
    if before.n < FIRST:
        return None
    chance = CHANCE / len(LEAST_MORE) / ((number + 1) * (number + 2))
    others = after.corrected - after.by_one
    capped = replace(after, corrected=min(after.corrected, 2 * others))
    abstained = _worse("abstained", before, after, chance)
    corrected = _worse("corrected", before, after, chance)
    if corrected is None or _worse("corrected", before, capped, chance):
        return corrected or abstained
    return abstained or replace(corrected, by_one=True)


def _worse(what: str, before: Rates, after: Rates, chance: float) -> Worse | None:
    cases = "routed" if what == "corrected" else "n"
    old, new = [(getattr(rates, what), getattr(rates, cases)) for rates in (before, after)]
    if not (old[1] and new[1]):
        return None
    surely = new[0] / new[1] - old[0] / old[1] >= LEAST_MORE[what] and fisher_test(old, new) <= chance
    return Worse(what=what, before=old, after=new) if surely else None
