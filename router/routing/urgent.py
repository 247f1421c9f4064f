"""Mark messages about danger to someone: by words, which need no model, and by what the model that serves learnt.

The words stand in `urgent_words.yaml`. They and the model are asked before anything else and apart from it; where the
model is down or has learnt nothing of urgency, the words decide alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from router.interfaces import ModelInput
from router.routing.answer import Answer, MarkUrgent
from router.routing.phrases import Found, Phrases, shipped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from router.interfaces import Classifier, UrgentSense
    from router.records import Content, Message

    Prepare = Callable[[Content, str], ModelInput]

_SHOWN = 3  # words of the message in the model's remark
_LONG = 60  # words of a message in which an alarm can be lost


class Urgent:
    """Remarks on urgent messages; never ends the list of steps.

    `classifier` returns the model that serves, None if none does; `prepare` is what it sees of a message.
    """

    name = "urgent"

    def __init__(
        self,
        classifier: Callable[[], Classifier | None] = lambda: None,
        prepare: Prepare | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._classifier = classifier
        self._prepare = prepare
        self._log = log
        self._phrases = shipped_phrases()

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Mark each message that speaks of danger, with the category and the words that said so."""
        reasons = await asyncio.to_thread(self.reasons, [(each.content, each.medium.value) for each in batch])
        return [MarkUrgent(reason) if reason else None for reason in reasons]

    def reasons(self, contents: Sequence[tuple[Content, str]]) -> list[str]:
        """Return for contents with their media why each is urgent, "" if it isn't. Hostile text: 60 ms each."""
        sense = sense_of(self._classifier())
        return [self._reason(content, medium, sense) for content, medium in contents]

    def _reason(self, content: Content, medium: str, sense: UrgentSense | None) -> str:
        found = self._phrases.find(content.subject, content.text, content.html_text)
        if sense is not None and self._prepare is not None:
            try:
                return judge(found, look(content, medium, found, sense, self._prepare), sense)
            except Exception:  # a model that fails mustn't silence the words
                if self._log:
                    self._log.exception("urgent_model_failed")
        return str(found) if found else ""


@dataclass(frozen=True, slots=True)
class Look:
    """What a model makes of a message: how likely it is urgent, how likely the passage around a phrase is, and why."""

    likely: float
    passage: float
    spoken: ModelInput


def sense_of(classifier: Classifier | None) -> UrgentSense | None:
    """Return what a model knows of urgency, None if nothing: an older one, or one of another type."""
    sense: UrgentSense | None = getattr(classifier, "urgent", None)
    return sense


def look(content: Content, medium: str, found: Found | None, sense: UrgentSense, prepare: Prepare) -> Look:
    """Ask a model about the text, about the HTML where it says something else, and about a phrase's passage.

    In a long message about many things one sentence counts for little, so that its passage is looked at by itself.
    A short message is its own passage.
    """
    inputs = [prepare(content, medium)]
    html = content.html_text
    if html.strip() and content.text.strip() and html.split() != content.text.split():
        inputs.append(prepare(replace(content, text=html), medium))
    is_long = len(content.text.split()) + len(html.split()) > _LONG
    passages = [ModelInput(subject="", body=found.passage)] if found and is_long else []
    likely = sense.likely([*inputs, *passages])
    best = max(range(len(inputs)), key=likely.__getitem__)
    return Look(likely[best], likely[-1] if passages else likely[best], inputs[best])


def judge(found: Found | None, seen: Look, sense: UrgentSense) -> str:
    """Return why a message is urgent, or "".

    The words say so, unless the model takes both the message and their passage for harmless; or the model says so.
    """
    if found and max(seen.likely, seen.passage) >= min(sense.with_words, sense.threshold):
        return str(found)
    if seen.likely < sense.threshold:
        return ""
    strongest = [word for word, weight in sense.explain(seen.spoken, 2 * _SHOWN) if weight > 0][:_SHOWN]
    return f"by its wording ({', '.join(strongest)})" if strongest else "by its wording"


def urgency(content: Content, medium: str, classifier: Classifier | None, prepare: Prepare) -> dict[str, Any]:
    """Return how urgency was judged, as a JSON value: the phrase, the model's probability, thresholds and words."""
    found = shipped_phrases().find(content.subject, content.text, content.html_text)
    view: dict[str, Any] = {"phrase": str(found) if found else ""}
    sense = sense_of(classifier)
    if sense is None:
        return view | {"verdict": str(found) if found else ""}
    seen = look(content, medium, found, sense, prepare)
    return view | {
        "verdict": judge(found, seen, sense),
        "likely": round(seen.likely, 4),
        "passage": round(seen.passage, 4) if found else None,
        "threshold": sense.threshold,
        "with_words": sense.with_words,
        "words": [[word, weight] for word, weight in sense.explain(seen.spoken)],
    }


def urgent_reason(subject: str, text: str, html_text: str = "") -> str:
    """Return what the words alone say: such as "child missing (never came home)", or "" if nothing."""
    found = shipped_phrases().find(subject, text, html_text)
    return str(found) if found else ""


def shipped_phrases() -> Phrases:
    """Return the shipped phrases."""
    return shipped("urgent_words.yaml")
