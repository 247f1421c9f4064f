"""How sure one may be of an answer: learnt from answers out of fold, honest about strangers and about departments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from classifiers._artifact import Artifact
from classifiers._confidence import SIGNALS, Answers, Confidence, Words, fit, out_of_fold, signals
from classifiers._counts import count_terms
from classifiers._figures import auroc
from classifiers._trainer import Choice, Rows, Trainer
from classifiers.linear import LinearSettings, load, train
from router.errors import BadArtifact
from tests.unit.classifiers.samples import examples, silent, strangers

LABELS = ("bus", "lunch", "nurse")


def answers(n: int, seed: int = 0) -> tuple[Answers, np.ndarray]:
    """Return answers whose first signal and label alone tell how likely they are right, and that likelihood."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(n, len(SIGNALS)))
    chosen = random.integers(0, len(LABELS), n)
    likely = 1 / (1 + np.exp(-(1.0 + 1.5 * found[:, 0] + np.array([1.0, 0.0, -1.0])[chosen])))
    return Answers(found, chosen, random.random(n) < likely, np.ones(n)), likely


def test_the_likelihood_behind_the_outcomes_is_found() -> None:
    """Fresh answers get about the probability with which they are right, a department's own share in it counted."""
    learnt = fit(answers(6000)[0], len(LABELS))
    fresh, likely = answers(2000, seed=1)
    assert np.abs(learnt.of(fresh.found, fresh.chosen) - likely).mean() < 0.03


def test_a_departments_own_shift_is_drawn_to_nothing_where_it_has_few_messages() -> None:
    """Two wrong answers out of three say little of a department: it is trusted like the others."""
    many = answers(600)[0]
    few = Answers(np.zeros((3, len(SIGNALS))), np.full(3, 2), np.array([False, False, True]), np.ones(3))
    both = Answers(*(np.concatenate([getattr(many, name), getattr(few, name)]) for name in many.__slots__))
    kept = both.part((both.chosen != 2) | (np.arange(603) >= 600))
    shifts = fit(kept, len(LABELS)).shifts
    assert abs(shifts[2]) < abs(shifts[0])


def test_thresholds_are_read_off_answers_that_no_regression_saw() -> None:
    """With outcomes of pure chance, a regression looks better on its own rows than on those of another fold."""
    random = np.random.default_rng(0)
    chance = replace(answers(60)[0], right=random.random(60) < 0.5)
    seen = fit(chance, len(LABELS)).of(chance.found, chance.chosen)
    unseen = out_of_fold(chance, len(LABELS), np.arange(60) % 3)
    assert auroc(unseen, chance.right) < auroc(seen, chance.right)


def test_signals_by_hand() -> None:
    """Three labels and a column for out of scope; without one, strangers are taken to be as far as they usually are."""
    words = Words([0.5, 0.1, 0.3, 0.9], known=3, total=4)
    odds = -np.log(np.exp(-1) + np.exp(-3) + np.exp(-2))
    of_labels = 1 + np.exp(-1) + np.exp(-3)
    rest = [0.75, 0.5, 1.0 + 0.5 * np.log(of_labels), np.log(5), np.log(6 / 5), 0.2]
    assert signals([1.0, 0.5, -0.5, 0.0], words, 3, 0.5) == pytest.approx([odds, 0.0, *rest])
    assert signals([1.0, 0.5, -0.5], words, 3, 0.5) == pytest.approx([-np.log(of_labels - 1), -1.0, *rest])


def test_signals_are_numbers_whatever_the_margins() -> None:
    """A favourite that is ahead of all, and a stranger that is, have odds within bounds."""
    words = Words([0.0, 0.0, 0.0], known=0, total=0)
    sure, stranger = signals([1e6, 0.0], words, 2, 0.01), signals([0.0, 0.0, 1e6], words, 2, 0.01)
    assert sure[0] == pytest.approx(-np.log(1e-6))
    assert stranger[0] == pytest.approx(-50.0)
    assert np.isfinite([*sure, *stranger]).all()


