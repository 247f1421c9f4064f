"""What each source helped: the same held-out messages, asked of models that learnt without one of the sources."""

from __future__ import annotations

import json

import pytest

from classifiers._corpus import GLOSSARY
from router.interfaces import Example, ModelInput
from router.learning.helped import compare_sources
from router.learning.train import train
from router.records import Prediction


class Parrot:
    """A classifier that knows the departments it has seen, and names the first one for everything else."""

    version = "parrot"

    def __init__(self, examples):
        self.labels = tuple(dict.fromkeys(example.department for example in examples))

    def predict(self, inputs):
        """Return the department that the message names, if it is known."""
        return [self._answer(said.body) for said in inputs]

    def _answer(self, body):
        return Prediction(ranking=((body if body in self.labels else self.labels[0], 1.0),), score=1.0)


def example(department, source):
    """Return a message that names its department."""
    return Example(input=ModelInput(subject="", body=department), department=department, source=source)


TRAINING = [
    example("buses", "corpus"),
    example("meals", "corpus"),
    example("meals", "file a"),
    example("rooms", "file b"),
]
HELD_OUT = [
    example("buses", "corpus"),
    example("meals", "file a"),
    example("rooms", "file b"),
    example("rooms", "file b"),
]


def compared(**more):
    """Compare the sources of these messages."""
    told = []
    seen = []

    def fit(examples, _outside, progress):
        seen.append(examples)
        progress("learning", 0.5)
        return Parrot(examples)

    rows = compare_sources(fit, Parrot(TRAINING), HELD_OUT, lambda *said: told.append(said), training=TRAINING, **more)
    return rows, seen, told


def test_a_source_that_alone_knows_a_department_helped_it():
    """Without file b nobody knows rooms: that cost half of the held-out messages, and all of that department's."""
    rows, _seen, _told = compared()
    corpus, first, second = rows
    assert (second["source"], second["messages"], second["with"], second["without"]) == ("file b", 1, 1.0, 0.5)
    assert second["difference"] == 0.5
    assert second["interval"][0] <= 0.5 <= second["interval"][1]
    assert second["per_department"]["rooms"] == {"n": 2, "with": 1.0, "without": 0.0, "difference": 1.0}
    assert (first["source"], first["difference"]) == ("file a", 0.0)
    assert corpus["per_department"]["buses"]["without"] == 0.0


def test_the_glossaries_go_with_the_corpus():
    """They are bundled together: only the model without the corpus learns without them."""
    term = example("buses", GLOSSARY)
    _rows, seen, told = compared(terms=[term])
    assert [term in examples for examples in seen] == [False, True, True]
    assert [share for _what, share in told] == sorted(share for _what, share in told)
    assert told[-1] == ("done", 1.0)


def test_training_can_compare_its_files_and_makes_the_same_model(linear, settings, about, steps, tmp_path):
    """The comparison stands beside the model: what is registered doesn't depend on whether one asked."""
    sources = []
    for label in ("buses", "meals", "nurse"):
        path = tmp_path / f"{label}.jsonl"
        rows = [{"body": about(label, n), "department": label} for n in range(40)]
        path.write_text("\n".join(map(json.dumps, rows)))
        sources.append(str(path))
    plain = train(linear, settings, files=sources, no_corpus=True, out_dir=tmp_path / "one", progress=steps)
    made = train(
        linear, settings, files=sources, no_corpus=True, out_dir=tmp_path / "two", progress=steps, compare_too=True
    )
    assert made.version == plain.version
    assert [each["source"] for each in made.metrics["sources"]] == [f"file {source}" for source in sources]
    for label, each in zip(("buses", "meals", "nurse"), made.metrics["sources"], strict=True):
        assert each["per_department"][label]["without"] == 0.0
        assert each["difference"] > 0


@pytest.mark.parametrize("held_out", [[], HELD_OUT[:1]])
def test_too_few_messages_give_no_nonsense(held_out):
    """Without held-out messages there are no figures."""
    rows = compare_sources(
        lambda examples, _outside, _tell: Parrot(examples),
        Parrot(TRAINING),
        held_out,
        lambda *_: None,
        training=TRAINING,
    )
    assert all((each["with"] is None) == (not held_out) for each in rows)
