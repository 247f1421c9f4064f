"""A small district to learn from: three labels that a model can tell apart after a second of training."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from classifiers._corpus import Corpus
from classifiers.linear import CLASSIFIER, LinearSettings
from router.learning.lessons import Lesson
from router.store.engine import open_store
from router.testing import FakeClock
from tests.unit.router.learning.live import Live, versions

WORDS = {
    "buses": "bus route stop driver pickup yellow corner seat",
    "meals": "lunch cafeteria menu breakfast tray milk balance pizza",
    "nurse": "fever medicine inhaler allergy clinic vaccine cough rash",
}
FILLER = "please my child the school today we about could you need thanks tomorrow morning question again"


def text_about(label: str, random: Random) -> str:
    """Return a made-up message about a label, different each time."""
    words = random.sample(WORDS[label].split(), 4) + random.sample(FILLER.split(), 7)
    random.shuffle(words)
    return " ".join(words)


def corpus_rows(per_label: int = 40, seed: int = 7) -> list[dict[str, Any]]:
    random = Random(seed)
    rows = [
        {"department": label, "subject": "", "body": text_about(label, random), "language": "en", "medium": "sms"}
        for _ in range(per_label)
        for label in WORDS
    ]
    strangers = [
        {
            "department": "out_of_scope",
            "body": f"cheap {random.choice(FILLER.split())} loans casino offer {n} click now",
        }
        for n in range(12)
    ]
    return rows + strangers


@pytest.fixture
def store_row():
    """Make lessons, by default confirmed corrections: `store_row(message_id, department, text, {field: value})`."""

    def make(message_id: str, to: str, text: str, how: dict[str, Any] | None = None, **content: Any) -> Lesson:
        said = {"text": text, **content}
        return Lesson(message_id=message_id, to_department=to, medium="sms", content=said, id=1, **(how or {}))

    return make


@pytest.fixture
def about():
    """Make texts: `about(label, seed)`."""
    return lambda label, seed=0: text_about(label, Random(seed))


@pytest.fixture
def corpus():
    return Corpus(tuple(corpus_rows()), "fingerprint-of-the-small-corpus")


@pytest.fixture
def large_corpus():
    """One with more than a hundred held-out messages, so that the gate judges it by itself."""
    return Corpus(tuple(corpus_rows(per_label=300)), "fingerprint-of-the-large-corpus")


@pytest.fixture
def linear():
    return CLASSIFIER


@pytest.fixture
def settings():
    return LinearSettings(augment=False, folds=2)


@pytest.fixture
def steps():
    """A progress that remembers what it was told: `steps.told` holds (what, share)."""

    class Steps:
        def __init__(self) -> None:
            self.told: list[tuple[str, float]] = []

        def __call__(self, what: str, share: float) -> None:
            self.told.append((what, share))

    return Steps()


@pytest.fixture
async def live(store_url, log):
    """A daemon that does the learning, on either kind of store, with a clock that is turned by hand."""
    clock = FakeClock()
    store = open_store(store_url, clock)
    await store.open()
    yield await Live(store, clock, log).begin()
    await store.close()


@pytest.fixture
def make(linear, settings, corpus, steps):
    """Make versions of a model: `make(remark, parent, passed, **meta)`."""
    return versions(linear, settings, corpus, steps)
