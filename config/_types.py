"""Types of the file's own fields: names that are checked against what the file defines, addresses, time zones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from config._words import did_you_mean
from router.interfaces import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from urllib.parse import SplitResult

    from router.interfaces import Channel, ClassifierType
    from router.plugins import Plugins

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_RESERVED = "out_of_scope"  # what evaluation data calls "no department"
_STORE_WORDS = "must be sqlite:///PATH or postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True, slots=True)
class Names:
    """Every name the file defines and every type there is: the validation context that references are checked against.

    `channels` holds None for a channel whose type isn't known: that is reported once, at the type. `env` is where
    secrets are looked for; None: nobody asks whether they are there.
    """

    channels: Mapping[str, Channel | None]
    departments: Collection[str]
    schools: Collection[str]
    channel_types: Plugins[Channel]
    classifier_types: Plugins[ClassifierType]
    env: Mapping[str, str] | None = None


class Section(Settings):
    """A block where a key without a value counts as left out: all that stood below it may be commented out."""

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


def fault(what: str, hint: str = "") -> PydanticCustomError:
    """Return a validation error with a plain sentence and a hint; a value in it must be no secret."""
    return PydanticCustomError("fault", "{what}", {"what": what, "hint": hint})


def _check_id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError("must be a name of small letters, digits and hyphens (at most 63)")
    return value


def _check_department_id(value: str) -> str:
    if value == _RESERVED:
        raise fault(f"'{_RESERVED}' means no department: choose another id")
    return _check_id(value)


def _defined(kind: str, names_of: Callable[[Names], Collection[str]]) -> AfterValidator:
    def check(name: str, info: ValidationInfo) -> str:
        if isinstance(info.context, Names) and name not in names_of(info.context):
            raise fault(f"there is no {kind} '{name}' in this file", did_you_mean(name, names_of(info.context)))
        return name

    return AfterValidator(check)


def _usable(able: Callable[[Channel], object], otherwise: str) -> AfterValidator:
    def check(name: str, info: ValidationInfo) -> str:
        channel = info.context.channels.get(name) if isinstance(info.context, Names) else None
        if channel and not able(channel):
            raise fault(f"the channel '{name}' {otherwise}")
        return name

    return AfterValidator(check)


def takes_in(channel: Channel) -> bool:
    """Tell whether messages come in by channels of this type."""
    return bool(channel.source or channel.webhook)


def _check_line(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise ValueError("must be one line of text")
    return value


def _check_language(value: str) -> str:
    if not _LANGUAGE.fullmatch(value):
        raise ValueError("must be a language code such as en or es")
    return value


def _check_public_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or not re.fullmatch(r"[!-~]+", url):
        raise ValueError("must be an absolute address such as https://contact.example.org")
    if not _has_port(parts):
        raise fault("must have a port between 1 and 65535, or none")
    if parts.username is not None or parts.query or parts.fragment:
        raise fault("must hold no user name, no ? and no #")
    if url.endswith("/"):
        raise fault("must not end with a slash")
    return url


def _has_port(parts: SplitResult) -> bool:
    """Tell whether the port, if there is one, is one that can be called."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _check_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        zones = {zone.lower(): zone for zone in available_timezones()}
        close = did_you_mean(name, zones)
        hint = "did you mean '{}'?".format(zones[close.split("'")[1]]) if close else ""
        raise fault(f"must be a time zone such as America/Chicago, not '{name[:60]}'", hint) from None
    return name


def _check_store_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(_STORE_WORDS) from None
    if parts.password is not None or "password" in parse_qs(parts.query):
        raise fault("holds a password in the clear", "leave it out; set password_env or password_file beside url")
    if parts.scheme == "sqlite" and re.fullmatch(r"sqlite:///[^?#]+", url):
        return url
    if parts.scheme == "postgresql" and parts.path.strip("/") and (parts.hostname or "host" in parse_qs(parts.query)):
        return url
    raise ValueError(_STORE_WORDS)


def _said(words: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "x-type": words})


_channel = _defined("channel", lambda names: names.channels)
_id_words = "a name of small letters, digits and hyphens"

Id = Annotated[str, AfterValidator(_check_id), _said(_id_words)]
NewDepartmentId = Annotated[str, AfterValidator(_check_department_id), _said(_id_words)]
SinkName = Annotated[
    str,
    _channel,
    _usable(lambda channel: channel.sink, "only takes messages in, it delivers none"),
    _said("the name of a channel that delivers"),
]
SourceName = Annotated[
    str,
    _channel,
    _usable(takes_in, "only delivers, no message comes in by it"),
    _said("the name of a channel that takes messages in"),
]
DepartmentId = Annotated[str, _defined("department", lambda names: names.departments), _said("a department's id")]
SchoolId = Annotated[str, _defined("school", lambda names: names.schools), _said("a school's id")]
Line = Annotated[str, Field(max_length=300), AfterValidator(_check_line), _said("one line of text")]
Language = Annotated[str, AfterValidator(_check_language), _said("a language code such as en or es")]
PublicUrl = Annotated[str, AfterValidator(_check_public_url), _said("an absolute address")]
TimeZone = Annotated[str, AfterValidator(_check_timezone), _said("a time zone such as America/Chicago")]
StoreUrl = Annotated[str, AfterValidator(_check_store_url), _said("sqlite:///PATH or postgresql://USER@HOST/DATABASE")]
