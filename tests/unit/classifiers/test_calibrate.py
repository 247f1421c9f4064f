"""Temperature and thresholds: probabilities that mean what they say, and errors kept within their target."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers._calibrate import (
    NEVER,
    Trial,
    fit_temperature,
    min_confidence_for,
    operating_points,
    scores,
    share_weights,
    softmax,
)


def drawn(n: int, labels: int, temperature: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return margins, and labels drawn with the probabilities that these margins mean at the temperature."""
    random = np.random.default_rng(seed)
    margins = random.normal(size=(n, labels))
    odds = softmax(margins, temperature).cumsum(axis=1)
    return margins, (random.random((n, 1)) > odds).sum(axis=1)


def trial(n: int = 4000, seed: int = 0, outside: int = 300) -> Trial:
    """Return answers of a calibrated model, with out-of-scope rows of low score among them."""
    random = np.random.default_rng(seed)
    confidence = random.random(n)
    in_scope = np.arange(n) >= outside
    right = (random.random(n) < confidence) & in_scope
    score = random.normal(size=n) + 2.0 * in_scope
    return Trial(confidence, score, in_scope, right, share_weights(np.ones(n), in_scope, 0.1))


@pytest.mark.parametrize("temperature", [0.1, 0.3, 1.0, 2.0])
def test_the_temperature_behind_the_labels_is_found(temperature: float) -> None:
    """Labels drawn at a temperature lead back to it, within a tenth."""
    margins, truth = drawn(6000, 6, temperature, seed=1)
    assert fit_temperature(margins, truth, np.ones(len(truth)))[0] == pytest.approx(temperature, rel=0.1)


def test_without_rows_there_is_still_a_temperature() -> None:
    """A set too small to hold rows out gets the default."""
    assert 0 < fit_temperature(np.empty((0, 2)), np.empty(0, dtype=np.intp), np.empty(0))[0] < 1


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=20), st.floats(0.02, 5))
def test_softmax_is_a_distribution_in_the_order_of_the_margins(margins: list[float], temperature: float) -> None:
    """Probabilities add up to one and never contradict the margins."""
    likely = softmax(np.array(margins), temperature)
    assert likely.sum() == pytest.approx(1)
    assert likely[int(np.argmax(margins))] == likely.max()


def test_the_score_is_the_best_margin_or_its_lead_over_out_of_scope() -> None:
    """One more column than labels holds the margin for out of scope."""
    assert scores(np.array([[0.2, 0.7]]), 2).tolist() == [0.7]
    assert scores(np.array([[0.2, 0.7, 0.5]]), 2).tolist() == pytest.approx([0.2])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_out_of_scope_rows_weigh_what_is_expected_of_them(share: float) -> None:
    """However many out-of-scope rows were collected, they count as the expected share."""
    in_scope = np.arange(100) >= 7
    weights = share_weights(np.ones(100), in_scope, share)
    assert weights[~in_scope].sum() / weights.sum() == pytest.approx(share)


@pytest.mark.parametrize("target", [0.05, 0.1, 0.2, 0.3])
def test_routed_rows_keep_to_the_target_on_fresh_rows(target: float) -> None:
    """Thresholds learnt from some rows keep the mean error on other rows at the target, and route the rest."""
    fresh = trial(n=20_000, seed=99, outside=1500)
    errors = []
    for seed in range(8):
        points = operating_points(trial(n=2000, seed=seed, outside=150))
        confidence, score = min_confidence_for({"operating_points": points}, target)
        routed = (fresh.confidence >= confidence) & (fresh.score >= score)
        if routed.any():
            errors.append((fresh.weight * ~fresh.right)[routed].sum() / fresh.weight[routed].sum())
    assert errors
    assert np.mean(errors) <= target + 0.01


def test_a_laxer_target_never_routes_less() -> None:
    """Coverage grows with the error that is allowed."""
    coverage = [point[3] for point in operating_points(trial())]
    assert coverage == sorted(coverage)
    assert coverage[-1] > 0.3


def test_a_handful_of_lucky_rows_is_not_trusted() -> None:
    """Five right answers out of five don't prove an error below 5 %; a hundred do."""
    for n, expected in ((5, True), (100, False)):
        rows = np.ones(n, dtype=bool)
        lucky = Trial(np.linspace(0.5, 0.9, n), np.ones(n), rows, rows, np.ones(n))
        meta = {"operating_points": operating_points(lucky)}
        assert (min_confidence_for(meta, 0.05)[0] == NEVER) is expected


def meaning_what_they_say(n: int, seed: int, optimism: float = 0.0) -> Trial:
    """Return answers that are right as often as their confidence says, or less often by `optimism`."""
    random = np.random.default_rng(seed)
    confidence = random.beta(3, 1, n)
    right = random.random(n) < confidence - optimism
    return Trial(confidence, np.zeros(n), np.ones(n, dtype=bool), right, np.ones(n))


@pytest.mark.parametrize("target", [0.03, 0.05, 0.1])
def test_learnt_confidences_are_taken_at_their_word(target: float) -> None:
    """From many rows the mean error on fresh ones keeps to the target; more is routed than where chance is feared."""
    fresh = meaning_what_they_say(50_000, 99)
    errors, coverage, prudent = [], [], []
    for seed in range(20):
        known = meaning_what_they_say(3000, seed)
        point, careful = (operating_points(known, (target,), learnt=learnt)[0] for learnt in (True, False))
        errors.append((~fresh.right)[fresh.confidence >= point[1]].mean())
        coverage.append(point[3])
        prudent.append(careful[3])
    assert 0.8 * target < np.mean(errors) < 1.05 * target
    assert max(errors) < 1.3 * target
    assert np.mean(coverage) > np.mean(prudent) + 0.02


def test_confidences_that_promise_too_much_are_not_believed() -> None:
    """Where the answers were wrong more often than that, what was seen counts."""
    fresh, known = (meaning_what_they_say(n, seed, optimism=0.05) for n, seed in ((50_000, 99), (5000, 1)))
    least = operating_points(known, (0.1,), learnt=True)[0][1]
    assert (~fresh.right)[fresh.confidence >= least].mean() < 0.115


def test_confidences_learnt_from_few_rows_are_not_taken_at_their_word() -> None:
    """Below a thousand rows chance is reckoned with, learnt or not."""
    few = meaning_what_they_say(900, 3)
    assert operating_points(few, learnt=True) == operating_points(few)


def test_equal_confidences_are_routed_together() -> None:
    """A threshold never parts rows that have the same confidence."""
    right = np.arange(200) < 100
    same = Trial(np.full(200, 0.8), np.ones(200), np.ones(200, dtype=bool), right, np.ones(200))
    assert all(point[1] == NEVER for point in operating_points(same) if point[0] < 0.5)


def test_a_target_between_two_takes_the_stricter_one() -> None:
    """Policy asks for any target; the answer never allows more errors than asked for."""
    meta = {"operating_points": [[0.05, 0.9, 0.1, 0.4], [0.1, 0.8, 0.0, 0.6]]}
    assert min_confidence_for(meta, 0.05) == (0.9, 0.1)
    assert min_confidence_for(meta, 0.07) == (0.9, 0.1)
    assert min_confidence_for(meta, 0.9) == (0.8, 0.0)
    assert min_confidence_for(meta, 0.01)[0] == NEVER
    assert min_confidence_for({}, 0.05)[0] == NEVER


def test_no_rows_no_routing() -> None:
    """Without any tested row every target means never."""
    none = np.empty(0)
    empty = none.astype(bool)
    assert {point[1] for point in operating_points(Trial(none, none, empty, empty, none))} == {NEVER}
