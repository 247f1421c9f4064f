"""Training a challenger: what it learns from, what it never sees, and what comes out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from classifiers._artifact import load as load_directory
from classifiers._artifact import unpack
from classifiers._corpus import Corpus
from router.errors import SignpostError
from router.learning.dataset import is_held_out
from router.learning.train import train
from router.records import Department

DEPARTMENTS = tuple(Department(id=label, name=label, covers=(label,)) for label in ("buses", "meals", "nurse"))


@pytest.fixture
def champion(linear, settings, corpus, steps):
    artifact = unpack(train(linear, settings, corpus=corpus, progress=steps).artifact)
    return linear.load(artifact), artifact.meta


def test_a_first_model_is_trained_measured_and_passes(linear, settings, corpus, steps):
    """Progress runs from 0 to 1; the figures are those of `signpost evaluate`, on rows that were held out."""
    progress = steps
    made = train(linear, settings, DEPARTMENTS, "office", corpus=corpus, progress=progress)
    assert made.verdict.passed
    assert made.metrics["held_out"]["accuracy"] > 0.8
    assert made.metrics["held_out"]["n"] > 5
    assert made.metrics["counts"] == {"corpus": len(corpus.rows)}
    shares = [share for _what, share in progress.told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    json.dumps(dict(made.metrics), allow_nan=False)


def test_the_held_out_messages_are_never_trained_on(linear, settings, corpus, store_row, about, steps):
    """Neither corpus rows nor corrections nor out-of-scope rows of the permanent test set reach the classifier."""
    seen = []

    def recording(examples, out_of_scope, *rest, **named):
        seen.extend([*(example.input.body for example in examples), *(one.body for one in out_of_scope)])
        assert not any(is_held_out(example) for example in examples)
        return linear.train(examples, out_of_scope, *rest, **named)

    rows = [store_row(f"M{n}", "buses", about("buses", n)) for n in range(40)]
    kind = replace(linear, train=recording)
    made = train(kind, settings, DEPARTMENTS, "office", corpus=corpus, store_rows=rows, progress=steps)
    held_out = sum(made.metrics["counts"].values()) - len(seen)
    assert held_out == made.metrics["held_out"]["n"]
    assert held_out > 0


def test_the_model_that_is_returned_is_the_one_that_was_measured(linear, settings, corpus, steps):
    """Not one fitted again on everything: it loads, and its metadata carries its own figures and fingerprint."""
    made = train(linear, settings, corpus=corpus, progress=steps)
    artifact = unpack(made.artifact, made.sha256)
    assert artifact.version == made.version
    assert artifact.meta["fingerprint"] == made.fingerprint
    assert artifact.meta["held_out"] == made.metrics["held_out"]
    assert linear.load(artifact).labels == ("buses", "meals", "nurse")


def test_the_same_data_and_seed_give_the_same_model(linear, settings, corpus, steps):
    """Byte for byte, so that its name says what it is."""
    made = [train(linear, settings, corpus=corpus, progress=steps, seed=3).sha256 for _ in range(2)]
    assert made[0] == made[1]


def test_confirmed_misroutes_are_learnt_and_shown_to_both_models_again(
    linear, settings, corpus, champion, store_row, steps
):
    """Messages in words the champion never met: the challenger knows them, and the verdict counts them."""
    texts = [f"zamboni {word} keeps leaking" for word in ("number one", "engine", "driver", "hose", "tank", "wheel")]
    rows = [store_row(f"M{n}", "nurse", text) for n, text in enumerate(texts)]
    made = train(
        linear, settings, DEPARTMENTS, "office", corpus=corpus, store_rows=rows, champion=champion, progress=steps
    )
    replayed = made.verdict.replayed
    assert made.parent == champion[0].version
    assert replayed.n == 6
    assert replayed.fixed + replayed.still_right + replayed.still_wrong + replayed.newly_wrong == 6
    assert replayed.fixed > replayed.newly_wrong
    assert made.metrics["counts"]["correction"] == 6


def test_misroutes_that_an_audit_found_or_that_belong_to_the_fallback_are_shown_again_too(
    linear, settings, corpus, champion, store_row, steps
):
    """What an audit found right isn't among them; a message that is nobody's is right where a person gets it."""
    found, kept = ({"source": "audit", "misrouted": wrong} for wrong in (True, False))
    rows = [
        *(store_row(f"F{n}", "nurse", f"zamboni {n} leaks oil", {**found, "key": f"audit F{n}"}) for n in range(3)),
        *(store_row(f"K{n}", "buses", f"yellow bus route {n}", {**kept, "key": f"audit K{n}"}) for n in range(4)),
        *(store_row(f"O{n}", "office", f"cheap loans casino {n} offer click now") for n in range(5)),
    ]
    made = train(
        linear, settings, DEPARTMENTS, "office", corpus=corpus, store_rows=rows, champion=champion, progress=steps
    )
    replayed = made.verdict.replayed
    assert replayed.n == 3 + 5
    assert replayed.still_right + replayed.newly_wrong > 0  # the champion leaves some of the offers to a person
    assert replayed.fixed + replayed.still_right > replayed.still_wrong


def test_a_poisoned_challenger_is_refused(linear, settings, large_corpus, store_row, about, steps):
    """Corrections that turn one department into another make a model that doesn't pass."""
    artifact = unpack(train(linear, settings, corpus=large_corpus, progress=steps).artifact)
    champion = linear.load(artifact), artifact.meta
    rows = [store_row(f"M{n}", "meals", about("buses", 1000 + n)) for n in range(300)]
    named = {"corpus": large_corpus, "store_rows": rows, "champion": champion, "progress": steps}
    made = train(linear, settings, DEPARTMENTS, "office", **named)
    assert not made.verdict.passed
    assert "source corpus may be" in made.verdict.sentence


