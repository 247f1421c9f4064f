"""The figures of an evaluation, worked out by hand on a model whose answers are known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from classifiers._evaluate import answers_of, evaluate
from classifiers._figures import aurc, auroc, expected_calibration_error, first_choice_figures, macro_f1, share
from classifiers._folds import deal
from router.records import Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.interfaces import ModelInput


class Scripted:
    """A classifier that reads its answer off the message: "LABEL CONFIDENCE SCORE"."""

    version = "scripted"
    labels = ("bus", "lunch")

    def predict(self, inputs: Sequence[ModelInput]) -> list[Prediction]:
        return [self._answer(*model_input.body.split()) for model_input in inputs]

    def _answer(self, label: str, confidence: str, score: str) -> Prediction:
        other = "lunch" if label == "bus" else "bus"
        return Prediction(ranking=((label, float(confidence)), (other, 1 - float(confidence))), score=float(score))

    def explain(self, model_input: ModelInput, label: str, most: int = 12) -> list[tuple[str, float]]:
        return []


def row(department: str, answer: str, language: str = "en", **more: Any) -> dict[str, Any]:
    return {"department": department, "subject": "", "body": answer, "language": language, "channel": "sms", **more}


ROWS = [
    row("bus", "bus 0.9 1", urgent=True),
    row("bus", "bus 0.6 1", "es"),
    row("bus", "lunch 0.9 1"),
    row("lunch", "bus 0.9 1", also_acceptable=["bus"], urgent=True),
    row("lunch", "lunch 0.9 -1", "es"),
    row("out_of_scope", "bus 0.9 1"),
    row("out_of_scope", "bus 0.9 -1", also_acceptable=["bus"]),
    row("out_of_scope", "lunch 0.5 1"),
]


def test_every_figure_by_hand() -> None:
    """First choices over in-scope rows, routing over all, an acceptable label counted as right."""
    figures = evaluate(Scripted(), ROWS, 0.8, 0.0)
    assert figures["n"] == 8
    assert figures["accuracy"] == 0.8
    assert figures["macro_f1"] == pytest.approx(f1_score([0, 0, 0, 1, 1], [0, 0, 1, 1, 1], average="macro"), abs=1e-4)
    assert figures["coverage"] == 0.5
    assert figures["selective_accuracy"] == 0.5
    assert figures["out_of_scope"]["recall"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["ece"] == pytest.approx((abs(3 - 3.6) + abs(1 - 0.6)) / 5, abs=1e-4)
    assert figures["per_language"]["es"]["accuracy"] == 1.0
    assert figures["per_language"]["es"]["coverage"] == 0.0
    assert figures["per_language"]["es"]["selective_accuracy"] is None
    bus = figures["per_department"]["bus"]
    assert (bus["n"], bus["recall"], bus["precision"], bus["routed"]) == (3, 0.6667, 1.0, 2)
    assert "urgent" not in figures


def test_a_label_may_ask_for_more() -> None:
    """What its own least confidence keeps from it isn't routed; a lower one than everybody's changes nothing."""
    routed = [answer.routed for answer in answers_of(Scripted(), ROWS, 0.8, 0.0, {"bus": 0.95, "lunch": 0.1})]
    assert routed == [False, False, True, False, False, False, False, False]


def test_each_share_stands_inside_its_interval() -> None:
    """Every figure has a 95 % interval around it."""
    figures = evaluate(Scripted(), ROWS, 0.8, 0.0)
    names = {"accuracy", "macro_f1", "coverage", "selective_accuracy", "ece", "auroc", "aurc"}
    assert set(figures["intervals"]) == names
    for name in names:
        low, high = figures["intervals"][name]
        assert 0 <= low <= figures[name] <= high <= 1


class Doubting(Scripted):
    """The same, but each answer says with its score how likely it is right."""

    def _answer(self, label: str, confidence: str, score: str) -> Prediction:
        said = super()._answer(label, confidence, score)
        return replace(said, score=0.0, confidence=float(score))


def test_a_confidence_that_counts_strangers_in_is_measured_on_them_too() -> None:
    """Where the model says how likely it is right, that is what routes, and what is compared with all the outcomes."""
    rows = [row("bus", "bus 0.9 0.7"), row("lunch", "bus 0.9 0.3"), row("out_of_scope", "bus 0.99 0.2")]
    figures = evaluate(Doubting(), rows, 0.5, 0.0)
    assert (figures["coverage"], figures["selective_accuracy"]) == (0.3333, 1.0)
    assert figures["ece"] == pytest.approx((0.3 + 0.3 + 0.2) / 3, abs=1e-4)
    assert figures["auroc"] == 1.0
    assert figures["aurc"] == pytest.approx((0 + 1 / 2 + 2 / 3) / 3, abs=1e-4)


def test_the_area_under_the_roc_curve_is_that_of_scikit_learn() -> None:
    """With ties, too."""
    random = np.random.default_rng(0)
    confidence = random.integers(0, 20, 300) / 20
    right = random.random(300) < confidence
    assert auroc(confidence, right) == pytest.approx(roc_auc_score(right, confidence))
    assert auroc(confidence, np.ones(300, dtype=bool)) == 0.5


def test_the_risk_coverage_area_is_least_if_wrong_answers_are_the_least_sure() -> None:
    """Of four answers, one wrong: nothing is lost until the last."""
    right = np.array([True, True, False, True])
    assert aurc(np.array([0.9, 0.8, 0.1, 0.7]), right) == pytest.approx(1 / 16)
    assert aurc(np.array([0.6, 0.8, 0.9, 0.7]), right) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_urgent_figures_come_from_the_detector() -> None:
    """Recall and precision of whatever says that a row is urgent."""
    figures = evaluate(Scripted(), ROWS, 0.8, 0.0, is_urgent=lambda line: line["body"] == "bus 0.9 1")["urgent"]
    assert (figures["n"], figures["recall"], figures["precision"]) == (2, 1.0, 0.6667)


def test_no_rows_give_no_figures_rather_than_an_error() -> None:
    """Nothing to measure: each figure is null."""
    figures = evaluate(Scripted(), [], 0.8, 0.0)
    assert (figures["n"], figures["accuracy"], figures["macro_f1"], figures["ece"]) == (0, None, None, None)
    outside = evaluate(Scripted(), ROWS[5:], 0.8, 0.0)
    assert (outside["accuracy"], outside["coverage"]) == (None, round(1 / 3, 4))


def test_the_interval_of_a_share_is_wilsons() -> None:
    """Known values of Wilson's formula, and its ends at none and all."""
    assert share(8, 10) == (0.8, [0.4902, 0.9433])
    assert share(0, 10)[1] == [0.0, 0.2775]
    assert share(10, 10)[1] == [0.7225, 1.0]
    assert share(0, 0) == (None, None)


