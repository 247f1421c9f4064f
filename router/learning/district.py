"""A model as one district uses it: its departments instead of the model's labels, to be measured as such."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.interfaces import Classifier, ModelInput
    from router.records import Department, Prediction


class District:
    """A classifier whose labels are departments; a department's probability is what the labels it covers add up to.

    A label that no department covers stays itself, and what it wins is never routed.
    """

    def __init__(self, classifier: Classifier, departments: Sequence[Department]) -> None:
        self.version = classifier.version
        self._classifier = classifier
        self._desk_of = {label: desk.id for desk in departments for label in desk.covers}
        self.labels = tuple(dict.fromkeys(self.department(label) for label in classifier.labels))

    def department(self, label: str) -> str:
        """Return the department that covers a label, or the name itself."""
        return self._desk_of.get(label, label)

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a labelled row with departments for labels."""
        acceptable = [self.department(str(label)) for label in row.get("also_acceptable") or ()]
        return {**row, "department": self.department(str(row["department"])), "also_acceptable": acceptable}

    def predict(self, inputs: Sequence[ModelInput]) -> list[Prediction]:
        """Return one prediction per input over the departments, best first."""
        return [self._of(prediction) for prediction in self._classifier.predict(inputs)]

    def _of(self, prediction: Prediction) -> Prediction:
        totals: dict[str, float] = {}
        for label, p in prediction.likely:
            totals[self.department(label)] = totals.get(self.department(label), 0.0) + p
        ranking = sorted(totals.items(), key=lambda pair: -pair[1])
        known = ranking[0][0] in self._desk_of.values()
        sure = None if prediction.confidence is None else ranking[0][1]
        score = prediction.score if known else float("-inf")
        return replace(prediction, ranking=tuple(ranking), score=score, confidence=sure)

    def explain(self, model_input: ModelInput, label: str, most: int = 12) -> list[tuple[str, float]]:
        """Return the words for and against the likeliest label of a department."""
        ranking = self._classifier.predict([model_input])[0].ranking
        covered = next(own for own, _ in ranking if self.department(own) == label)
        return self._classifier.explain(model_input, covered, most)
