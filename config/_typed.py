"""Blocks whose settings depend on their `type`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError, WithJsonSchema
from pydantic_core import InitErrorDetails

from config._types import fault
from config._words import did_you_mean
from router.errors import NotFound, SignpostError

if TYPE_CHECKING:
    from router.plugins import Plugins

T = TypeVar("T")


def choose_type(value: object, types: Plugins[T]) -> tuple[str, T, dict[str, Any]]:
    """Return the name of the type, the type, and the block without `type`; raise a validation error at `type`."""
    if not isinstance(value, dict):
        raise fault("must be a block of settings with a type", did_you_mean("", types.names()))
    name = value.get("type")
    if not isinstance(name, str):
        raise _at_type("is missing (the name of a type)", did_you_mean("", types.names()))
    try:
        found = types.get(name)
    except NotFound:
        raise _at_type(f"there is no type '{name}'", did_you_mean(name, types.names())) from None
    except SignpostError as error:
        raise _at_type(str(error)) from error
    return name, found, {key: item for key, item in value.items() if key != "type"}


def _at_type(what: str, hint: str = "") -> ValidationError:
    details = InitErrorDetails(type=fault(what, hint), loc=("type",), input=None)
    return ValidationError.from_exception_data("block", [details])


def typed_block(seam: str) -> WithJsonSchema:
    """Return the JSON schema of such a block; `config.reference` puts each type's settings in its place."""
    return WithJsonSchema({"type": "object", "x-typed": seam})
