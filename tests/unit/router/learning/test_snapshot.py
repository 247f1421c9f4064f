"""What a training is given: the models to compare with, and what it tries without the loudest person's words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from classifiers._artifact import Artifact
from router.errors import BadArtifact
from router.learning import registry
from router.learning.lessons import Lesson, Lessons, Rules
from router.learning.snapshot import Snapshot, snapshot, trained_on
from router.learning.train import trained
from router.learning.verdicts import Verdict
from tests.contract.store_helpers import spoil

YES = Verdict(passed=True, sentence="It passes.")
MAL, ANA, BO = "mal@d.example", "ana@d.example", "bo@d.example"


# --- the models -------------------------------------------------------------------------------------------------------


async def test_the_champion_and_the_best_before_it_are_what_a_challenger_is_compared_with(live, make):
    """What the champion has learnt is told, too; the best isn't named twice if it is the champion."""
    assert await snapshot(live.store, Rules()) == Snapshot()
    first = await registry.register(live.store, make("one", learnt=["correction 1"]), promote=True)
    seen = await snapshot(live.store, Rules())
    assert (seen.champion[0].version, seen.learnt, seen.reference) == (first.version, {"correction 1"}, None)
    live.clock.advance(60.0)
    second = await registry.register(live.store, make("two", first.version), promote=True)
    seen = await snapshot(live.store, Rules())
    assert (seen.champion[0].version, seen.instead_of) == (second.version, "")
    assert seen.reference[0].version == first.version


@pytest.fixture
async def unusable(live):
    """A champion that no type of ours can load."""
    foreign = trained(Artifact("telepathy", {}, {}), YES)
    return await registry.register(live.store, foreign, promote=True)


async def test_an_unusable_champion_stopped_every_training(live, make, unusable):
    """A challenger is compared with what serves in its place: the bundled model, or one that served before."""
    with pytest.raises(BadArtifact):
        await snapshot(live.store, Rules())
    bundled = make("bundled")
    await registry.stand_in(live.store, lambda: (bundled.artifact, bundled.sha256))
    seen = await snapshot(live.store, Rules())
    assert (seen.champion[0].version, seen.instead_of) == (bundled.version, unusable.version)


async def test_one_that_served_before_comes_before_the_bundled_one(live, make):
    """As in the daemon (`router.serving`)."""
    first = await registry.register(live.store, make("one"), promote=True)
    second = await registry.register(live.store, make("two", first.version), promote=True)
    bundled = make("bundled")
    await registry.stand_in(live.store, lambda: (bundled.artifact, bundled.sha256))
    await spoil(live.store, second.version)
    seen = await snapshot(live.store, Rules())
    assert (seen.champion[0].version, seen.instead_of) == (first.version, second.version)


# --- the loudest ------------------------------------------------------------------------------------------------------


def word(number, *people):
    """Return what somebody said."""
    said = {"message_id": f"m{number}", "medium": "sms", "content": {"text": f"message {number}"}}
    return Lesson(to_department="buses", key=f"correction {number}", people=frozenset(people), **said)


def seen_with(*rows, **more):
    """Return a snapshot with these words, of which the champion has learnt the first."""
    lessons = Lessons(rows=rows, new=len(rows) - 1, loudest=(MAL, 3))
    return Snapshot(lessons=lessons, learnt=frozenset({rows[0].key}), instead_of="0123456789ab", **more)


class Training:
    """Stands in for a training: the gate refuses whatever has learnt one of these words."""

    def __init__(self, *bad):
        self.bad, self.given = bad, []

    def __call__(self, *, store_rows, left_out, champion, reference):
        self.given.append([row.key for row in store_rows])
        assert (champion, reference) == (None, None)
        refused = any(row.key in self.bad for row in store_rows)
        sentence = "it is refused: accuracy." if refused else "it passes."
        return trained(
            Artifact("linear", {}, {"n": len(store_rows)}), replace(YES, passed=not refused, sentence=sentence)
        )


ROWS = (word(1, MAL), word(2, MAL), word(3, MAL, BO), word(4, MAL), word(5, ANA))


def test_one_persons_words_kept_the_gate_shut_for_everybody():
    """It is refused with them, and passes without what is new of them: that goes on, and they wait, by name."""
    training = Training("correction 3")
    model = trained_on(seen_with(*ROWS), training)
    assert training.given == [[row.key for row in ROWS], ["correction 1", "correction 5"]]
    verdict = model.verdict
    assert (verdict.passed, verdict.instead_of) == (True, "0123456789ab")
    assert verdict.doubted == ("correction 2", "correction 3", "correction 4")
    assert MAL not in verdict.sentence
    assert "3 words of one person aren't in it" in verdict.sentence
    assert verdict.remark == (
        f"3 of the 4 words of people that are new to it come of {MAL}; with them: it is refused: accuracy."
    )


def test_a_refusal_names_who_is_behind_most_of_what_is_new():
    """Without them it is refused, too: the refusal stands, and says where to look first."""
    training = Training("correction 3", "correction 5")
    verdict = trained_on(seen_with(*ROWS), training).verdict
    assert (verdict.passed, verdict.sentence, len(training.given)) == (False, "it is refused: accuracy.", 2)
    assert verdict.remark == f"3 of the 4 words of people that are new to it come of {MAL}."


def test_where_nobody_else_said_anything_there_is_no_second_try():
    """Without new words there is nothing to try."""
    training = Training("correction 3")
    verdict = trained_on(seen_with(*ROWS[:-1]), training).verdict
    assert (verdict.passed, len(training.given), verdict.doubted[0]) == (False, 1, "correction 2")


def test_a_model_that_passes_blames_nobody():
    """One training, and no remark."""
    training = Training()
    verdict = trained_on(seen_with(*ROWS), training).verdict
    assert (verdict.passed, verdict.remark, verdict.doubted, len(training.given)) == (True, "", (), 1)