def test_what_is_learnt_from_is_what_serving_sees() -> None:
    """Signals of the training rows, worked out from sparse tables, are those of the lean scorer for the same texts."""
    rows = examples()
    plain = LinearSettings(augment=False, c=1.0, bayes=0.5, rarity=1.0)
    counts, terms = count_terms([row.input for row in rows])
    labels = np.array([row.department for row in rows])
    ones = np.ones(len(rows))
    table = Rows([row.input for row in rows], labels, ones, np.zeros(len(rows), dtype=np.intp), ones > 0, ones)
    single = np.array([" " not in term for term in terms[0]])
    fitted = Trainer(table, counts, single, LABELS, plain, 0).fit(ones > 0, [Choice(1.0, 0.5)])
    said = fitted.words(counts[0], fitted.features.values(counts), single)
    scorer = load(train(rows, [], plain, silent))._scorer
    for row, expected in zip(rows, said, strict=True):
        words = scorer.read(row.input)[1]
        assert words is not None
        assert words.likeness == pytest.approx(expected.likeness, abs=1e-5)
        assert (words.known, words.total) == (expected.known, expected.total)


def test_the_regression_survives_json() -> None:
    """What is stored by name gives the same answers; anything else is refused."""
    learnt, fresh = fit(answers(300)[0], len(LABELS)), answers(20, seed=1)[0]
    again = Confidence.from_json(learnt.to_json(LABELS), LABELS)
    assert again.of(fresh.found, fresh.chosen) == pytest.approx(learnt.of(fresh.found, fresh.chosen), abs=1e-4)
    stored = learnt.to_json(LABELS)
    with pytest.raises(KeyError):
        Confidence.from_json(stored, ("bus", "lunch", "other"))
    with pytest.raises(ValueError, match="can't be used"):
        Confidence.from_json({**stored, "constant": float("nan")}, LABELS)


def test_a_model_is_surer_of_its_subjects_than_of_strangers() -> None:
    """A trained model tells with each answer how likely it is right: of a stranger's message, less."""
    model = load(train(examples(), strangers(), LinearSettings(), silent))
    known = [answer.confidence for answer in model.predict([row.input for row in examples(40, seed=9)])]
    unknown = [answer.confidence for answer in model.predict(strangers(40, seed=9))]
    assert all(confidence is not None and 0 <= confidence <= 1 for confidence in (*known, *unknown))
    assert np.median([c or 0 for c in known]) > np.quantile([c or 0 for c in unknown], 0.95)


def test_a_model_made_before_still_serves() -> None:
    """Without what was learnt about confidence there is none, and the ranking stands for it."""
    artifact = train(examples(), strangers(), LinearSettings(), silent)
    meta = {key: value for key, value in artifact.meta.items() if key != "confidence"}
    arrays = {key: value for key, value in artifact.arrays.items() if key != "likeness"}
    new = load(artifact).predict([examples()[0].input])[0]
    for old in (Artifact("linear", arrays, meta), Artifact("linear", artifact.arrays, meta)):
        answer = load(old).predict([examples()[0].input])[0]
        assert answer.confidence is None
        assert answer.likely == answer.ranking == new.ranking


@pytest.mark.parametrize("part", ["likeness", "confidence"])
def test_a_model_whose_confidence_does_not_fit_is_refused(part: str) -> None:
    """Arrays of another shape and names of other departments are found when it is loaded."""
    artifact = train(examples(), strangers(), LinearSettings(), silent)
    meta, arrays = dict(artifact.meta), dict(artifact.arrays)
    if part == "likeness":
        arrays["likeness"] = arrays["likeness"][:-1]
    else:
        meta["confidence"] = {**meta["confidence"], "shifts": {"bus": 0.0}}
    with pytest.raises(BadArtifact):
        load(Artifact("linear", arrays, meta))


def test_typical_rows_decide_where_thresholds_lie() -> None:
    """Rows that real mail has more of count more where a threshold is found, and not in training."""
    rows = [replace(row, typical=9.0 if row.department == "bus" else 1.0) for row in examples()]
    one, other = (train(each, strangers(), LinearSettings(), silent) for each in (examples(), rows))
    assert (one.arrays["coefficients"] == other.arrays["coefficients"]).all()
    assert one.meta["confidence"] != other.meta["confidence"]
