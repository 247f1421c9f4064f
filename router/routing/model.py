"""The model's step: ask the champion for the whole batch, in a thread, and let the policy judge."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.records import Reason
from router.routing.answer import Answer, Route
from router.routing.hint import hinted
from router.routing.policy import Thresholds, choose
from router.routing.spam import suspicion
from router.routing.split import matters, parts, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from router.interfaces import Classifier, ModelInput
    from router.records import Content, Department, Message, Prediction
    from router.routing.spam import Spam
    from router.routing.split import Mode

Serving = tuple["Classifier", Thresholds]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the model says of a message, and of its parts if it seems to have several matters."""

    whole: Prediction
    parts: tuple[Prediction, ...]
    chosen: str = ""  # the department that was chosen on a form


class Model:
    """Answers for every message it is asked about: a department, the fallback with a doubt, or "the model is down"."""

    name = "model"

    def __init__(
        self,
        serving: Callable[[], Serving | None],
        prepare: Callable[[Content, str], ModelInput],
        departments: Sequence[Department],
        spam: Spam,
        log: FilteringBoundLogger,
        *,
        split: Mode = "first",
    ) -> None:
        self._serving = serving
        self._prepare = prepare
        self._departments = departments
        self._fallback = spam.fallback
        self._log = log
        self._split = split
        self._spam = spam

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Route every message of the batch."""
        serving = self._serving()
        if serving is None:
            return [self._down("no model has been trained yet")] * len(batch)
        classifier, thresholds = serving
        try:
            said = await asyncio.to_thread(self._ask, classifier, batch)
        except Exception as error:
            self._log.exception("model_failed", model=classifier.version)
            return [self._down(f"the model {classifier.version} failed: {type(error).__name__}")] * len(batch)
        return [self._answer(message, asked, thresholds) for message, asked in zip(batch, said, strict=True)]

    def _ask(self, classifier: Classifier, batch: Sequence[Message]) -> list[_Asked]:
        """Ask about all messages and all their parts at once."""
        prepared = (self._prepare(message.content, message.medium.value) for message in batch)
        given = [hinted(each, self._departments) for each in prepared]
        inputs = [model_input for model_input, _ in given]
        cut = [parts(model_input) for model_input in inputs]
        predictions = iter(classifier.predict([*inputs, *(part for each in cut for part in each)]))
        wholes = [next(predictions) for _ in inputs]
        return [
            _Asked(whole, tuple(next(predictions) for _ in each), desk)
            for whole, each, (_, desk) in zip(wholes, cut, given, strict=True)
        ]

    def _answer(self, message: Message, asked: _Asked, thresholds: Thresholds) -> Answer:
        prediction = asked.whole
        choice = choose(prediction, self._departments, thresholds, asked.chosen)
        if choice.department is None and (why := suspicion(message.content, prediction, thresholds.stranger_score)):
            return self._spam.answer(message, why, prediction, choice.suggestions)  # also where spam says "also"
        if found := matters(asked.parts, self._departments, thresholds):
            choice = settle(choice, found, self._split)
        return Route(
            department=choice.department or self._fallback,
            reason=Reason.MODEL if choice.department else Reason.ABSTAINED,
            detail=choice.why,
            prediction=prediction,
            confidence=choice.confidence,
            suggestions=choice.suggestions,
            also=choice.also,
        )

    def _down(self, why: str) -> Route:
        return Route(department=self._fallback, reason=Reason.MODEL_DOWN, detail=why)
