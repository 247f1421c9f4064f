"""The model's step: ask the champion once for the whole batch, in a thread, and let the policy judge."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from router.records import Reason
from router.routing.answer import Answer, Route
from router.routing.policy import Thresholds, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from router.interfaces import Classifier, ModelInput
    from router.records import Content, Department, Message, Prediction

Serving = tuple["Classifier", Thresholds]


class Model:
    """Answers for every message it is asked about: a department, the fallback with a doubt, or "the model is down"."""

    name = "model"

    def __init__(
        self,
        serving: Callable[[], Serving | None],
        prepare: Callable[[Content, str], ModelInput],
        departments: Sequence[Department],
        fallback: str,
        log: FilteringBoundLogger,
    ) -> None:
        self._serving = serving
        self._prepare = prepare
        self._departments = departments
        self._fallback = fallback
        self._log = log

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Route every message of the batch."""
        serving = self._serving()
        if serving is None:
            return [self._down("no model has been trained yet")] * len(batch)
        classifier, thresholds = serving
        try:
            predictions = await asyncio.to_thread(self._predict, classifier, batch)
        except Exception as error:
            self._log.exception("model_failed", model=classifier.version)
            return [self._down(f"the model {classifier.version} failed: {type(error).__name__}")] * len(batch)
        return [self._route(prediction, thresholds) for prediction in predictions]

    def _predict(self, classifier: Classifier, batch: Sequence[Message]) -> list[Prediction]:
        return classifier.predict([self._prepare(message.content, message.medium.value) for message in batch])

    def _route(self, prediction: Prediction, thresholds: Thresholds) -> Route:
        choice = choose(prediction, self._departments, thresholds)
        return Route(
            department=choice.department or self._fallback,
            reason=Reason.MODEL if choice.department else Reason.ABSTAINED,
            detail=choice.why,
            prediction=prediction,
            confidence=choice.confidence,
            suggestions=choice.suggestions,
        )

    def _down(self, why: str) -> Route:
        return Route(department=self._fallback, reason=Reason.MODEL_DOWN, detail=why)
