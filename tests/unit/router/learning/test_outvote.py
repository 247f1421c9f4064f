"""Bundled messages give way where enough confirmed corrections of messages like them say otherwise, and only there."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from classifiers._corpus import Corpus
from router.interfaces import ModelInput
from router.learning import likeness
from router.learning.card import card
from router.learning.dataset import build
from router.learning.lessons import AUDIT, CORRECTION, SILENCE, TACIT
from router.learning.likeness import Likeness
from router.learning.outvote import Terms, told
from router.learning.retrain import Retraining
from router.learning.train import train
from router.records import Department
from tests.unit.router.learning.live import champion
from tests.unit.router.web.site import LogLines

if TYPE_CHECKING:
    from random import Random

DEPARTMENTS = tuple(Department(id=label, name=label, covers=(label,)) for label in ("buses", "meals", "nurse"))
OFFICE = Department(id="office", name="Office")
FILLER = "please my child the school today we about could you need thanks tomorrow morning question again"
ANA, BEN = frozenset({"ana@d.example"}), frozenset({"ben@d.example"})
MOVED, KEPT = "shuttle bay curb van sidewalk pickup", "route driver stop seat engine wheel"


def text(words: str, random: Random) -> str:
    return " ".join([*random.sample(words.split(), 4), *random.sample(FILLER.split(), 4)])


@pytest.fixture
def bundle(rng):
    """Thirty messages about shuttles and sixty about other matters of the buses, all known as the buses'; others'."""
    other = {"meals": "lunch menu tray milk soup bread", "nurse": "fever rash cough clinic lice itch"}
    rows = [("buses", MOVED)] * 30 + [("buses", KEPT)] * 60 + [(label, other[label]) for label in other] * 40
    return Corpus(tuple({"department": label, "body": text(words, rng)} for label, words in rows), "made up")


@pytest.fixture
def corrected(store_row, rng):
    """Make confirmed corrections of messages about shuttles, which went to the buses, by two people in turns."""

    def make(count, *, to="meals", words=MOVED, first=0, **how):
        said = {"from_department": "buses", "source": CORRECTION} | how
        return [
            store_row(f"M{n}", to, text(words, rng), {"key": f"correction {n}", "people": (ANA, BEN)[n % 2]} | said)
            for n in range(first, first + count)
        ]

    return make


def learn(bundle, lessons, terms=Terms()):  # noqa: B008  it can't be changed
    return build(corpus=bundle, lessons=lessons, departments=(*DEPARTMENTS, OFFICE), fallback="office", outvoting=terms)


def left(dataset, words):
    """Return how many bundled messages of the buses that hold such words are left."""
    rows = (row for row in dataset.examples if row.source == "corpus" and row.department == "buses")
    return sum(any(word in row.input.body for word in words.split()) for row in rows)


def test_messages_like_those_that_two_people_moved_lose_their_say(bundle, corrected):
    """Most of the thirty about shuttles are left out, none of the sixty; it is counted, for this pair."""
    dataset = learn(bundle, corrected(20))
    (pair,) = dataset.outvoted
    assert (pair.label, pair.to, pair.corrections) == ("buses", "meals", 20)
    assert pair.messages == 30 - left(dataset, MOVED) >= 15
    assert left(dataset, KEPT) == 60
    reason = "bundled, but confirmed corrections of messages like it say otherwise"
    assert dataset.left_out == {reason: pair.messages}
    assert dataset.counts == {"corpus": 170 - pair.messages, "correction": 20}
    (sentence,) = told([{"label": "buses", "to": "meals", "corrections": 20, "messages": pair.messages, "silent": 0}])
    assert sentence.startswith(f"{pair.messages} bundled messages of buses aren't used: 20 confirmed corrections")


@pytest.mark.parametrize(
    "how",
    [
        {"people": ANA},
        {"voted": True},
        {"source": TACIT},
        {"source": AUDIT},
        {"from_department": ""},
        {"from_department": "nurse"},
        {"from_department": "office"},
        {"to": "office"},
    ],
    ids=["one person", "votes", "time", "audits", "nothing moved", "from elsewhere", "from the fallback", "nobody's"],
)
def test_nothing_less_than_several_peoples_corrections_outvotes(bundle, corrected, how):
    """Not one person's, not votes', not time's; and only what left this department."""
    assert learn(bundle, corrected(20, **how)).outvoted == ()


def test_one_of_twenty_from_somebody_else_is_not_several_people(bundle, corrected):
    """Whoever is left out, two corrections near a message must remain."""
    lessons = [*corrected(19, people=ANA), *corrected(1, first=19, people=BEN)]
    assert learn(bundle, lessons).outvoted == ()


def test_a_flag_that_somebody_else_confirmed_is_two_peoples(bundle, corrected):
    """An address whose link was used, and the one person who confirms everything."""
    both = ANA | {"the address buses@d.example"}
    assert learn(bundle, corrected(20, people=both)).outvoted


def test_fewer_than_the_setting_says_outvote_nothing_and_0_switches_it_off(bundle, corrected):
    """Four aren't five; no terms are none."""
    lessons = corrected(20)
    assert learn(bundle, lessons[:4]).outvoted == ()
    assert learn(bundle, lessons, Terms(corrections=0)).outvoted == ()
    assert learn(bundle, lessons, None).outvoted == ()


