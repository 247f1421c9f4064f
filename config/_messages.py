"""Turn pydantic's errors into problems: the line in the file, the path people write, and a plain sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config._words import did_you_mean, found_words, resolve, type_words
from config.reference import schema_of
from router.errors import SignpostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from config._document import Document, Place
    from config._types import Names
    from router.errors import Problem

_LENGTHS = {"too_short": "must not be empty", "string_too_short": "must not be empty"}
_TOO_LONG = ("too_long", "string_too_long")
_MISFITS = ("_type", "_parsing", "_than", "_than_equal", "_error", "_mismatch", "_from_float", "enum", "finite_number")


class Translator:
    """Says in plain words what is wrong in one file; asks the settings' own JSON schemas what would be right."""

    def __init__(self, document: Document, names: Names, model: type[BaseModel]) -> None:
        self._document = document
        self._names = names
        self._root = schema_of(model)

    def problems(self, errors: Iterable[ErrorDetails]) -> list[Problem]:
        """Return one problem per place: of several errors at one value (a choice of types) the first."""
        found: dict[Place, Problem] = {}
        for error in errors:
            if _follows(error):
                continue
            place, schema, definitions = self._locate(error)
            if place not in found:
                found[place] = self._document.problem(place, *self._sentence(error, place, schema, definitions))
        return list(found.values())

    def _locate(self, error: ErrorDetails) -> tuple[Place, Mapping[str, Any], Mapping[str, Any]]:
        """Follow an error's location as far as file or schema know it; pydantic adds parts of its own."""
        place: Place = ()
        schema: Mapping[str, Any] = self._root
        definitions: Mapping[str, Any] = self._root.get("$defs", {})
        for part in error["loc"]:
            below, definitions = self._below(schema, definitions, place, part)
            if below is None and (*place, part) not in self._document.lines:
                break
            place, schema = (*place, part), below or {}
        return place, schema, definitions

    def _below(
        self, schema: Mapping[str, Any], definitions: Mapping[str, Any], place: Place, part: str | int
    ) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
        schema = resolve(schema, definitions)
        if "x-typed" in schema:
            schema = self._type_schema(schema["x-typed"], place)
            definitions = schema.get("$defs", {})
            if part == "type":
                return {"type": "string"}, definitions
        if isinstance(part, int):
            return schema.get("items", {}), definitions
        if part in schema.get("properties", {}):
            return schema["properties"][part], definitions
        others = schema.get("additionalProperties")
        known = isinstance(others, dict) and (*place, part) in self._document.lines
        return (others if known else None), definitions

    def _type_schema(self, seam: str, place: Place) -> Mapping[str, Any]:
        """Return the schema of the settings that the type at this place has; of nothing if there is no such type."""
        block: Any = self._document.data
        for part in place:
            block = block.get(part) if isinstance(block, dict) else None
        name = block.get("type") if isinstance(block, dict) else None
        types = self._names.channel_types if seam == "channel" else self._names.classifier_types
        try:
            return schema_of(types.get(name).settings) if isinstance(name, str) else {}
        except SignpostError:
            return {}

    def _sentence(
        self, error: ErrorDetails, place: Place, schema: Mapping[str, Any], definitions: Mapping[str, Any]
    ) -> tuple[str, str]:
        kind, context = error["type"], error.get("ctx", {})
        if kind == "fault":
            return context["what"], context["hint"]
        if kind == "missing":
            words = f" ({type_words(schema, definitions)})" if schema else ""
            return ("has no value" if place in self._document.lines else "is missing") + words, ""
        if kind == "extra_forbidden":
            return self._unknown_key(place)
        if kind in _LENGTHS:
            return _LENGTHS[kind], ""
        if kind in _TOO_LONG:
            return f"is too long (at most {context['max_length']})", ""
        return self._misfit(error, place, type_words(schema, definitions) if schema else ""), self._hint(error, place)

    def _unknown_key(self, place: Place) -> tuple[str, str]:
        known = self._keys(place[:-1])
        key = str(place[-1])
        if f"{key}_env" in known:
            return "a secret in the clear isn't allowed", f"use {key}_env or {key}_file"
        return "there is no such setting", did_you_mean(key, known)

    def _keys(self, place: Place) -> list[str]:
        schema: Mapping[str, Any] | None = self._root
        definitions: Mapping[str, Any] = self._root.get("$defs", {})
        for depth, part in enumerate(place):
            schema, definitions = self._below(schema or {}, definitions, place[:depth], part)
        schema = resolve(schema or {}, definitions)
        typed = "x-typed" in schema
        schema = self._type_schema(schema["x-typed"], place) if typed else schema
        return [*schema.get("properties", {}), *(["type"] if typed else [])]

    def _misfit(self, error: ErrorDetails, place: Place, words: str) -> str:
        found = found_words(error["input"], self._document.texts.get(place), str(place[-1:]))
        if error["type"] == "value_error":
            said = str(error["ctx"]["error"])
            return said + (found if said.startswith("must be") and ", not " not in said else "")
        if words and error["type"].endswith(_MISFITS):
            return f"must be {words}{found}"
        return error["msg"][:1].lower() + error["msg"][1:]

    def _hint(self, error: ErrorDetails, place: Place) -> str:
        if error["type"] == "string_type" and isinstance(error["input"], bool | int | float):
            return "put it in quotes"
        expected = error.get("ctx", {}).get("expected", "") if error["type"] in ("literal_error", "enum") else ""
        close = did_you_mean(
            self._document.texts.get(place, ""), str(expected).replace("' or '", "', '").split("'")[1::2]
        )
        return close if close.startswith("did") else ""


def _follows(error: ErrorDetails) -> bool:
    """Tell whether a list is called too short only because its items, reported by themselves, didn't count."""
    given = error["input"]
    return error["type"] == "too_short" and isinstance(given, list | dict) and len(given) >= error["ctx"]["min_length"]