def test_any_labels_are_trained_into_a_directory_on_every_row(tmp_path, linear, settings, about, steps):
    """`--no-corpus --out DIR`: no departments, no gate, nothing held out; the directory loads by itself."""
    rows = [{"body": about(label, n), "department": f"my {label}"} for label in ("buses", "meals") for n in range(30)]
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "model"
    made = train(
        linear, settings, DEPARTMENTS, "my buses", files=[str(data)], no_corpus=True, out_dir=out, progress=steps
    )
    artifact, manifest = load_directory(out)
    assert artifact.sha256 == made.sha256
    assert list(linear.load(artifact).labels) == ["my buses", "my meals"]
    assert (manifest["fingerprint"], manifest["counts"]) == (made.fingerprint, {"file": 60})
    assert artifact.meta["rows"] == 60


def test_a_department_with_few_examples_is_described(linear, settings, corpus, store_row, steps):
    """What a new department says of itself is learnt; one with enough examples needs none."""
    given = {}

    def recording(*rest, descriptions, **named):
        given.update(descriptions)
        return linear.train(*rest, descriptions=descriptions, **named)

    new = Department(id="ice", name="Ice", description="Zamboni and rink", covers=("ice",))
    described = (replace(DEPARTMENTS[0], description="Yellow buses"), *DEPARTMENTS[1:], new)
    rows = [store_row(f"M{n}", "ice", f"zamboni {word} leaks") for n, word in enumerate(("engine", "hose", "tank"))]
    kind = replace(linear, train=recording)
    train(kind, settings, described, "office", corpus=corpus, store_rows=rows, progress=steps)
    assert given == {"ice": "Zamboni and rink"}


def test_a_classifier_without_thresholds_gets_them_from_the_held_out_messages(linear, settings, corpus, steps):
    """A third party's type needs to know nothing of operating points."""

    def without(*rest, **named):
        artifact = linear.train(*rest, **named)
        return replace(artifact, meta={k: v for k, v in artifact.meta.items() if k != "operating_points"})

    made = train(replace(linear, train=without), settings, corpus=corpus, progress=steps)
    points = unpack(made.artifact).meta["operating_points"]
    assert all(len(point) == 4 for point in points)
    assert max(point[3] for point in points) > 0.5


def test_a_classifier_that_returns_something_else_is_told_so(linear, settings, corpus, steps):
    """A plugin's mistake is a sentence, not a traceback."""
    kind = replace(linear, train=lambda *_rest, **_named: {"weights": []})
    with pytest.raises(SignpostError, match="returned a dict, not an Artifact"):
        train(kind, settings, corpus=corpus, progress=steps)


def test_nothing_to_learn_from_is_told_in_a_sentence(linear, settings, steps):
    """No corpus, no corrections, no files."""
    with pytest.raises(SignpostError, match="nothing to learn from"):
        train(linear, settings, corpus=Corpus((), "f"), progress=steps)
    with pytest.raises(SignpostError, match="nothing to learn from"):
        train(linear, settings, no_corpus=True, progress=steps)
