"""From labels to a department, or to an honest "I don't know"."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.records import Department, Prediction
from router.routing.policy import Thresholds, choose

BUSINESS = Department(id="business", name="Business", covers=("finance", "human-resources"))
BUSES = Department(id="buses", name="Buses", covers=("transportation",), min_confidence=0.8)
OFFICE = Department(id="office", name="Office")
DEPARTMENTS = (OFFICE, BUSINESS, BUSES)


def predict(score=1.0, **labels):
    """Return a prediction; underscores in labels stand for dashes."""
    ranking = sorted(((name.replace("_", "-"), p) for name, p in labels.items()), key=lambda item: -item[1])
    return Prediction(ranking=tuple(ranking), score=score)


def test_covered_labels_add_up():
    """A department that covers two labels gets the sum of both."""
    choice = choose(predict(transportation=0.4, finance=0.3, human_resources=0.3), DEPARTMENTS, Thresholds())

    assert choice.department == "business"
    assert choice.confidence == pytest.approx(0.6)
    assert choice.suggestions == ("business", "buses")


def test_a_department_that_covers_several_labels_is_at_least_as_likely_as_each():
    """What is left of the confidence is shared by the other labels, in their proportions."""
    said = replace(predict(finance=0.6, human_resources=0.3, transportation=0.1), confidence=0.9)
    assert choose(said, DEPARTMENTS, Thresholds()).confidence == pytest.approx(0.9 + 0.1 * 3 / 4)
    doubted = replace(said, confidence=0.3)
    assert choose(doubted, DEPARTMENTS, Thresholds()).confidence == pytest.approx(0.3 + 0.3 * 0.3 / 0.6)


def test_the_confidence_is_what_thresholds_are_compared_with():
    """A favourite among the labels isn't enough if the message may be a stranger's."""
    said = replace(predict(transportation=0.99, finance=0.01), confidence=0.5)
    assert choose(said, DEPARTMENTS, Thresholds(min_confidence=0.7)).department is None
    assert choose(replace(said, confidence=0.85), DEPARTMENTS, Thresholds(min_confidence=0.7)).department == "buses"


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=6), st.floats(0, 1))
def test_a_confidence_keeps_the_order_of_the_labels(weights, confidence):
    """The first keeps its place among the others, whose order stays; together they don't exceed one."""
    shares = sorted((weight / sum(weights) for weight in weights), reverse=True)
    said = Prediction(ranking=tuple((str(n), p) for n, p in enumerate(shares)), score=0.0, confidence=confidence)
    found = [p for _label, p in said.likely]
    assert found == pytest.approx(sorted(found, reverse=True))  # equal ones may differ in the last bit
    assert found[0] == confidence
    assert sum(found) <= 1 + 1e-9
    assert replace(said, confidence=None).likely == said.ranking


def test_a_label_nobody_covers_makes_it_abstain():
    """The district has no desk for the likeliest topic."""
    choice = choose(predict(athletics=0.5, finance=0.4, transportation=0.1), DEPARTMENTS, Thresholds())

    assert choice.department is None
    assert "athletics" in choice.why
    assert choice.suggestions[0] == "business"


@pytest.mark.parametrize(
    ("prediction", "thresholds", "why"),
    [
        (predict(finance=0.6, transportation=0.4), Thresholds(min_confidence=0.7), "below the 70.0%"),
        (predict(transportation=0.75, finance=0.25), Thresholds(min_confidence=0.7), "below the 80.0%"),
        (predict(finance=0.9, score=-2.0), Thresholds(min_score=-1.0), "unlike any"),
        (predict(finance=1.0), Thresholds(min_confidence=1.01), "isn't reliable enough"),
        (predict(athletics=1.0), Thresholds(), "no department covers"),
    ],
)
def test_doubts_are_told(prediction, thresholds, why):
    """Whatever keeps a message from its department is said in a sentence."""
    choice = choose(prediction, DEPARTMENTS, thresholds)

    assert choice.department is None
    assert why in choice.why


def test_the_fallback_is_never_chosen():
    """The fallback covers nothing."""
    assert choose(predict(finance=1.0), DEPARTMENTS, Thresholds()).department == "business"


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
    st.floats(0, 1.01),
    st.floats(-3, 3),
)
def test_what_is_chosen_meets_every_threshold(probabilities, min_confidence, score):
    """No combination of numbers routes below a threshold, or to a department that isn't there."""
    labels = ("finance", "human-resources", "transportation", "athletics")
    ranking = tuple(sorted(zip(labels, probabilities, strict=True), key=lambda item: -item[1]))
    prediction = Prediction(ranking=ranking, score=score)

    choice = choose(prediction, DEPARTMENTS, Thresholds(min_confidence=min_confidence, min_score=0.0))

    if choice.department is not None:
        assert choice.department in {"business", "buses"}
        assert choice.confidence >= min(min_confidence, 1.0)
        assert score >= 0
        if choice.department == "buses":
            assert choice.confidence >= 0.8
