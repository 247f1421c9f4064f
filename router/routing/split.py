"""Two matters in one message: find where the writer turns to another one, in English and Spanish.

A sentence with another department's words isn't a second matter: people tell the story first. Those who have two say
so: they number them, or begin anew with "also", "second", "while I have you", "otra cosa". Only such a message is cut.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import re2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.interfaces import ModelInput

MOST_PARTS = 4
_MOST_TEXT = 4000  # characters: matters that count stand at the beginning
_FEWEST_WORDS = 3
_TURNS = (
    r"second(?:ly)?\b",
    r"third(?:ly)?\b",
    r"(?:and |oh and |oh n |n )?also\b",
    r"(?:and )?(?:another|one more|one other|last|a last|a second|the second|second|other|the other|the small|the minor|a small)"
    r" (?:thing|question|matter|item|point|issue|one|is\b|request)",
    r"(?:the )?other(?::| is\b)",
    r"separately\b",
    r"(?:totally |completely )?unrelated\b",
    r"(?:al)?though unrelated\b",
    r"while (?:i have|i've got|i got|i'm at|im at|we're at) (?:you|it)\b",
    r"on (?:another|a different|a separate) (?:note|subject|matter)\b",
    r"(?:besides|apart from|aside from|in addition to) (?:that|this)\b",
    r"in addition\b",
    r"additionally\b",
    r"less (?:pressing|urgent|important)\b",
    r"a (?:lesser|smaller) (?:thing|matter|question)\b",
    r"(?:oh )?(?:and|n|&) (?:another|what time|when|where|who|is|are|can|could|do|does|how)\b",
    r"oh\b",
    r"p\.? ?s\.?\b",
    r"then if\b",
    r"after that\b",
    r"lastly\b",
    r"finally\b",
    r"by the way\b",
    r"btw\b",
    r"segund[oa]\b",
    r"tercer[oa]\b",
    r"(?:y )?tambi[eé]n\b",
    r"(?:y )?adem[aá]s\b",
    r"(?:y )?otra (?:cosa|cosita|pregunta|duda)\b",
    r"(?:y )?lo otro\b",
    r"(?:y )?(?:ya )?de paso\b",
    r"(?:y )?aparte\b",
    r"por otr[oa] (?:lado|parte)\b",
    r"ah,? y\b",
    r"por cierto\b",
    r"por [uú]ltimo\b",
    r"(?:y )?una [uú]ltima cosa\b",
)
_NUMBER = r"\(?(?:[1-4]|[a-d])[.):]"
_START = r"(?:^|[.!?;:…\n(]|[.!?]\")[\s\"'(¿¡-]*"


def _pattern() -> object:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return re2.compile(f"{_START}((?:{'|'.join(_TURNS)})|{_NUMBER}\\s)", options)


_TURN = _pattern()


def parts(model_input: ModelInput) -> list[ModelInput]:
    """Return a message's matters as messages of their own, in order; fewer than two if it seems to have one."""
    found = [part for part in _cut(model_input.body[:_MOST_TEXT]) if len(part.split()) >= _FEWEST_WORDS][:MOST_PARTS]
    return [replace(model_input, subject="", body=part) for part in found] if len(found) > 1 else []


def _cut(text: str) -> Iterator[str]:
    begin = 0
    for turn in _TURN.finditer(text):  # type: ignore[attr-defined]  # re2 publishes no types
        yield text[begin : turn.start(1)].strip()
        begin = turn.start(1)
    yield text[begin:].strip()
