"""Settings as people may see them: one row each, with what it is for, and nothing that is a secret. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, time, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from router.records import Destination
from router.secrets import HIDDEN, is_secretive, shown_name, without_secrets
from router.settings import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTHING: tuple[object, ...] = ("", None, (), [], {}, frozenset())
_DESTINATION = {"via", "to"}
_PLACES = ("_file", "_cert")  # the path of a file, whatever is in it


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force. `given`: it stands in the file; None: that isn't known. `raw` is never shown."""

    path: str
    value: str
    what_for: str
    given: bool | None
    raw: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    """A section of the file, or a block of it that has a name."""

    name: str
    what_for: str
    settings: tuple[Setting, ...]

    @property
    def told(self) -> list[Setting]:
        """What somebody has decided."""
        return [each for each in self.settings if not _is_default(each)]

    @property
    def defaults(self) -> list[Setting]:
        """What stands as it comes."""
        return [each for each in self.settings if _is_default(each)]


def group(
    name: str,
    what_for: str,
    value: object,
    documented: type[BaseModel] | None = None,
    *,
    given_only: bool = False,
) -> Group:
    """Return a block's settings. Of a record, which can't say what its fields are for, `documented` does."""
    settings = tuple(_below(value, "", documented))
    return Group(name, what_for, tuple(each for each in settings if each.given) if given_only else settings)


def differences(old: Sequence[Group], new: Sequence[Group]) -> list[str]:
    """Return which settings aren't the same, by their paths."""
    before, after = _raw(old), _raw(new)
    return sorted(path for path in before.keys() | after.keys() if before.get(path, ...) != after.get(path, ...))


def _raw(groups: Sequence[Group]) -> dict[str, object]:
    return {f"{each.name}.{setting.path}".rstrip("."): setting.raw for each in groups for setting in each.settings}


def _is_default(setting: Setting) -> bool:
    return setting.raw in _NOTHING if setting.given is None else not setting.given


# --- from values to rows ----------------------------------------------------------------------------------------------


def _below(value: object, path: str, documented: type[BaseModel] | None) -> Iterator[Setting]:
    """Yield the settings of a block: a model, or a record that was made from one."""
    if isinstance(value, BaseModel):
        for key, about in type(value).model_fields.items():
            given = key in value.model_fields_set
            if given or "[" not in path:  # what an item of a list leaves out isn't there
                yield from _rows(_join(path, about.alias or key), getattr(value, key), about.description or "", given)
    elif is_dataclass(value):
        told = documented.model_fields if documented else {}
        for each in fields(value):
            if each.name in told:
                what_for = told[each.name].description or ""
                yield from _rows(_join(path, each.name), getattr(value, each.name), what_for, None)
    else:
        yield from _rows(path, value, "", None)


def _rows(path: str, value: object, what_for: str, given: bool | None) -> Iterator[Setting]:
    """Yield a row for a setting, or one for each that it holds."""
    if isinstance(value, BaseModel) and not _is_destination(value):
        yield from _below(value, path, None)
    elif isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _rows(_join(path, str(key)), each, what_for, given)
    elif _is_list(value) and any(isinstance(each, BaseModel) and not _is_destination(each) for each in _items(value)):
        for number, each in enumerate(_items(value)):
            yield from _rows(f"{path}[{number}]", each, what_for, given)
    else:
        yield Setting(path, _shown(path, value), what_for, given, value)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence | Set) and not isinstance(value, str | bytes)


def _items(value: Any) -> list[Any]:
    return sorted(value, key=str) if isinstance(value, Set) else list(value)


def _is_destination(value: object) -> bool:
    return isinstance(value, Destination) or (
        isinstance(value, BaseModel) and set(type(value).model_fields) == _DESTINATION
    )


# --- a value ----------------------------------------------------------------------------------------------------------


def _shown(path: str, value: Any) -> str:
    """Return a value as it is written in the file, without what is or may be a secret."""
    key = path.rpartition(".")[2]
    if value in _NOTHING:
        return ""
    if key.endswith("_env"):
        return shown_name(str(value))
    if (
        not key.endswith(_PLACES)
        and any(map(is_secretive, path.split(".")))
        and not isinstance(value, bool | timedelta)
    ):
        return HIDDEN
    if _is_list(value):
        return ", ".join(_one(key, each) for each in _items(value))
    return _one(key, value)


def _one(key: str, value: Any) -> str:
    if _is_destination(value):
        return f"{value.via} to {without_secrets(value.to)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    return without_secrets(str(value), path=key not in {"public_url", "issuer"})
