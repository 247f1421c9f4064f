"""One person who is wrong and says much doesn't keep the gate shut for everybody else: the real training and gate."""

from __future__ import annotations

from functools import partial

import pytest

from classifiers._artifact import unpack
from router.learning.lessons import Lessons
from router.learning.snapshot import Snapshot, trained_on
from router.learning.train import train
from router.records import Department
from tests.unit.router.learning.conftest import WORDS

MAL, ANA = "mal@d.example", "ana@d.example"
DEPARTMENTS = [Department(id=label, name=label, covers=(label,)) for label in WORDS]


@pytest.fixture
def train_on(linear, settings, large_corpus, steps):
    """The real training, but for what a snapshot gives."""
    return partial(train, linear, settings, DEPARTMENTS, "office", progress=steps, corpus=large_corpus)


def test_the_words_of_one_person_wait_and_those_of_others_are_learnt(train_on, linear, store_row, about):
    """Two hundred times "this is for the kitchen" of messages about buses; ten right words of somebody else."""
    first = train_on()
    champion = linear.load(unpack(first.artifact)), unpack(first.artifact).meta
    wrong = [
        store_row(f"w{n}", "meals", about("buses", 1000 + n), {"key": f"correction {n}", "people": frozenset({MAL})})
        for n in range(200)
    ]
    right = [
        store_row(f"r{n}", "nurse", about("nurse", 5000 + n), {"key": f"correction {n}", "people": frozenset({ANA})})
        for n in range(200, 210)
    ]
    seen = Snapshot(lessons=Lessons(rows=(*wrong, *right), new=210, loudest=(MAL, 200)), champion=champion)
    model = trained_on(seen, train_on)
    assert model.verdict.passed
    assert len(model.verdict.doubted) == 200
    assert MAL in model.verdict.remark
    assert "it is refused" in model.verdict.remark
    assert MAL not in model.verdict.sentence
    assert sorted(model.metrics["learnt"]) == [f"correction {n}" for n in range(200, 210)]
