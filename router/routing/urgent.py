"""Mark messages about danger to someone: by words, which need no model, and by what the model that serves learnt.

Either is enough. The words stand in `urgent_words.yaml`; no model overrules a whole phrase, for one that knows a
hundred harmless messages about buses would be sure that a child who "never got off the bus" is one of them. One or two
words ("caught fire", "hit list") are a weak sign: they count unless the model is sure that the message is harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from router.routing.answer import Answer, MarkUrgent
from router.routing.phrases import shipped
from router.routing.turns import one_by_one

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from router.interfaces import Classifier, ModelInput, UrgentSense
    from router.records import Content, Message

    Readings = Callable[[Content, str], Sequence[ModelInput]]
    Anew = Callable[[Message], Awaitable[Content]]

HARMLESS = 0.02
"""Below this probability the model's opinion outweighs a weak sign. Of messages of the bundled corpus that the model
hadn't seen 12 alarms fell silent so, one of them real; at 0.05 three more, two of them real."""

_WEAK = 2  # different words: of the bundled alarms by so few one in four is false, of those by more one in twenty
_LEARNT = frozenset({"en", "es"})  # of other languages the model knows too little to be sure
_SHOWN = 3  # words of the message in the model's remark


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a message found: why it is urgent, "" if it isn't, and what that rests on.

    `model` is the version that was asked, "" if none served, None if it failed; `sure` says that no model matters.
    """

    reason: str
    model: str | None
    sure: bool = False


class Urgent:
    """Remarks on urgent messages; never ends the list of steps.

    `classifier` returns the model that serves, None if none does; `readings` are what it is asked about; `anew` is
    what a message doesn't only repeat (`router.routing.quotes`), all of it by default.
    """

    name = "urgent"

    def __init__(
        self,
        classifier: Callable[[], Classifier | None] = lambda: None,
        readings: Readings | None = None,
        log: FilteringBoundLogger | None = None,
        anew: Anew | None = None,
    ) -> None:
        self._classifier = classifier
        self._readings = readings
        self._log = log
        self._anew = anew

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Mark each message that speaks of danger, with the category and the words that said so."""
        said = [await self._said(each) for each in batch]
        # What a look ahead found holds where nothing had to be left out.
        known = [each.foreseen if content is each.content else None for each, content in zip(batch, said, strict=True)]
        asked = [
            (content, each.medium.value) for each, content, why in zip(batch, said, known, strict=True) if why is None
        ]
        looked = iter(await self.look(asked))
        reasons = (next(looked).reason if why is None else why for why in known)
        return [MarkUrgent(reason) if reason else None for reason in reasons]

    @property
    def model(self) -> str:
        """The version of the model that serves, "" if none does."""
        return _version_of(self._classifier())

    def holds(self, look: Look) -> bool:
        """Return whether another look would find the same: no model mattered, or the one that serves was asked."""
        return look.sure or look.model == self.model

    async def _said(self, message: Message) -> Content:
        try:
            return await self._anew(message) if self._anew else message.content
        except Exception:  # rather one alarm too many
            if self._log:
                self._log.exception("urgent_quotes_failed", message_id=message.id)
            return message.content

    def reasons(self, contents: Sequence[tuple[Content, str]]) -> list[str]:
        """Return for contents with their media why each is urgent, "" if it isn't. Hostile text: 60 ms each."""
        return [found.reason for found in map(partial(self._look, self._classifier()), contents)]

    async def look(self, contents: Sequence[tuple[Content, str]]) -> list[Look]:
        """Return of contents with their media what `reasons` returns and what it rests on; keep nobody waiting."""
        return await one_by_one(partial(self._look, self._classifier()), contents, lambda pair: pair[0])

    def _look(self, classifier: Classifier | None, pair: tuple[Content, str]) -> Look:
        content, medium = pair
        said, sense, model = _said(content), sense_of(classifier), _version_of(classifier)
        if said.strong or sense is None or self._readings is None:
            return Look(said.phrase, model, sure=said.strong)
        try:
            return Look(_verdict(said, *_likeliest(self._readings(content, medium), sense), sense), model)
        except Exception:  # a model that fails mustn't silence the words
            if self._log:
                self._log.exception("urgent_model_failed")
            return Look(said.phrase, None)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the words say, such as "child missing (never came home)", "" if nothing, and whether that is enough."""

    phrase: str
    strong: bool


def _said(content: Content) -> _Said:
    phrases = shipped("urgent_words.yaml")
    found = list(phrases.find_all(content.subject, content.text, content.html_text))
    told = {word for each in found for word in each.told}
    sure = content.language not in _LEARNT or any(each.grave for each in found)
    return _Said(str(found[0]) if found else "", len(told) > _WEAK or bool(told and sure))


def _verdict(said: _Said, likely: float, spoken: ModelInput, sense: UrgentSense) -> str:
    """Return why a message is urgent, "" if it isn't; a model that never alarms can't tell what is harmless, either."""
    if said.strong or (said.phrase and (likely >= HARMLESS or sense.threshold > 1)):
        return said.phrase
    return _wording(likely, spoken, sense)


def sense_of(classifier: Classifier | None) -> UrgentSense | None:
    """Return what a model knows of urgency, None if nothing: an older one, or one of another type."""
    sense: UrgentSense | None = getattr(classifier, "urgent", None)
    return sense


def _version_of(classifier: Classifier | None) -> str:
    version: str = getattr(classifier, "version", "")
    return version


def _likeliest(inputs: Sequence[ModelInput], sense: UrgentSense) -> tuple[float, ModelInput]:
    """Ask a model about all that was read in a message; return the most urgent part of it."""
    return max(zip(sense.likely(inputs), inputs, strict=True), key=lambda pair: pair[0])


def _wording(likely: float, spoken: ModelInput, sense: UrgentSense) -> str:
    """Return the model's reason with the strongest words, "" below its threshold."""
    if likely < sense.threshold:
        return ""
    strongest = [word for word, weight in sense.explain(spoken, 2 * _SHOWN) if weight > 0][:_SHOWN]
    return f"by its wording ({', '.join(strongest)})" if strongest else "by its wording"


def urgency(content: Content, medium: str, classifier: Classifier | None, readings: Readings) -> dict[str, Any]:
    """Return how urgency was judged, as a JSON value: the phrase, the model's probability, threshold and words.

    `weak` says that the phrase counts only unless the model is sure that the message is harmless.
    """
    said, sense = _said(content), sense_of(classifier)
    if sense is None:
        return {"verdict": said.phrase, "phrase": said.phrase}
    likely, spoken = _likeliest(readings(content, medium), sense)
    return {
        "verdict": _verdict(said, likely, spoken, sense),
        "phrase": said.phrase,
        "weak": bool(said.phrase) and not said.strong,
        "likely": round(likely, 4),
        "threshold": sense.threshold,
        "words": [[word, weight] for word, weight in sense.explain(spoken)],
    }


def urgent_reason(subject: str, text: str, html_text: str = "") -> str:
    """Return what the words alone say: such as "child missing (never came home)", or "" if nothing."""
    found = shipped("urgent_words.yaml").find(subject, text, html_text)
    return str(found) if found else ""
