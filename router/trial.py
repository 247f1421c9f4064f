"""Where would this go? The path of a decision without a store: nothing is accepted, remembered or sent.

The steps are the daemon's, save those that look at what was sent and received before (reports, loops and threads).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import UTC
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from channels._mime import understand
from classifiers._text import prepare, readings
from router.destinations import addresses
from router.errors import SignpostError
from router.language import Language
from router.records import Content, Department, Medium, Message, Reason
from router.routing.explain import Asked, explanation
from router.routing.hint import hinted
from router.routing.model import Model
from router.routing.route import Router
from router.routing.rules import Rule, Rules
from router.routing.schools import Schools
from router.routing.spam import FALLBACK, HOLD, Spam
from router.routing.statutory import Statutory
from router.routing.steps import Circles, OptOut, Suspicion, Unreadable
from router.routing.urgent import Urgent, urgency

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from config.load import Configuration
    from router.interfaces import Classifier, Clock, ModelInput
    from router.records import Decision, Prediction
    from router.routing.answer import Step
    from router.routing.policy import Thresholds
    from router.routing.route import Verdict

BATCH = 256
_NAMELESS = ("-", "<stdin>")
_MAIL = re.compile(
    rb"(?:received|return-path|delivered-to|from|date|message-id|mime-version|x-[a-z-]+): ", re.IGNORECASE
)
_NOWHERE = ""  # what stands for the fallback where no configuration names one


class Trial:
    """Decides messages by a configuration's rules, schools and departments, and one model.

    Without a configuration the model's labels are the departments, and there is no fallback.
    """

    def __init__(
        self,
        classifier: Classifier,
        thresholds: Thresholds,
        *,
        clock: Clock,
        log: FilteringBoundLogger,
        configuration: Configuration | None = None,
        fallback: str = _NOWHERE,
    ) -> None:
        self.classifier = classifier
        self.thresholds = thresholds
        self.departments = configuration.departments if configuration else _own(classifier.labels)
        self.fallback = configuration.routing.fallback if configuration else fallback
        self._language = Language()
        self.schools = schools = _schools(configuration)
        steps, exactly = (self._steps(configuration, schools, log, hold=hold) for hold in (False, True))
        router = partial(Router, fallback=self.fallback, schools=schools, clock=clock, log=log)
        observe = False  # the question is where it would go
        self._router = router(steps, observe=observe)
        circles = Circles(addresses(self.departments, schools.known))
        self._whole = router((exactly[0], circles, OptOut(), *exactly[1:]), observe=observe)

    def _steps(
        self, configuration: Configuration | None, schools: Schools, log: FilteringBoundLogger, *, hold: bool
    ) -> tuple[Step, ...]:
        """Return the steps; without `hold` what would be held as spam is routed to the fallback."""
        split, where = (
            (configuration.routing.split, configuration.routing.spam) if configuration else ("first", FALLBACK)
        )
        spam = Spam(fallback=self.fallback, where=where if hold or where != HOLD else FALLBACK)
        rules = [
            Rule(name=rule.name, to=rule.to, conditions=rule.conditions())
            for rule in (configuration.rules if configuration else ())
        ]
        return (
            Urgent(lambda: self.classifier, readings, log),
            Statutory(),
            Rules(rules, schools.recognise, ZoneInfo(configuration.organization.timezone) if configuration else UTC),
            Unreadable(self.fallback),
            Suspicion(spam),
            Model(lambda: (self.classifier, self.thresholds), prepare, self.departments, spam, log, split=split),
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps, in order."""
        return self._router.steps

    def decide(self, messages: Iterable[Message]) -> Iterator[tuple[Message, Decision, Prediction]]:
        """Yield a decision for each message, in order, with what the model thinks in any case. Works in batches.

        What `messages` raises is raised after the messages before it have been answered.
        """
        with asyncio.Runner() as runner:
            for batch, fault in _batches(messages):
                yield from runner.run(self._decide(batch))
                if fault:
                    raise fault

    def verdicts(self, messages: Sequence[Message]) -> list[Verdict]:
        """Return what would become of each message: also of those that would be held or filed for what they are."""
        known = [self._with_language(message) for message in messages]
        return asyncio.run(self._whole.decide(known))

    async def _decide(self, batch: Sequence[Message]) -> list[tuple[Message, Decision, Prediction]]:
        known = [self._with_language(message) for message in batch]
        decisions = [verdict.decision for verdict in await self._router.decide(known)]
        return [
            (message, decision, decision.prediction or self._predict(message))
            for message, decision in zip(known, decisions, strict=True)
            if decision is not None  # only the step that isn't here holds or files
        ]

    def _predict(self, message: Message) -> Prediction:
        return self.classifier.predict([hinted(_input(message), self.departments)[0]])[0]

    def _with_language(self, message: Message) -> Message:
        return replace(message, content=self._language.of(message.content))

    def explain(self, message: Message) -> dict[str, Any]:
        """Return why a message would go where it would go."""
        decided, decision, prediction = next(iter(self.decide([message])))
        asked = Asked.about(self.classifier, self.thresholds, _input(decided), self.departments)
        view = explanation(
            decided,
            decision,
            prediction,
            departments=self.departments,
            fallback=self.fallback,
            schools=self.schools.known,
            seen=self.schools.look(decided),
            asked=asked,
        )
        return view | {"urgency": urgency(decided.content, decided.medium.value, self.classifier, readings)}


