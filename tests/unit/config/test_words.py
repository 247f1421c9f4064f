"""Plain words for types, for what was found, and for what was meant."""

from __future__ import annotations

from typing import Any

import pytest

from config._words import did_you_mean, found_words, type_words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, "a whole number between 1 and 9"),
        ({"type": "integer", "minimum": 0}, "a whole number of at least 0"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "a number above 0 and at most 1"),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "a number above 0 and below 1"),
        ({"type": "string"}, "text"),
        ({"type": "boolean"}, "true or false"),
        ({"enum": ["a", "b"]}, "one of a, b"),
        ({"const": "a"}, "'a'"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}], "title": "X"}, "text"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "text or a whole number"),
        ({"type": "array", "items": {"$ref": "#/$defs/X"}}, "a list, each an X"),
        ({"$ref": "#/$defs/X", "default": 1}, "an X"),
        ({}, "a value"),
    ],
)
def test_a_json_schema_is_said_in_words(schema: dict[str, Any], words: str) -> None:
    """Types, ranges, choices and references read as a person would say them."""
    assert type_words(schema, {"X": {"type": "object", "x-type": "an X"}}) == words


@pytest.mark.parametrize(
    ("value", "text", "path", "words"),
    [
        ("abc", "abc", "port", ", not 'abc'"),
        (1, "+1", "to", ", not +1"),
        (True, "true", "to", ", not true"),
        ([], None, "to", ", not a list"),
        ({}, None, "to", ", not a block of settings"),
        (None, "~", "to", ", not empty"),
        ("abc", "abc", "password_env", ""),
        ("abc", "abc", "auth_token", ""),
        ("a://b:c@d", "a://b:c@d", "url", ""),
        ("x" * 99, "x" * 99, "port", ""),
        ("a\x1b", "a\x1b", "port", ""),
    ],
)
def test_what_was_found_is_said_unless_it_may_be_a_secret(value: Any, text: str, path: str, words: str) -> None:
    """Values beside secrets, addresses with passwords, and long or unprintable ones aren't repeated."""
    assert found_words(value, text, path) == words


def test_what_was_meant_is_the_closest_name() -> None:
    """A close name is suggested; else a short list is shown, a long one isn't."""
    assert did_you_mean("realy", ["relay", "inbox"]) == "did you mean 'relay'?"
    assert did_you_mean("x", ["relay", "inbox"]) == "possible: inbox, relay"
    assert did_you_mean("x", map(str, range(30))) == ""
    assert did_you_mean("x", []) == ""
