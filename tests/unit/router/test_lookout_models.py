"""What a look ahead found holds as long as the model serves that was asked: else it is asked again."""

from __future__ import annotations

import pytest

from classifiers._text import readings
from router.routing.stage import BATCH
from router.store import decisions
from tests.unit.router.test_lookout import ALARM, Ahead, fill


class Served:
    """A model that serves: it knows one word, and may fail."""

    threshold = 0.5

    def __init__(self, version, word):
        self.version, self.word, self.fails = version, word, False
        self.urgent = self

    def likely(self, inputs):
        """Say whether the word is there, or fail."""
        if self.fails:
            raise RuntimeError("boom")
        return [0.9 if self.word in each.body else 0.0 for each in inputs]

    def explain(self, _model_input, most=12):
        """Name the word."""
        return [(self.word, 1.0)][:most]


@pytest.fixture
async def judged(sqlite_store, log, rng):
    """A living daemon's stages, whose urgent step asks a model."""
    district = Ahead(sqlite_store, log, rng)
    await district.register()
    district.serving = Served("one", "goodnight")
    district.urgent._classifier = lambda: district.serving
    district.urgent._readings = readings
    return district


async def look_through(district):
    """Let the deciders fall behind, and look through all that waits."""
    await district.stage.run_once()
    while await district.lookout.run_once():
        pass


async def reason_of(district, message_id):
    """Return why a message was taken for urgent."""
    return (await district.store.read(lambda c: decisions.in_force(c, message_id))).urgent


async def test_a_model_that_failed_was_believed_to_have_found_nothing(judged):
    """Nobody could say when it was looked at: the model is asked again when the message is decided."""
    ids = [*await fill(judged, 300), await judged.accept("buses and goodnight")]
    judged.serving.fails = True
    await fill(judged, BATCH, "meals")
    await look_through(judged)
    assert ids[-1] in judged.lookout._seen
    assert not judged.lookout.found
    judged.serving.fails = False
    await judged.decide()
    assert await reason_of(judged, ids[-1]) == "by its wording (goodnight)"


async def test_what_a_model_of_before_found_was_believed(judged):
    """When another serves, it looks through what waits once more, and what it finds comes first."""
    await fill(judged, 300)
    missed = await judged.accept("buses by the lake")
    harmless = await judged.accept("buses and goodnight")
    await fill(judged, BATCH, "meals")
    await look_through(judged)
    assert judged.lookout.take(9) == [harmless]
    judged.serving = Served("two", "lake")
    while await judged.lookout.run_once():
        pass
    assert list(judged.lookout.found) == [missed]
    await judged.decide()
    assert await reason_of(judged, missed) == "by its wording (lake)"
    assert await reason_of(judged, harmless) == ""


async def test_between_a_look_and_the_decision_the_model_was_exchanged(judged):
    """Without another look through what waits: the step asks the one that serves."""
    await fill(judged, 300)
    missed = await judged.accept("buses by the lake")
    phrase = await judged.accept(ALARM)
    await fill(judged, BATCH, "meals")
    await look_through(judged)
    judged.serving = Served("two", "lake")
    asked, look = [], judged.urgent._look
    judged.urgent._look = lambda model, pair: asked.append(pair[0].text) or look(model, pair)
    await judged.decide()
    assert await reason_of(judged, missed) == "by its wording (lake)"
    assert await reason_of(judged, phrase)
    assert ALARM not in asked  # a whole phrase is one whatever the model


async def test_without_a_model_what_the_words_found_holds_until_one_serves(judged):
    """A new daemon has none for a moment."""
    judged.serving = None
    await fill(judged, 300)
    missed = await judged.accept("buses by the lake")
    await fill(judged, BATCH, "meals")
    await look_through(judged)
    assert judged.urgent.holds(judged.lookout._seen[missed].look)
    judged.serving = Served("one", "lake")
    assert judged.lookout.recall(missed).reason is None