def _schools(configuration: Configuration | None) -> Schools:
    if configuration is None:
        return Schools(())
    organization = configuration.organization
    return Schools.reading(configuration.schools, organization.name, organization.contacts_file)


def _batches(messages: Iterable[Message]) -> Iterator[tuple[list[Message], SignpostError | None]]:
    """Yield messages in batches, and with the last one what ended them, if that was an error."""
    iterator = iter(messages)
    while True:
        batch: list[Message] = []
        try:
            batch.extend(islice(iterator, BATCH))
        except SignpostError as error:
            yield batch, error
            return
        if not batch:
            return
        yield batch, None


def _own(labels: Sequence[str]) -> tuple[Department, ...]:
    return tuple(Department(id=label, name=label, covers=(label,)) for label in labels)


def _input(message: Message) -> ModelInput:
    return prepare(message.content, message.medium.value)


def message_of_row(row: Mapping[str, Any], number: int, now: datetime) -> Message:
    """Return the message of a data row `{"id", "channel", "subject", "body"}`, `number` standing for its id.

    `channel` is the medium (`email` if there is none); `language`, `topic` and `school` are taken if they are there.
    Raise `SignpostError` for a row that isn't one.
    """
    for name in ("channel", "subject", "body", "language", "topic", "school"):
        if not isinstance(row.get(name) or "", str):
            raise SignpostError(f"{name} must be a text")
    if "subject" not in row and "body" not in row:
        raise SignpostError("there is neither a subject nor a body")
    medium = row.get("channel") or Medium.EMAIL.value
    if medium not in list(Medium):
        raise SignpostError(f"channel must be one of {', '.join(Medium)}, not '{medium[:40]}'")
    content = Content(
        subject=row.get("subject") or "",
        text=row.get("body") or "",
        language=row.get("language") or "",
        topic=row.get("topic") or "",
        school=row.get("school") or "",
    )
    return Message(id=str(number), channel="", medium=Medium(medium), received_at=now, content=content)


def message_of_text(text: bytes, name: str, medium: Medium, now: datetime) -> Message:
    """Return the message of a file: a mail if its name ends in `.eml`, else plain text.

    What comes by standard input (`-`) is a mail if it begins as one.
    """
    if name.lower().endswith(".eml") or (name in _NAMELESS and _MAIL.match(text)):
        content = understand(text, {}, Medium.EMAIL.value)
    else:
        content = Content(text=text.decode("utf-8-sig", errors="replace").replace("\0", ""))
    return Message(id=name, channel="", medium=medium, received_at=now, content=content)


def answer(message: Message, decision: Decision, prediction: Prediction) -> dict[str, Any]:
    """Return the row that `signpost classify` prints, without its id."""
    confidence = decision.confidence
    return {
        "department": decision.department or None,
        "also": list(decision.also),
        "confidence": None if confidence is None else round(confidence, 4),
        "abstained": decision.reason in {Reason.ABSTAINED, Reason.MODEL_DOWN, Reason.UNREADABLE},
        "reason": decision.reason.value,
        "detail": decision.detail,
        "urgent": bool(decision.urgent),
        "urgent_reason": decision.urgent,
        "tags": list(decision.tags),
        "school": decision.school,
        "language": message.content.language,
        "ranking": [[label, round(p, 4)] for label, p in prediction.ranking],
    }
