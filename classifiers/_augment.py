"""Noisy copies of a text for training: one with typing errors, one in the style of a hurried text message."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from router.interfaces import ModelInput

_TYPO_SHARE = 0.05  # of the characters
_VOWELS = frozenset("aeiouáéíóú")
_ROWS_OF_KEYS = ("qwertyuiop", "asdfghjklñ", "zxcvbnm")
_SHORT = {
    "you": "u",
    "your": "ur",
    "are": "r",
    "please": "pls",
    "tomorrow": "tmrw",
    "today": "2day",
    "because": "bc",
    "to": "2",
    "for": "4",
    "be": "b",
    "see": "c",
    "why": "y",
    "before": "b4",
    "thanks": "thx",
    "with": "w",
    "about": "abt",
    "people": "ppl",
    "school": "skool",
    "teacher": "tchr",
    "message": "msg",
    "that": "dat",
    "going": "goin",
    "something": "smth",
    "tonight": "2nite",
    "great": "gr8",
    "late": "l8",
    "know": "kno",
    "que": "q",
    "porque": "xq",
    "por": "x",
    "para": "pa",
    "también": "tmb",
    "tambien": "tmb",
    "está": "ta",
    "estoy": "toy",
    "favor": "fa",
    "mensaje": "msj",
    "gracias": "grax",
    "mañana": "mñn",
    "bien": "bn",
    "escuela": "esk",
    "quiero": "kiero",
    "cuando": "kndo",
    "donde": "dnd",
    "qué": "k",
    "niño": "nño",
}


def with_typos(model_input: ModelInput, random: Random) -> ModelInput:
    """Return a copy in which about one character in twenty is mistyped, left out, doubled or swapped."""
    return _rewritten(model_input, lambda text: "".join(_mistyped(text, random)))


def in_text_style(model_input: ModelInput, random: Random) -> ModelInput:
    """Return a copy in lower case with the usual abbreviations and some vowels left out, English and Spanish."""
    return _rewritten(model_input, lambda text: " ".join(_shortened(word, random) for word in text.lower().split()))


def _rewritten(model_input: ModelInput, rewrite: Callable[[str], str]) -> ModelInput:
    return replace(model_input, subject=rewrite(model_input.subject), body=rewrite(model_input.body))


def _mistyped(text: str, random: Random) -> list[str]:
    result: list[str] = []
    for char in text:
        if char.isspace() or random.random() >= _TYPO_SHARE:
            result.append(char)
            continue
        kind = random.randrange(4)
        if kind == 0:
            result.append(_neighbour(char, random))
        elif kind == 1:
            result.append(char * 2)
        elif kind == 2 and result:
            result.insert(-1, char)
    return result


def _neighbour(char: str, random: Random) -> str:
    """Return a key beside this one, or the character itself where it has no place on the keyboard."""
    for row in _ROWS_OF_KEYS:
        place = row.find(char.lower())
        if place >= 0:
            return random.choice(row[max(0, place - 1) : place] + row[place + 1 : place + 2])
    return char


def _shortened(word: str, random: Random) -> str:
    bare = word.strip(".,;:!?¡¿()\"'")
    if bare in _SHORT:
        return _SHORT[bare]
    if len(bare) < 5 or random.random() < 0.5:
        return bare
    return bare[0] + "".join(char for char in bare[1:-1] if char not in _VOWELS or random.random() < 0.5) + bare[-1]
