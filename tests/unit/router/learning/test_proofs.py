"""The statistics behind the gate, the trial and the watch."""

from __future__ import annotations

import numpy as np
import pytest

from router.learning.proofs import covered, fisher_test, lower_bound, sign_test


@pytest.mark.parametrize(("better", "worse"), [(0, 10), (5, 5), (30, 10)])
def test_the_lower_bound_is_that_of_resampling_rows_in_pairs(better, worse):
    """Drawing the counts gives what drawing 300 rows 2,000 times gives, to a fraction of a point."""
    before, after = np.zeros(300, dtype=bool), np.zeros(300, dtype=bool)
    after[:better] = True
    before[better : better + worse] = True
    draws = np.random.default_rng(1).integers(0, 300, (2000, 300))
    expected = np.quantile((after.astype(int) - before.astype(int))[draws].mean(axis=1), 0.05)
    assert lower_bound(before, after, seed=0) == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize(("better", "worse", "expected"), [(0, 9, 1 / 512), (3, 7, 0.171875), (0, 0, 1.0)])
def test_the_sign_test_is_exact(better, worse, expected):
    """Tails of the binomial distribution with p = 1/2."""
    assert sign_test(better, worse) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [((1, 10), (8, 10), 0.0027387), ((3, 100), (3, 100), 0.65864), ((0, 5), (0, 5), 1.0), ((0, 50), (50, 50), 1e-29)],
)
def test_fishers_test_is_exact(before, after, expected):
    """Figures of the hypergeometric distribution, worked out elsewhere."""
    assert fisher_test(before, after) == pytest.approx(expected, rel=1e-3, abs=1e-12)


def test_coverage_is_the_share_of_the_surest_with_few_mistakes():
    """One wrong in twenty may be among them; equally sure ones count together."""
    confidence = np.array([0.9] * 19 + [0.8, 0.7, 0.7])
    right = np.array([True] * 19 + [False, True, False])
    assert covered(confidence, right, 0.05) == 20 / 22
    assert covered(confidence, right, 0.04) == 19 / 22
    assert covered(confidence, ~right, 0.05) == 0
