"""Counting words: what complement naive Bayes says, and that it is asked only where it helps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.naive_bayes import ComplementNB

from classifiers._bayes import centroids, opinions, summed
from classifiers.linear import LinearSettings, train
from tests.unit.classifiers.samples import examples, silent, strangers

COLUMNS = ("a", "b", "c")


def drawn() -> tuple[csr_matrix, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return csr_matrix(random.random((30, 8))), random.choice(COLUMNS, 30), random.random(30)


def test_opinions_are_those_of_scikit_learn() -> None:
    """Up to what is the same for every label, so that the best one is the same."""
    values, labels, weights = drawn()
    own = values @ opinions(summed(values, labels, weights, COLUMNS))
    theirs = values @ ComplementNB(alpha=0.3).fit(values, labels, sample_weight=weights).feature_log_prob_.T
    assert own == pytest.approx(theirs - theirs.mean(axis=1, keepdims=True))


def test_a_label_without_rows_gets_no_opinion() -> None:
    """Its column stays as it was, so that it can be told that it was lacking."""
    values, labels, weights = drawn()
    said = opinions(summed(values, labels, weights, (*COLUMNS, "d")))
    assert not said[:, 3].any()
    assert said[:, :3] == pytest.approx(opinions(summed(values, labels, weights, COLUMNS)))
    assert not opinions(np.array([[1.0, 2.0], [0.0, 0.0]])).any()


def test_a_label_lies_where_its_rows_lie() -> None:
    """Each column has length one and points to the weighted mean; none points nowhere."""
    values, labels, weights = drawn()
    found = centroids(summed(values, labels, weights, (*COLUMNS, "d")))
    assert np.linalg.norm(found, axis=0) == pytest.approx([1, 1, 1, 0])
    mean = (values.toarray() * weights[:, None])[labels == "a"].sum(axis=0)
    assert found[:, 0] == pytest.approx(mean / np.linalg.norm(mean))


def test_how_much_counting_adds_is_chosen_unless_it_is_set() -> None:
    """The artifact says what was chosen."""
    assert train(examples(), strangers(), LinearSettings(bayes=0.25), silent).meta["bayes"] == 0.25
    assert train(examples(), strangers(), LinearSettings(), silent).meta["bayes"] in {0.0, 0.5}
