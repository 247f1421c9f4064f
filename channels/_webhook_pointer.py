"""JSON pointers (RFC 6901) into what a provider posts, with what real providers need beside them."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

POINTER_WORDS = "a JSON pointer such as /data/text"
_WRONG = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_CHOICE = re.compile(r"\{([^={}]+)=(.*)\}", re.DOTALL)
_DEEPEST = 5  # lists within objects within lists … that are read as text


def _check_pointer(value: str) -> str:
    if (value and not value.startswith("/")) or _WRONG.search(value):
        raise ValueError(f"must be {POINTER_WORDS}")
    return value


Pointer = Annotated[str, AfterValidator(_check_pointer), WithJsonSchema({"type": "string", "x-type": POINTER_WORDS})]


def resolve(document: Any, pointer: str) -> Any:
    """Return the value a pointer leads to, None if there is none.

    Two things go beyond RFC 6901, both where it knows only an error. In a list, `{key=value}` chooses the first member
    whose `key` (dotted for a deeper one) is `value`: form tools leave unanswered questions out, so that indexes shift.
    A text is read as JSON where the pointer goes on: some put a document into a field.
    """
    value = document
    for token in pointer.split("/")[1:]:
        value = _step(_unpacked(value), token.replace("~1", "/").replace("~0", "~"))
        if value is None:
            return None
    return value


def _unpacked(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _step(value: Any, token: str) -> Any:
    if isinstance(value, dict):
        return value.get(token)
    if not isinstance(value, list):
        return None
    if choice := _CHOICE.fullmatch(token):
        return next((member for member in value if _is_chosen(member, choice[1], choice[2])), None)
    return value[int(token)] if _INDEX.fullmatch(token) and int(token) < len(value) else None


def _is_chosen(member: Any, key: str, wanted: str) -> bool:
    for name in key.split("."):
        member = member.get(name) if isinstance(member, dict) else None
    return not isinstance(member, dict | list) and as_text(member) == wanted


def as_text(value: Any, depth: int = _DEEPEST) -> str:
    """Return a value as a person would write it: a list with commas, an object's values in order ("Ana Ruiz")."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value)
    if not depth or not isinstance(value, list | dict):
        return ""
    between, members = (", ", value) if isinstance(value, list) else (" ", list(value.values()))
    return between.join(filter(None, (as_text(member, depth - 1) for member in members)))
