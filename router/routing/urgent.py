"""Mark messages about danger to someone: by words, which need no model, and by what the model that serves learnt.

Either is enough. The words stand in `urgent_words.yaml`; no model overrules them, for one that knows a hundred harmless
messages about buses would be sure that a child who "never got off the bus" is one of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from router.routing.answer import Answer, MarkUrgent
from router.routing.phrases import shipped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from router.interfaces import Classifier, ModelInput, UrgentSense
    from router.records import Content, Message

    Prepare = Callable[[Content, str], ModelInput]
    Anew = Callable[[Message], Awaitable[Content]]

_SHOWN = 3  # words of the message in the model's remark


class Urgent:
    """Remarks on urgent messages; never ends the list of steps.

    `classifier` returns the model that serves, None if none does; `prepare` is what it sees of a message; `anew` is
    what a message doesn't only repeat (`router.routing.quotes`), all of it by default.
    """

    name = "urgent"

    def __init__(
        self,
        classifier: Callable[[], Classifier | None] = lambda: None,
        prepare: Prepare | None = None,
        log: FilteringBoundLogger | None = None,
        anew: Anew | None = None,
    ) -> None:
        self._classifier = classifier
        self._prepare = prepare
        self._log = log
        self._anew = anew

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Mark each message that speaks of danger, with the category and the words that said so."""
        contents = [(await self._said(each), each.medium.value) for each in batch]
        reasons = await asyncio.to_thread(self.reasons, contents)
        return [MarkUrgent(reason) if reason else None for reason in reasons]

    async def _said(self, message: Message) -> Content:
        try:
            return await self._anew(message) if self._anew else message.content
        except Exception:  # rather one alarm too many
            if self._log:
                self._log.exception("urgent_quotes_failed", message_id=message.id)
            return message.content

    def reasons(self, contents: Sequence[tuple[Content, str]]) -> list[str]:
        """Return for contents with their media why each is urgent, "" if it isn't. Hostile text: 60 ms each."""
        sense = sense_of(self._classifier())
        return [self._reason(content, medium, sense) for content, medium in contents]

    def _reason(self, content: Content, medium: str, sense: UrgentSense | None) -> str:
        said = urgent_reason(content.subject, content.text, content.html_text)
        if said or sense is None or self._prepare is None:
            return said
        try:
            return _wording(*_likeliest(content, medium, sense, self._prepare), sense)
        except Exception:  # a model that fails mustn't silence the words
            if self._log:
                self._log.exception("urgent_model_failed")
            return ""


def sense_of(classifier: Classifier | None) -> UrgentSense | None:
    """Return what a model knows of urgency, None if nothing: an older one, or one of another type."""
    sense: UrgentSense | None = getattr(classifier, "urgent", None)
    return sense


def _likeliest(content: Content, medium: str, sense: UrgentSense, prepare: Prepare) -> tuple[float, ModelInput]:
    """Ask a model about the text, and about the HTML where it says something else; return the more urgent of them."""
    inputs = [prepare(content, medium)]
    html = content.html_text
    if html.strip() and content.text.strip() and html.split() != content.text.split():
        inputs.append(prepare(replace(content, text=html), medium))
    return max(zip(sense.likely(inputs), inputs, strict=True), key=lambda pair: pair[0])


def _wording(likely: float, spoken: ModelInput, sense: UrgentSense) -> str:
    """Return the model's reason with the strongest words, "" below its threshold."""
    if likely < sense.threshold:
        return ""
    strongest = [word for word, weight in sense.explain(spoken, 2 * _SHOWN) if weight > 0][:_SHOWN]
    return f"by its wording ({', '.join(strongest)})" if strongest else "by its wording"


def urgency(content: Content, medium: str, classifier: Classifier | None, prepare: Prepare) -> dict[str, Any]:
    """Return how urgency was judged, as a JSON value: the phrase, the model's probability, threshold and words."""
    phrase, sense = urgent_reason(content.subject, content.text, content.html_text), sense_of(classifier)
    if sense is None:
        return {"verdict": phrase, "phrase": phrase}
    likely, spoken = _likeliest(content, medium, sense, prepare)
    return {
        "verdict": phrase or _wording(likely, spoken, sense),
        "phrase": phrase,
        "likely": round(likely, 4),
        "threshold": sense.threshold,
        "words": [[word, weight] for word, weight in sense.explain(spoken)],
    }


def urgent_reason(subject: str, text: str, html_text: str = "") -> str:
    """Return what the words alone say: such as "child missing (never came home)", or "" if nothing."""
    found = shipped("urgent_words.yaml").find(subject, text, html_text)
    return str(found) if found else ""