def test_what_people_say_for_the_bundle_counts_against(bundle, corrected):
    """Where more audits leave messages like one with the buses, it keeps its say."""
    kept = corrected(60, to="buses", first=50, source=AUDIT, from_department="")
    lessons = corrected(20)
    assert sum(pair.messages for pair in learn(bundle, lessons).outvoted) >= 15
    assert sum(pair.messages for pair in learn(bundle, [*lessons, *kept]).outvoted) <= 3


def test_messages_that_nobody_flagged_count_against(bundle, corrected):
    """Where more of them stayed than were moved, only some of the kind are another's: the bundle keeps its say."""
    how = {"source": SILENCE, "weight": 0.2, "key": "", "people": frozenset()}
    lessons = [*corrected(20), *corrected(60, to="buses", first=50, **how)]
    assert sum(pair.messages for pair in learn(bundle, lessons).outvoted) <= 3


def test_no_more_than_a_share_of_a_department_is_outvoted(bundle, corrected):
    """Ninety bundled messages of the buses, a tenth at most."""
    (pair,) = learn(bundle, corrected(20), Terms(share=0.1)).outvoted
    assert pair.messages == 9


def test_messages_that_nobody_flagged_lose_their_say_too(bundle, corrected):
    """They are where the model put them, which people say is wrong."""
    silent = corrected(15, to="buses", first=50, source=SILENCE, weight=0.2, key="", people=frozenset())
    dataset = learn(bundle, [*corrected(20), *silent])
    (pair,) = dataset.outvoted
    assert pair.silent > 7
    assert (
        dataset.left_out["nobody flagged it, but confirmed corrections of messages like it say otherwise"]
        == pair.silent
    )
    assert dataset.counts.get("silence", 0) == 15 - pair.silent


def test_an_urgent_message_is_never_outvoted(bundle, corrected):
    """No model may lose its alarm unseen."""
    urgent = Corpus(tuple(row | {"urgent": True} for row in bundle.rows), "made up")
    assert learn(urgent, corrected(20)).outvoted == ()


def test_it_is_told_of_the_model_and_with_0_nothing_is(linear, settings, steps, bundle, corrected):
    """The real training: in the metadata that the registry keeps, and on the card."""
    put = partial(train, linear, settings, DEPARTMENTS, "office", corpus=bundle, progress=steps)
    (pair,) = put(store_rows=corrected(20), outvoting=Terms()).metrics["outvoted"]
    assert (pair["label"], pair["to"], pair["corrections"]) == ("buses", "meals", 20)
    assert put(store_rows=corrected(20), outvoting=Terms(corrections=0)).metrics["outvoted"] == []
    view = dict.fromkeys(
        ("version", "type", "state", "created_at", "promoted_at", "parent", "sha256", "fingerprint"), "x"
    )
    text = card({**view, "metrics": {"outvoted": [pair]}, "verdict": {}})
    assert f"- {pair['messages']} bundled messages of buses aren't used: 20 confirmed corrections say" in text


async def test_a_daemon_logs_it(live, make):
    """Which departments, how many messages and corrections, and in which model."""
    pair = {"label": "buses", "to": "meals", "corrections": 20, "messages": 17, "silent": 0}
    made = make("two", (await champion(live, make)).version, outvoted=[pair])

    async def run(_order, _within_s):
        return made

    log = LogLines()
    await Retraining(replace(live.around, log=log), run).train("somebody asked")
    [facts] = [facts for event, facts in log.lines if event == "bundled_outvoted"]
    assert facts.items() >= {"model": made.version, **pair}.items()


def test_a_message_that_nobody_flagged_spoke_for_itself(bundle, corrected, rng):
    """Five corrections and four other silent messages like it: outvoted, for five to four, not five to five."""
    same = text(MOVED, rng)
    silence = {"source": SILENCE, "weight": 0.2, "key": "", "people": frozenset()}
    silent = [
        replace(each, content={"text": f"{same} {number}"})
        for number, each in enumerate(corrected(5, to="buses", first=50, **silence))
    ]
    moved = [replace(each, content={"text": f"{same} {n} again"}) for n, each in enumerate(corrected(5))]
    (pair,) = learn(bundle, [*moved, *silent], Terms(share=1.0)).outvoted
    assert pair.silent == 5


def test_the_memory_grew_with_the_square_of_the_messages(monkeypatch):
    """However many there are, no more cosines than so many are held at once, and the answer is the same."""
    inputs = [ModelInput(subject="", body=f"the bus is late {n % 7} {n % 11}") for n in range(90)]
    alike, numbers = Likeness(inputs), range(90)
    whole = alike.count_within(numbers, numbers, 0.7), alike.nearest(numbers, numbers, 3)
    held = []
    cosines = Likeness._cosines

    def watched(self, these, those):
        for part in cosines(self, these, those):
            held.append(part.size)
            yield part

    monkeypatch.setattr(Likeness, "_cosines", watched)
    monkeypatch.setattr(likeness, "_AT_ONCE", 1_000)
    assert (alike.count_within(numbers, numbers, 0.7) == whole[0]).all()
    assert (alike.nearest(numbers, numbers, 3) == whole[1]).all()
    assert max(held) <= 1_000
    assert (alike.count_within([3], [3], 0.7) == [0]).all()
