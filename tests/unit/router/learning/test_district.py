"""A model measured as a district uses it."""

from __future__ import annotations

from router.interfaces import ModelInput
from router.learning.district import District
from router.records import Prediction
from tests.unit.router.district import desk

SAID = ModelInput(subject="", body="the roof leaks")


class Fixed:
    """A classifier with one answer."""

    version = "fixed"
    labels = ("meals", "rooms", "buses", "sports")

    def __init__(self, **shares):
        self.shares = shares

    def predict(self, inputs):
        """Rank by the given shares."""
        ranking = tuple(sorted(self.shares.items(), key=lambda pair: -pair[1]))
        return [Prediction(ranking=ranking, score=1.0)] * len(inputs)

    def explain(self, model_input, label, most=12):
        """Name the label."""
        return [(label, 1.0)]


def _district(**shares):
    return District(
        Fixed(**shares), (desk("office", covers=()), desk("house", covers=("meals", "rooms")), desk("buses"))
    )


def test_covered_labels_add_up():
    """A department's share is the sum of its labels', and may overtake the model's first choice."""
    district = _district(buses=0.4, meals=0.25, rooms=0.3, sports=0.05)
    (prediction,) = district.predict([SAID])
    assert prediction.ranking[0][0] == "house"
    assert round(prediction.ranking[0][1], 6) == 0.55
    assert district.labels == ("house", "buses", "sports")
    assert district.explain(SAID, "house") == [("rooms", 1.0)]


def test_a_label_nobody_covers_is_never_routed():
    """It keeps its own name, and its score says that it is out of scope."""
    (prediction,) = _district(sports=0.9, buses=0.1).predict([SAID])
    assert prediction.ranking[0][0] == "sports"
    assert prediction.score == float("-inf")


def test_rows_speak_of_departments():
    """A row's label becomes the department that covers it, other acceptable ones likewise."""
    row = _district(buses=1.0).row({"body": "x", "department": "meals", "also_acceptable": ["rooms", "office"]})
    assert (row["department"], row["also_acceptable"]) == ("house", ["house", "office"])