def test_macro_f1_is_that_of_scikit_learn() -> None:
    """Over labels that occur, macro-F1 equals scikit-learn's."""
    random = np.random.default_rng(0)
    truth, chosen = random.integers(0, 5, 300), random.integers(0, 5, 300)
    assert macro_f1(truth, chosen, 5) == pytest.approx(f1_score(truth, chosen, average="macro"))


def test_calibration_error_is_zero_for_an_honest_model() -> None:
    """Right as often as it says: no error; always sure and always wrong: an error of one."""
    assert expected_calibration_error(np.full(4, 0.75), np.array([True, True, True, False])) == pytest.approx(0)
    assert math.isclose(expected_calibration_error(np.ones(3), np.zeros(3, dtype=bool)), 1.0)


def test_folds_are_even_and_keep_groups_together() -> None:
    """Each fold has its share of each label, rows of one group share a fold, and the seed decides."""
    labels = ["a"] * 30 + ["b"] * 9
    groups = [f"g{number // 3}" for number in range(30)] + [""] * 9
    folds = deal(labels, groups, 3, seed=1)
    assert all(len({*folds[start : start + 3].tolist()}) == 1 for start in range(0, 30, 3))
    assert sorted(np.bincount(folds[:30]).tolist()) == [9, 9, 12]
    assert np.bincount(folds[30:]).tolist() == [3, 3, 3]
    assert deal(labels, groups, 3, seed=1).tolist() == folds.tolist() != deal(labels, groups, 3, seed=2).tolist()


def test_a_label_that_is_only_chosen_stands_in_the_table() -> None:
    """A department that got messages without having any shows with precision and no recall."""
    figures = first_choice_figures(["a", "a"], ["a", "c"])["per_department"]
    assert (figures["c"]["n"], figures["c"]["precision"], figures["c"]["recall"]) == (0, 0.0, None)
