"""The reference is made from the settings themselves, and says the same as the loader."""

from __future__ import annotations

import json
from typing import Any

from config.reference import describe, json_schema
from config.schema import ConfigurationFile


def references(schema: object) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(references, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
    return own.union(*map(references, schema.values()))


def test_every_setting_has_a_description(types: dict[str, Any]) -> None:
    """No setting of the file is without a sentence on what it is for."""
    assert [row.path for row in describe() if not row.description] == []


def test_rows_say_path_type_default_and_whether_required() -> None:
    """A row gives the path with NAME for any name, the type in words, and the default as it would be written."""
    rows = {row.path: row for row in describe(ConfigurationFile)}
    assert rows["routing.target_error"].type == "a number above 0 and below 1"
    assert rows["routing.target_error"].default == "0.05"
    assert rows["routing.urgent.escalate_after"].default == "5m"
    assert rows["operations.daily_digest"].default == "07:00"
    assert rows["http.listen"].default == "127.0.0.1:8080"
    assert rows["organization.languages"].default == "en"
    assert rows["departments.NAME.deliver[].via"].type == "the name of a channel that delivers"
    assert rows["departments.NAME.deliver"].required
    assert rows["routing.mode"].type == "one of live, observe"
    assert not rows["routing.mode"].required


def test_a_channel_type_is_described_likewise(types: dict[str, Any]) -> None:
    """The settings of a type, nested ones too, give rows for `signpost channels`."""
    rows = {row.path: row for row in describe(types["channel_types"].get("van").settings)}
    assert rows["port"].type == "a whole number between 1 and 65535"
    assert rows["rate"].type == "a rate such as 30/min, 5/s or 1000/day"
    assert rows["from"].description == "The sender."
    assert rows["oauth.client_secret_env"].type.startswith("the name of an environment variable")


def test_the_schema_holds_every_type_and_no_loose_end(types: dict[str, Any]) -> None:
    """The JSON schema is plain JSON, offers each type's settings, and every reference leads somewhere."""
    schema = json.loads(json.dumps(json_schema(**types)))
    choices = [choice["$ref"] for choice in schema["properties"]["channels"]["additionalProperties"]["oneOf"]]
    assert "#/$defs/channel.van" in choices
    van = schema["$defs"]["channel.van"]
    assert van["properties"]["type"]["const"] == "van"
    assert van["required"] == ["type", "host"]
    assert van["additionalProperties"] is False
    assert {ref.removeprefix("#/$defs/") for ref in references(schema)} <= schema["$defs"].keys()
    assert "x-typed" not in json.dumps(schema)
