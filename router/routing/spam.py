"""What is taken for spam, and where it goes. Never nowhere: a person sees it, at the fallback or among what is held."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import re2

from router.records import SUSPICIOUS, Reason
from router.routing.answer import Hold, Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.records import Content, Message, Prediction
    from router.routing.explain import Asked

HOLD, FALLBACK = "hold", "fallback"
_MOST_TEXT = 20_000  # characters of the text that are looked at
_WORDS_PER_LINK = 12
_FEWEST_WORDS = 5  # "hello?" and "ok thanks" are no department's business, and nobody's spam


@dataclass(frozen=True, slots=True, kw_only=True)
class Spam:
    """Where what looks like spam goes: `fallback`, `hold`, or a department."""

    fallback: str
    where: str = FALLBACK

    def answer(
        self, message: Message, why: str, prediction: Prediction | None = None, suggestions: tuple[str, ...] = ()
    ) -> Route | Hold:
        """Return the answer for a suspicious message. What a person released, and what is urgent, isn't held.

        `suggestions` are the likeliest departments: who gets it may have to pass a family's message on.
        """
        if self.where == HOLD and not message.released:
            return Hold(SUSPICIOUS + why, unless_urgent=True)
        department = self.fallback if self.where in {HOLD, FALLBACK} else self.where
        return Route(
            department=department,
            reason=Reason.ABSTAINED,
            detail=SUSPICIOUS + why,
            prediction=prediction,
            suggestions=suggestions,
        )


def suspicion(content: Content, prediction: Prediction, stranger_score: float) -> str:
    """Return why a message that the model wouldn't route looks like spam, "" if it doesn't.

    Either the model is very sure that it is no department's business, which a handful of words can't tell, or it thinks
    so and the text has a sign of spam.
    """
    if prediction.score < stranger_score and len(f"{content.subject} {_text(content)}".split()) >= _FEWEST_WORDS:
        return "it is unlike anything that a department deals with"
    return next(signs(content), "") if prediction.score < 0 else ""


def signs(content: Content) -> Iterator[str]:
    """Yield what in a message is usual for spam and rare in what families write. Linear in its length."""
    text = f"{content.subject}\n{_text(content)}"[:_MOST_TEXT]
    links = len(_LINK.findall(text))
    if links > 1 and len(text.split()) < links * _WORDS_PER_LINK:
        yield "it is mostly links"
    if _ODD_LINK.search(text):
        yield "it has a link that hides where it leads"
    if _LETS_GO.search(text):
        yield "it offers to unsubscribe"
    if found := _BAIT.search(text):
        yield f"it says “{found.group().lower()}”"


def judged(content: Content, prediction: Prediction | None, asked: Asked | None) -> dict[str, Any]:
    """Return what speaks for spam, as a JSON value: the channel's reason, signs, the model's score and words.

    Below a score of 0 the model takes it for no department's business; below `threshold` that alone is enough. The
    words speak for (+) or against (-) that, where the model has learnt from such messages.
    """
    strange = getattr(asked.classifier, "strange", None) if asked else None
    threshold = asked.thresholds.stranger_score if asked else -inf
    return {
        "channel": content.suspicion,
        "signs": list(signs(content)),
        "score": round(prediction.score, 4) if prediction and isfinite(prediction.score) else None,
        "threshold": threshold if isfinite(threshold) else None,
        "words": [list(each) for each in strange(asked.model_input)] if strange and asked else [],
    }


def _text(content: Content) -> str:
    return (content.text or content.html_text)[:_MOST_TEXT]


def _compiled(*expressions: str) -> Any:  # re2 publishes no types
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return re2.compile("|".join(expressions), options)


_LINK = _compiled(r"https?://[^\s<>\"]+", r"\bwww\.[^\s<>\"]+")
_ODD_LINK = _compiled(
    r"https?://[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b",
    r"https?://[^\s/]*xn--",
    r"\b(?:bit\.ly|tinyurl\.com|t\.me|wa\.me|is\.gd|cutt\.ly|rebrand\.ly|shorturl\.at|t\.ly)/",
    r"https?://[^\s/]+\.(?:xyz|top|click|icu|buzz|monster|quest|cam|loan|win)\b",
)
_LETS_GO = _compiled(
    r"\bunsubscribe\b",
    r"\bopt[- ]out of (?:future|these|further)",
    r"\b(?:reply|text|txt) stop\b",
    r"\bdar(?:se|te) de baja\b",
    r"\bcancelar (?:la|tu|su) suscripci[oó]n\b",
)
_BAIT = _compiled(
    r"\b(?:bitcoin|crypto(?:currency)?|forex|casino|jackpot|viagra|cialis)\b",
    r"\b(?:search engine optimi[sz]ation|backlinks?|guest posts?|domain authority|first page of google)\b",
    r"\byour (?:account|mailbox|package|parcel|subscription) (?:has been|was|is|will be) "
    r"(?:suspended|locked|on hold|limited|deactivated|closed)",
    r"\b(?:pre-?approved for|business loan|merchant cash advance|no credit check|consolidate your debt)\b",
    r"\b(?:next of kin|unclaimed (?:funds|inheritance)|wire transfer of)\b",
    r"\b(?:make|earn) \$?[0-9,]+ (?:a|per) (?:day|week)\b",
    r"\b(?:ganaste|ha sido seleccionad[oa]|préstamo (?:aprobado|inmediato)|criptomonedas?)\b",
)
