"""What can be set, from the settings themselves: a JSON schema for editors, and rows for reference pages."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import time, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from config._words import resolve, type_words
from config.schema import ConfigurationFile
from router import plugins
from router.settings import Address, Pace, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.interfaces import Channel, ClassifierType
    from router.plugins import Plugins


@dataclass(frozen=True, slots=True)
class Row:
    """One setting: where it stands (NAME for any name), what it must be, its default as text, what it is for."""

    path: str
    type: str
    default: str
    description: str
    required: bool


class _Generator(GenerateJsonSchema):
    """Writes defaults the way people write them in a file."""

    ignored_warning_kinds = frozenset({"skipped-choice", "non-serializable-default"})  # type: ignore[assignment]  # a frozen set will do

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, time):
            return dft.strftime("%H:%M")
        if isinstance(dft, Address | Pace):
            return str(dft)
        return dft.model_dump(mode="json") if isinstance(dft, BaseModel) else super().encode_default(dft)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a block of settings; `x-type` says in words what a value must be."""
    return model.model_json_schema(schema_generator=_Generator)


def json_schema(
    channel_types: Plugins[Channel] | None = None, classifier_types: Plugins[ClassifierType] | None = None
) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a whole file, with the settings of every channel and classifier type.

    Editors use it by a first line `# yaml-language-server: $schema=FILE`.
    """
    schema = schema_of(ConfigurationFile)
    seams: dict[str, Plugins[Any]] = {
        "channel": channel_types or plugins.channel_types(),
        "classifier": classifier_types or plugins.classifier_types(),
    }
    definitions = schema["$defs"]
    blocks = {seam: _type_blocks(seam, types, definitions) for seam, types in seams.items()}
    properties = schema["properties"]
    for holder, key in ((properties["channels"], "additionalProperties"), (properties, "classifier")):
        block = holder[key]
        seam = block.pop("x-typed")
        holder[key] = {**block, "required": ["type"], "oneOf": blocks[seam]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Signpost configuration"}


def _type_blocks(seam: str, types: Plugins[Any], definitions: dict[str, Any]) -> list[dict[str, str]]:
    """Put every type's settings into the definitions, `type` added, and return references to them."""
    references = []
    for name in types.names():
        found = types.get(name)
        block = _renamed(schema_of(found.settings), f"{seam}.{name}")
        definitions.update(block.pop("$defs", {}))
        block["properties"] = {"type": {"const": name, "description": found.summary}} | block.get("properties", {})
        block["required"] = ["type", *block.get("required", [])]
        definitions[f"{seam}.{name}"] = block | {"title": name, "description": found.summary}
        references.append({"$ref": f"#/$defs/{seam}.{name}"})
    return references


def _renamed(schema: Any, prefix: str) -> Any:
    """Return a copy whose own definitions bear a prefix, so that two types may use the same names."""
    if isinstance(schema, list):
        return [_renamed(item, prefix) for item in schema]
    if not isinstance(schema, dict):
        return copy.copy(schema)
    renamed = {key: _renamed(item, prefix) for key, item in schema.items()}
    if "$ref" in renamed:
        renamed["$ref"] = renamed["$ref"].replace("#/$defs/", f"#/$defs/{prefix}.")
    if "$defs" in renamed:
        renamed["$defs"] = {f"{prefix}.{key}": item for key, item in renamed["$defs"].items()}
    return renamed


def describe(model: type[BaseModel] = ConfigurationFile) -> list[Row]:
    """Return a row for every setting of a model, nested ones too; by default for the whole file.

    For a channel or classifier type pass `channel_types().get(name).settings`.
    """
    schema = schema_of(model)
    return list(_rows(schema, schema.get("$defs", {}), ""))


def _rows(schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str) -> Iterator[Row]:
    for key, below in schema.get("properties", {}).items():
        path = f"{prefix}{key}"
        whole = resolve(below, definitions)
        required = key in schema.get("required", ())
        nested, suffix = _nested(whole, definitions)
        default = "" if required or nested else _default_text(below.get("default"))
        yield Row(path, type_words(below, definitions), default, whole.get("description", ""), required)
        yield from _rows(nested, definitions, path + suffix)


def _nested(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return the block of settings inside a setting, {} if it holds none, and how its path goes on."""
    suffix = ""
    while "properties" not in schema:
        if isinstance(schema.get("additionalProperties"), dict):
            suffix, schema = suffix + ".NAME", resolve(schema["additionalProperties"], definitions)
        elif isinstance(schema.get("items"), dict):
            suffix, schema = suffix + "[]", resolve(schema["items"], definitions)
        else:
            return {}, ""
    return schema, suffix + "."


def _default_text(default: Any) -> str:
    if default in (None, "", [], {}):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return ", ".join(map(str, default)) if isinstance(default, list) else str(default)
