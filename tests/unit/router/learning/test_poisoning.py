"""What wrong words do, through the real code: neither one person who mislabels nor stolen links change a model."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest

from classifiers._artifact import unpack
from classifiers._text import from_row
from router.learning import corrections as rules
from router.learning import registry
from router.learning.lessons import Rules
from router.learning.retrain import Retraining
from router.learning.snapshot import snapshot, trained_on
from router.learning.train import train
from router.records import CorrectionState, Reason
from router.routing.answer import Route
from router.store import artifacts, models
from router.store import model_events as events
from router.store.engine import open_store
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.router.district import District
from tests.unit.router.learning.conftest import corpus_rows, text_about
from tests.unit.router.learning.live import DEPARTMENTS, LABELS, Live, with_terms
from tests.unit.router.learning.test_corrections import delivered, flag
from tests.unit.router.web.site import LogLines

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
MAL, JO = "mal@d.example", "jo@d.example"


class ToBuses:
    """A step that sends everything to the buses."""

    name = "to-buses"

    async def decide(self, batch):
        """Route all."""
        return [Route(department="buses", reason=Reason.MODEL, confidence=0.9) for _ in batch]


@pytest.fixture
async def live(store_url):
    """A daemon's learning that keeps its log lines and learns of every ten words."""
    store = open_store(store_url, FakeClock())
    await store.open()
    made = await Live(store, store.clock, LogLines()).begin()
    with_terms(made, retrain_after=10)
    yield made
    await store.close()


@pytest.fixture
def district(live, log, rng):
    """Its messages, all of which go to the buses."""
    return District(live.store, log, rng, steps=(ToBuses(),), sink=RecordingSink())


@pytest.fixture
def learn(live, linear, settings, large_corpus, steps):
    """Train if it is time to, as the daemon does; return whether it did."""
    teach = partial(train, linear, settings, DEPARTMENTS, "office", corpus=large_corpus, progress=steps)

    async def run(_order, _within_s):
        return trained_on(await snapshot(live.store, Rules()), teach)

    async def look():
        trainings = len(await happened(live, events.TRAINING))
        await Retraining(live.around, run).look()
        live.clock.advance(1.0)
        return len(await happened(live, events.TRAINING)) > trainings

    return look


@pytest.fixture
async def first(live, linear, settings, large_corpus, steps):
    """The champion, which has learnt from the corpus alone."""
    model = train(linear, settings, DEPARTMENTS, "office", corpus=large_corpus, progress=steps)
    await registry.register(live.store, model, promote=True)
    return model


async def happened(live, what):
    """Return the events of one kind."""
    return [row for row in await live.store.read(events.listing) if row.what == what]


async def mislabelled(district, count, by, to="meals", seed=1):
    """Let one person send messages about buses to a wrong department, and confirm that."""
    random = Random(seed)
    for _ in range(count):
        message_id = await district.route(text_about("buses", random))
        moved = await flag(district, message_id, to, by=by)
        now = district.store.clock.now()
        confirm = partial(
            rules.settle, correction_id=moved.correction_id, state=CorrectionState.CONFIRMED, by=by, now=now
        )
        await district.store.write(confirm)


async def forged(district, count, to="meals", seed=2):
    """Press both buttons of stolen links: send messages on, and say where they went that they are right there."""
    random = Random(seed)
    for _ in range(count):
        message_id = await district.route(text_about("buses", random))
        await flag(district, message_id, to, await delivered(district, message_id), by="link")
        second, now = await delivered(district, message_id), district.store.clock.now()
        said = await district.store.write(partial(district.corrections.ours, delivery=second, now=now))
        assert said.confirmed_via == "votes"
        district.store.clock.advance(600.0)


def right(linear, model):
    """Return how often a model is right about messages that nobody has seen, by department."""
    classifier = linear.load(unpack(model))
    rows = [row for row in corpus_rows(per_label=100, seed=99) if row["department"] != "out_of_scope"]
    answers = classifier.predict([from_row(row) for row in rows])
    pairs = zip(rows, answers, strict=True)
    hits = [row["department"] for row, answer in pairs if answer.ranking[0][0] == row["department"]]
    return {label: hits.count(label) / 100 for label in LABELS}


async def serving(live):
    """Return the champion's name and bytes."""
    version = await live.store.read(models.champion_version)
    return version, await live.store.read(lambda c: artifacts.read(c, version))


async def test_one_person_who_mislabels_changes_no_model(live, district, learn, first, linear):
    """Sixty wrong words, which the cap makes fifty: what they make waits for a person, who is told why."""
    await mislabelled(district, 60, MAL)
    assert await learn()
    version, artifact = await serving(live)
    assert version == first.version
    assert live.told == ["A new model waits for a person"]
    [ended] = [facts for event, facts in live.around.log.lines if event == "training_ended"]
    assert ended["state"] == "challenger"
    waiting = await live.store.read(lambda c: models.get(c, ended["model"]))
    assert len(waiting.metrics["learnt"]) == Rules().person
    assert right(linear, artifact) == right(linear, first.artifact)
    assert "@" not in str(live.around.log.lines)


async def test_four_who_mislabel_are_refused(live, district, learn, first):
    """Two hundred wrong words: the gate says no, people are told why, the log says so."""
    for seed, to in enumerate(("meals", "meals", "office", "office")):
        await mislabelled(district, 50, f"person-{seed}@d.example", to, seed=seed)
    assert await learn()
    assert (await serving(live))[0] == first.version
    assert live.told == ["A new model was refused"]
    [ended] = [facts for event, facts in live.around.log.lines if event == "training_ended"]
    assert (ended["passed"], ended["state"]) == (False, "refused")
    refused = await live.store.read(lambda c: models.get(c, ended["model"]))
    assert len(refused.metrics["learnt"]) == 4 * Rules().person


async def test_links_in_wrong_hands_start_no_training_and_teach_nothing(live, district, learn, first):
    """Twenty forged pairs of votes are confirmed; nothing is trained, and by hand the very same model comes out."""
    await forged(district, 20)
    assert not await learn()
    with_terms(live, retrain_after=1)
    assert not await learn()
    seen = await snapshot(live.store, Rules())
    assert (seen.lessons.rows, seen.lessons.waiting) == ((), 20)
    assert (await serving(live))[0] == first.version


async def test_forged_votes_beside_a_persons_words_are_few(live, district, learn, first, linear):
    """They come with the next training that a person has given reason for, a handful, and make no model worse."""
    await forged(district, 20)
    await mislabelled(district, 1, JO, to="office")
    assert await learn()
    seen = await snapshot(live.store, Rules())
    assert sum(lesson.voted for lesson in seen.lessons.rows) == Rules().votes_address
    _version, artifact = await serving(live)
    before, after = right(linear, first.artifact), right(linear, artifact)
    assert all(after[label] >= before[label] - 0.03 for label in LABELS)
