"""Two matters in one message: find where the writer turns to another one, in English and Spanish. Pure.

A sentence with another department's words isn't a second matter: people tell the story first. Those who have two say
so: they number them, or begin anew with "also", "second", "while I have you", "otra cosa". Only such a text is cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import re2

from router.routing.policy import choose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from router.interfaces import ModelInput
    from router.records import Department, Prediction
    from router.routing.policy import Choice, Thresholds

Mode = Literal["both", "first", "fallback"]

RECOGNISED = 0.7
"""From this confidence on a part of a message is some department's matter. Of bundled messages that the model hadn't
seen, 18 % of those with two topics are recognised then, and 0.15 % of the others."""

_MOST_PARTS = 4
_MOST_TEXT = 4000  # characters: what matters stands at the beginning
_FEWEST_WORDS = 3
_ASKING = "another|what time|when|where|who|is|are|can|could|do|does|how"
_THING = "thing|question|matter|item|point|issue|one|request"
_TURNS = (
    r"(?:second|third)(?:ly)?\b",
    r"(?:and |oh and |oh n |n )?also\b",
    rf"(?:and )?(?:another|one more|one other|(?:a |the )?(?:last|second|other|small|minor)) (?:(?:{_THING})\b|is\b)",
    rf"(?:a )?(?:lesser|smaller) (?:{_THING})\b",
    r"(?:the )?other(?::| is\b)",
    r"separately\b",
    r"(?:totally |completely |though |although )?unrelated\b",
    r"while (?:i have|i've got|i got|i'm at|im at|we're at) (?:you|it)\b",
    r"on (?:another|a different|a separate) (?:note|subject|matter)\b",
    r"(?:besides|apart from|aside from|in addition to) (?:that|this)\b",
    r"(?:in addition|additionally|lastly|finally|by the way|btw|after that|then if|p\.? ?s\.?)\b",
    r"less (?:pressing|urgent|important)\b",
    rf"(?:oh )?(?:and|n|&) (?:{_ASKING})\b",
    r"oh\b",
    r"(?:segund|tercer)[oa]\b",
    r"(?:y )?(?:tambi[eé]n|adem[aá]s|aparte|lo otro|(?:ya )?de paso)\b",
    r"(?:y )?(?:otra|una [uú]ltima) (?:cosa|cosita|pregunta|duda)\b",
    r"(?:por otr[oa] (?:lado|parte)|por cierto|por [uú]ltimo|ah,? y)\b",
)
_NUMBER = r"\(?(?:[1-4]|[a-d])[.):]\s"
_START = r"(?:^|[.!?;:…\n(])[\s\"'(¿¡-]*"
_MAIN = (
    r"\b(?:main|mainly|mostly|chiefly|chief issue|above all|first and (?:foremost|most|mainly)|most important(?:ly)?|"
    r"(?:more|most) (?:urgent|pressing)|bigger|(?:that|which) matters|lo (?:principal|importante|m[aá]s importante)|"
    r"principalmente|m[aá]s me urge|que me urge|antes que nada|sobre todo)\b"
)


def _compiled(expression: str) -> Any:  # re2 publishes no types
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return re2.compile(expression, options)


_TURN = _compiled(rf"{_START}((?:{'|'.join(_TURNS)})|{_NUMBER})|\s(\(?[1-4]\)\s)")
_MAINLY = _compiled(_MAIN)
_FIRST = _compiled(r"\(?[1a][.):]\s")
_ANNOUNCES = _compiled(
    r"^(?:(?:hi|hello|hey|dear|good|hola|buen[oa]s)\b[^:\n!?]{0,30}[\s,.!:-]+)?"
    r"(?:(?:i|we)(?: have|'ve got|’ve got| had)? |there are |just |tengo |tenemos |hay )?"
    r"(?:a |the )?(?:two|three|four|[2-4]|few|couple(?: of)?|several|some|dos|tres|cuatro|unas|algunas|varias|varios) "
    r"(?:\pL+ )?(?:things|questions|matters|issues|items|requests|concerns|cosas|preguntas|dudas|asuntos|temas)"
    r"(?: \pL+){0,3}[\s.:!-]*$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """What one part of a message is about; `sure` if that alone would be enough to route the message."""

    department: str
    confidence: float
    sure: bool


def parts(model_input: ModelInput) -> list[ModelInput]:
    """Return a message's parts as messages of their own, what the writer calls the main one first.

    Fewer than two, that is none, if nothing says that there are several.
    """
    found = [part for part in _cut(model_input.body[:_MOST_TEXT]) if len(part.split()) >= _FEWEST_WORDS]
    if len(found) > 1 and _FIRST.match(found[1]) and _ANNOUNCES.search(found[0]):
        del found[0]  # "Hello, I have two questions:" is no matter
    found = found[:_MOST_PARTS]
    if len(found) < 2:
        return []
    main = next((number for number, part in enumerate(found) if _MAINLY.search(part)), 0)
    found.insert(0, found.pop(main))
    return [replace(model_input, subject="", body=part) for part in found]


def _cut(text: str) -> Iterator[str]:
    begin = 0
    for turn in _TURN.finditer(text):
        at = max(turn.start(1), turn.start(2))  # the other is -1
        yield text[begin:at].strip()
        begin = at
    yield text[begin:].strip()


def matters(
    predictions: Sequence[Prediction], departments: Sequence[Department], thresholds: Thresholds
) -> tuple[Matter, ...]:
    """Return what the parts are about, in their order, each department once; () unless there are two departments.

    A model that doesn't say how likely it is right can't tell what a mere part is about. None is sure if the first
    part isn't recognised: it is the writer's main one, and what comes beside it must not decide in its stead.
    """
    found: dict[str, Matter] = {}
    main_known = False
    for number, prediction in enumerate(predictions):
        choice = choose(prediction, departments, thresholds)
        if prediction.confidence is None or not choice.suggestions or choice.confidence < RECOGNISED:
            continue
        main_known |= number == 0
        department = choice.suggestions[0]
        before = found.get(department)
        if before is None or before.confidence < choice.confidence:
            sure = main_known and choice.department is not None
            found[department] = Matter(department=department, confidence=choice.confidence, sure=sure)
    return tuple(found.values()) if len(found) > 1 else ()


def settle(choice: Choice, found: Sequence[Matter], mode: Mode) -> Choice:
    """Return where a message with several matters goes. `choice` is the policy's for the message as a whole.

    It goes to the main matter's department if that part alone is sure enough, else where the whole would go if that is
    one of them; otherwise, or if the mode is `fallback`, to nobody. With `both` the others get it, too.
    """
    named = " and ".join(matter.department for matter in found)
    likely = tuple(dict.fromkeys((*(matter.department for matter in found), *choice.suggestions)))[:3]
    main = found[0]
    if mode == "fallback":
        return replace(choice, department=None, suggestions=likely, why=f"it has two matters: {named}")
    if main.sure:
        chosen, confidence = main.department, main.confidence
        why = f"{chosen} at {confidence:.0%}"
    elif choice.department in {matter.department for matter in found}:
        chosen, confidence, why = choice.department, choice.confidence, choice.why
    elif choice.department is not None:
        return choice  # the whole speaks for another one altogether: what its parts say is not to be trusted
    else:
        return replace(choice, suggestions=likely, why=f"it may be for {named}: {choice.why}")
    others = tuple(matter.department for matter in found if matter.department != chosen)
    also = others if mode == "both" else ()
    also_about = f"{why}, also about {' and '.join(others)}"
    return replace(
        choice, department=chosen, confidence=confidence, suggestions=_after(chosen, likely), also=also, why=also_about
    )


def _after(chosen: str, likely: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((chosen, *likely)))
