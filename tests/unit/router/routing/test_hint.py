"""The topic that was chosen on a form weighs, and doesn't decide."""

from __future__ import annotations

import pytest

from router.interfaces import ModelInput
from router.records import Department, Prediction
from router.routing.explain import Asked, standing
from router.routing.hint import hinted
from router.routing.policy import Thresholds, choose

BUSES = Department(id="buses", name="Bus Office", covers=("transportation",))
MONEY = Department(id="money", name="Money", covers=("finance",))
OFFICE = Department(id="office", name="Front Office")
DEPARTMENTS = (OFFICE, BUSES, MONEY)


def said(finance, transportation, athletics=0.0):
    """Return a model's answer."""
    shares = {"finance": finance, "transportation": transportation, "athletics": athletics}
    return Prediction(ranking=tuple(sorted(shares.items(), key=lambda pair: -pair[1])), score=1.0)


@pytest.mark.parametrize(
    ("alone", "with_it"), [(0.01, 0.0917), (0.2, 0.7143), (0.5, 0.9091), (0.9, 0.9890), (1.0, 1.0)]
)
def test_a_choice_makes_a_department_ten_times_as_likely(alone, with_it):
    """By its odds."""
    choice = choose(said(1 - alone, alone), DEPARTMENTS, Thresholds(), "buses")
    sure = choice.confidence if choice.suggestions[0] == "buses" else 1 - choice.confidence
    assert sure == pytest.approx(with_it, abs=1e-4)


def test_a_clear_text_is_not_outvoted():
    """Whoever writes plainly about fees and chooses the buses gets to the fees."""
    assert choose(said(0.96, 0.04), DEPARTMENTS, Thresholds(), "buses").department == "money"


def test_a_choice_settles_a_doubt_and_is_told():
    """Below its threshold by the text alone, above it with the choice."""
    limits = Thresholds(min_confidence=0.7)
    assert choose(said(0.6, 0.4), DEPARTMENTS, limits).department is None
    choice = choose(said(0.6, 0.4), DEPARTMENTS, limits, "buses")
    assert choice.department == "buses"
    assert "buses was chosen on the form, which counts 10 times (it is 40% without)" in choice.why


def test_other_labels_keep_their_proportions():
    """A label that nobody covers, too: it can still win."""
    assert choose(said(0.04, 0.01, 0.95), DEPARTMENTS, Thresholds(), "buses").department is None
    assert choose(said(0.1, 0.4, 0.5), DEPARTMENTS, Thresholds(), "buses").department == "buses"


def test_a_choice_that_is_no_department_of_the_model_changes_nothing():
    """The fallback covers nothing."""
    for chosen in ("", "office", "nobody"):
        assert choose(said(0.6, 0.4), DEPARTMENTS, Thresholds(), chosen) == choose(
            said(0.6, 0.4), DEPARTMENTS, Thresholds()
        )


@pytest.mark.parametrize(
    ("topic", "left", "chosen"),
    [
        ("buses", "", "buses"),
        ("BUS office", "", "buses"),
        ("office", "office", ""),
        ("The bus", "The bus", ""),
        ("", "", ""),
    ],
)
def test_a_department_is_not_read_as_words(topic, left, chosen):
    """A department's id or name is taken out of the text; what nobody bears stays as words."""
    model_input = ModelInput(subject="s", body="b", topic=topic)
    assert hinted(model_input, DEPARTMENTS) == (ModelInput(subject="s", body="b", topic=left), chosen)


def test_an_explanation_counts_it_too():
    """What `explain` says of departments is what the decision was made of."""
    prepared = ModelInput(subject="s", body="b", topic="buses")
    asked = Asked.about(None, Thresholds(), prepared, DEPARTMENTS)
    shown = {desk.id: p for desk, p in standing(said(0.6, 0.4), DEPARTMENTS, asked)}
    choice = choose(said(0.6, 0.4), DEPARTMENTS, Thresholds(), asked.chosen)
    assert shown["buses"] == pytest.approx(choice.confidence)
    assert sum(shown.values()) == pytest.approx(1)
    assert asked.model_input.topic == ""
