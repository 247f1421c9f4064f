"""Champion and challenger side by side: each figure with its interval, and a dash where nothing was measured."""

from __future__ import annotations

from router.console.learning_models import side_by_side

MEASURED = {
    "n": 1471,
    "accuracy": 0.777,
    "coverage": 0.5,
    "intervals": {"accuracy": [0.754, 0.799]},
    "urgent": {"recall": 0.84, "precision": 0.8, "intervals": {"recall": [0.7, 0.9]}},
}


def view(held_out):
    """Return a model as the registry tells it."""
    return {"metrics": {"held_out": held_out} if held_out else {}}


def test_two_models_stand_beside_one_another():
    """Row by row the same figure of both."""
    rows = dict(side_by_side([view(MEASURED), view({"n": 900, "accuracy": 0.8})]))
    assert rows["messages held out"] == [("1471", ""), ("900", "")]
    assert rows["right first choice"] == [("77.7%", "75.4% to 79.9%"), ("80.0%", "")]
    assert rows["routed without a person"] == [("50.0%", ""), ("–", "")]
    assert rows["urgent messages found"] == [("84.0%", "70.0% to 90.0%"), ("–", "")]


def test_a_model_that_was_never_measured_has_no_figures():
    """Nor are urgent messages mentioned."""
    rows = dict(side_by_side([view(None)]))
    assert {cells[0] for cells in rows.values()} == {("–", "")}
    assert not any("urgent" in words for words in rows)
