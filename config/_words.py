"""Plain words: what a setting must be, what was found instead, and what was probably meant."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SECRETIVE = re.compile(r"pass|secret|token|key|credential|auth", re.IGNORECASE)
_LONGEST_ECHO = 60
_RANGE_WORDS = {
    ("minimum", "maximum"): "between {minimum} and {maximum}",
    ("exclusiveMinimum", "exclusiveMaximum"): "above {exclusiveMinimum} and below {exclusiveMaximum}",
    ("minimum", "exclusiveMaximum"): "of at least {minimum} and below {exclusiveMaximum}",
    ("exclusiveMinimum", "maximum"): "above {exclusiveMinimum} and at most {maximum}",
    ("minimum",): "of at least {minimum}",
    ("maximum",): "of at most {maximum}",
    ("exclusiveMinimum",): "above {exclusiveMinimum}",
    ("exclusiveMaximum",): "below {exclusiveMaximum}",
}
_SIMPLE = {
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a block of settings",
    "null": "nothing",
}


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" if a known name is close; else which names there are if they are few, else ""."""
    names = sorted(known)
    close = get_close_matches(str(name).lower(), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"possible: {', '.join(names)}" if 0 < len(names) <= 8 else ""


def resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a JSON schema without references and without "or nothing"; what stands beside a reference is kept."""
    while "$ref" in schema or "anyOf" in schema:
        if "$ref" in schema:
            inner = definitions[schema["$ref"].rpartition("/")[2]]
        else:
            choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
            if len(choices) != 1:
                break
            inner = choices[0]
        schema = {**inner, **{key: value for key, value in schema.items() if key not in ("$ref", "anyOf", "title")}}
    return schema


def type_words(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Say in plain words what a value must be: "a whole number between 1 and 65535", "one of live, observe"."""
    schema = resolve(schema, definitions)
    if "x-type" in schema:
        return str(schema["x-type"])
    if "const" in schema:
        return f"'{schema['const']}'"
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(type_words(choice, definitions) for choice in schema["anyOf"])
    if schema.get("type") == "array" and "items" in schema:
        return f"a list, each {type_words(schema['items'], definitions)}"
    return f"{_SIMPLE.get(schema.get('type', ''), 'a value')} {_range_words(schema)}".strip()


def _range_words(schema: Mapping[str, Any]) -> str:
    present = tuple(k for k in ("minimum", "exclusiveMinimum", "exclusiveMaximum", "maximum") if k in schema)
    found = _RANGE_WORDS.get(present) or _RANGE_WORDS.get(present[::-1]) or ""
    return found.format(**{key: f"{schema[key]:g}" for key in present})


def found_words(value: object, text: str | None, path: str) -> str:
    """Say what was found, ", not 'abc'"; "" where the value may be a secret or is too long to help."""
    if isinstance(value, dict | list):
        return ", not a block of settings" if isinstance(value, dict) else ", not a list"
    if value is None or text is None:
        return ", not empty" if value is None else ""
    if _SECRETIVE.search(path) or len(text) > _LONGEST_ECHO or not text.isprintable() or ("@" in text and ":" in text):
        return ""
    return f", not {text}" if isinstance(value, bool | int | float) else f", not '{text}'"
