"""Training chunk by chunk: the same kind of model, from more rows than one matrix would hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from classifiers import _stream, _stream_train, _train, linear
from classifiers._corpus import GLOSSARY, OUT_OF_SCOPE
from classifiers.linear import LinearSettings
from router.interfaces import Example, ModelInput
from tests.unit.classifiers.samples import STRANGERS, TOPICS, examples, sentence, silent, strangers


@pytest.fixture
def small_chunks(monkeypatch):
    """Have a few hundred rows count as many, in chunks of a hundred."""
    monkeypatch.setattr(_train, "ABOVE_ROWS", 200)
    monkeypatch.setattr(_stream, "_CHUNK", 100)


def streamed(rows=None, others=(), **settings):
    """Train on these rows, which must be enough to be streamed."""
    artifact = linear.train(rows or examples(200), [*others], LinearSettings(**settings), silent)
    assert artifact.meta["streamed"]
    return artifact


def test_the_model_is_served_like_any_other(small_chunks):
    """The same arrays, loaded by the same scorer; what it says is right on rows that it never saw."""
    model = linear.load(streamed())
    unseen = examples(60, seed=5)
    answers = model.predict([example.input for example in unseen])
    right = sum(answer.ranking[0][0] == example.department for answer, example in zip(answers, unseen, strict=True))
    assert right / len(unseen) > 0.95
    assert all(abs(sum(p for _, p in answer.ranking) - 1) < 1e-6 for answer in answers)
    word, weight = model.explain(ModelInput(subject="", body="the autobús was late at the parada"), "bus")[0]
    assert (word in {"autobus", "parada", "late"}, weight > 0) == (True, True)


def test_few_rows_are_learnt_as_before():
    """Up to thirty thousand rows nothing changes."""
    assert "streamed" not in linear.train(examples(40), [], LinearSettings(), silent).meta


def test_temperature_and_thresholds_come_from_rows_that_were_kept_back(small_chunks):
    """Ten per cent are tried before they are learnt; groups of near-duplicates stay on one side."""
    rows = examples(200)
    artifact = streamed(rows)
    assert 50 <= artifact.meta["metrics"]["n"] <= 70
    assert artifact.meta["temperature"] > 0
    assert artifact.meta["operating_points"]


def test_strangers_get_a_column_and_low_scores(small_chunks):
    """Out-of-scope rows teach when to abstain, whether given beside the examples or among them."""
    among = [
        Example(input=ModelInput(subject="", body=sentence(STRANGERS, Random(n))), department=OUT_OF_SCOPE)
        for n in range(60)
    ]
    artifact = streamed([*examples(200), *among], strangers(60))
    assert artifact.meta["labels"] == sorted(TOPICS)
    assert artifact.meta["out_of_scope_rows"] == 120
    model = linear.load(artifact)
    inside = np.mean([p.score for p in model.predict([e.input for e in examples(30, seed=9)])])
    outside = np.mean([p.score for p in model.predict(strangers(30, seed=9))])
    assert inside > outside


def test_the_same_rows_and_seed_give_the_same_model(small_chunks):
    """However many threads learn: the bytes are the same."""
    assert streamed().sha256 == streamed().sha256


def test_two_labels_are_enough(small_chunks):
    """Then scikit-learn keeps one column only, and the other is its opposite."""
    rows = [example for example in examples(200) if example.department != "nurse"]
    answer = linear.load(streamed(rows)).predict([ModelInput(subject="", body="the menu of the cafeteria")])[0]
    assert [label for label, _ in answer.ranking] == ["lunch", "bus"]


def test_glossaries_and_weights_are_heeded(small_chunks):
    """A term of the glossary teaches its word; rows of next to no weight teach next to nothing."""
    term = Example(input=ModelInput(subject="", body="zanahoria"), department="lunch", source=GLOSSARY)
    wrong = [replace(row, department="nurse", weight=1e-6) for row in examples(100, seed=3)]
    model = linear.load(streamed([*examples(200), *wrong, *([term] * 3)], glossary_weight=5.0))
    assert model.predict([ModelInput(subject="", body="zanahoria")])[0].ranking[0][0] == "lunch"
    answers = model.predict([example.input for example in examples(30, seed=5)])
    assert np.mean([a.ranking[0][0] == e.department for a, e in zip(answers, examples(30, seed=5), strict=True)]) > 0.9


def test_urgent_rows_are_learnt_from_too(small_chunks):
    """What marks an urgent message is learnt from the sample."""
    rows = [replace(row, urgent=number % 3 == 0) for number, row in enumerate(examples(200))]
    rows = [
        replace(row, input=replace(row.input, body=f"{row.input.body} bleeding")) if row.urgent else row for row in rows
    ]
    assert "urgent" in streamed(rows).meta


def test_a_sample_has_every_label():
    """A label with few rows gives all of them, one with many its share."""
    labels = ["bus"] * 5000 + ["lunch"] * 30
    chosen = [labels[number] for number in _stream.sampled(labels, 503, 0)]
    assert (chosen.count("bus"), chosen.count("lunch")) == (500, 30)


@pytest.mark.parametrize(("rows", "times"), [(31_000, 10), (100_000, 4), (1_000_000, 1)])
def test_fewer_rows_are_looked_at_more_often(rows, times):
    """Time stays about the same up to some hundred thousand rows, and is linear beyond."""
    assert _stream.epochs(rows) == times


class _Heard:
    """A reader and learner in one: every message is a value of its own, and what is read and learnt is noted."""

    seed = 0

    def __init__(self) -> None:
        self.read: list[int] = []
        self.learnt: list[int] = []

    def lesson(self, numbers):
        self.read += numbers.tolist()
        return csr_matrix(np.ones((1, len(numbers)))), numbers, None

    def learn(self, _values, numbers, _weights):
        self.learnt += numbers.tolist()


@pytest.mark.parametrize(("room", "read"), [(1000, 1), (150, 2), (0, 3)])
def test_what_there_is_room_for_is_read_once(small_chunks, room, read):
    """Every message is learnt as often as asked for; of two hundred, those in the kept chunks are read only once."""
    heard = _Heard()
    _stream_train._Lessons(heard, heard, room).take(np.arange(200), 3, silent)
    assert Counter(heard.learnt) == dict.fromkeys(range(200), 3)
    assert len(heard.read) == 200 * read


def test_held_out_messages_are_learnt_with_the_others_or_alone(small_chunks):
    """Where there is time all are learnt once more, so that none is the last word; else the new ones, once."""
    for epochs, expected in ((1, {"first": 2, "later": 1}), (0, {"first": 1, "later": 1})):
        heard = _Heard()
        lessons = _stream_train._Lessons(heard, heard, 1000)
        lessons.take(np.arange(150), 1, silent)
        lessons.take(np.arange(150, 180), epochs, silent)
        often = Counter(heard.learnt)
        assert {often[0], often[149]} == {expected["first"]}
        assert {often[150], often[179]} == {expected["later"]}


def test_rare_labels_count_more_but_not_as_much_as_all_others():
    """A row of a label with a ninth of the rows counts three times as much, not nine times."""
    counts = _stream.balanced(["bus"] * 900 + ["lunch"] * 100)
    assert counts["lunch"] / counts["bus"] == pytest.approx(3)


def test_terms_count_as_the_trained_pipeline_counts_them():
    """What the vocabulary looks up is what counting found."""
    from classifiers._counts import count_terms  # noqa: PLC0415  scikit-learn's part

    inputs = [example.input for example in examples(20)]
    counted, terms = count_terms(inputs)
    numbers = [{term: number for number, term in enumerate(names)} for names in terms]
    for ours, theirs in zip(_stream.Vocabulary(*numbers).counts(inputs), counted, strict=True):
        assert (ours != theirs).nnz == 0
