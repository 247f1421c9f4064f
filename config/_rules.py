"""What a rule may ask of a message, and how lists, days and times of day are written there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, PlainValidator, TypeAdapter, ValidationInfo, WithJsonSchema, WrapValidator, model_validator

from config._types import DepartmentId, Language, Line, SchoolId, Section, SourceName, fault
from router.records import Medium
from router.settings import PATTERN_WORDS, Pattern, parse_time

if TYPE_CHECKING:
    from pydantic import ValidatorFunctionWrapHandler

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_WORDS = "a day such as mon, or days such as mon-fri"
_HOURS_WORDS = "hours such as 17:00-07:00"
_WHO_WORDS = "a mail address, a domain or a phone number"
_FILE_WORDS = "an ending such as pdf, or a type such as application/pdf or image/*"
_NUMBER = re.compile(r"\+[0-9]{5,15}")
_MAIL = re.compile(r"[^\s@]+@[^\s@]+")
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)+")
_TYPE = re.compile(r"[a-z0-9.+-]+/(\*|[a-z0-9.+-]+)")
_ENDING = re.compile(r"\.?[a-z0-9]{1,10}")


def one_or_more(one: Any, words: str) -> tuple[Any, ...]:
    """Return what makes a list of something of it that may also be written alone; a fault is told at its own place."""
    adapter: TypeAdapter[Any] = TypeAdapter(one)

    def check(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if value == ():
            return value  # the default: not asked for
        if isinstance(value, list):
            return handler(value)
        return (adapter.validate_python(value, context=info.context),)

    text = {"type": "string"}
    schema = {"anyOf": [text, {"type": "array", "items": text, "minItems": 1}], "x-type": f"{words}, or a list of them"}
    return (Field(min_length=1), WrapValidator(check), WithJsonSchema(schema))


def _who(value: object) -> str:
    text = value.strip().casefold().removeprefix("@") if isinstance(value, str) else ""
    if not any(kind.fullmatch(text) for kind in (_NUMBER, _MAIL, _DOMAIN)):
        raise ValueError(f"must be {_WHO_WORDS}")
    return text


def _file(value: object) -> str:
    text = value.strip().lower() if isinstance(value, str) else ""
    if not (_TYPE.fullmatch(text) or _ENDING.fullmatch(text)):
        raise ValueError(f"must be {_FILE_WORDS}")
    return text.removeprefix(".")


def _hours(value: object) -> str:
    begin, dash, end = str(value).partition("-") if isinstance(value, str) else ("", "", "")
    try:
        hours = f"{parse_time(begin.strip()):%H:%M}-{parse_time(end.strip()):%H:%M}"
    except ValueError:
        raise ValueError(f"must be {_HOURS_WORDS}") from None
    if not dash or hours[:5] == hours[6:]:
        raise ValueError(f"must be {_HOURS_WORDS}, which begin and end at different times")
    return hours


def _days(value: object) -> str:
    ends = [part.strip().lower() for part in value.split("-")] if isinstance(value, str) else []
    known = all(any(len(end) >= 3 and day.startswith(end) for day in _DAYS) for end in ends)
    if not 1 <= len(ends) <= 2 or not known:
        raise ValueError(f"must be {_DAY_WORDS}")
    return "-".join(end[:3] for end in ends)


Who = Annotated[str, PlainValidator(_who)]
FileKind = Annotated[str, PlainValidator(_file)]
Hours = Annotated[str, PlainValidator(_hours)]
Days = Annotated[str, PlainValidator(_days)]

_SOURCES = one_or_more(SourceName, "the name of a channel that takes messages in")
_MEDIA = one_or_more(Medium, f"one of {', '.join(Medium)}")
_PATTERNS = one_or_more(Pattern, PATTERN_WORDS)
_PEOPLE = one_or_more(Who, _WHO_WORDS)


class Facts(Section):
    """What a message is: all that is given holds; of a list, one is enough."""

    channel: Annotated[tuple[SourceName, ...], *_SOURCES] = Field((), description="The channel it came by.")
    medium: Annotated[tuple[Medium, ...], *_MEDIA] = Field(
        (), description="How the person wrote, whatever the channel."
    )
    sender: Annotated[tuple[Pattern, ...], *_PATTERNS] = Field(
        (), description="Found in the sender's mail address or phone number."
    )
    sender_in: Annotated[tuple[Who, ...], *_PEOPLE] = Field(
        (), description="The sender: mail addresses, domains (with those below them), phone numbers."
    )
    recipient: Annotated[tuple[Pattern, ...], *_PATTERNS] = Field(
        (), description="Found in the address or number it was sent to."
    )
    recipient_in: Annotated[tuple[Who, ...], *_PEOPLE] = Field(
        (), description="What it was sent to, written like `sender_in`."
    )
    subject: Annotated[tuple[Pattern, ...], *_PATTERNS] = Field((), description="Found in the subject.")
    text: Annotated[tuple[Pattern, ...], *_PATTERNS] = Field((), description="Found in the subject or the text.")
    topic: Annotated[tuple[Pattern, ...], *_PATTERNS] = Field((), description="Found in the topic chosen on a form.")
    list_id: Annotated[tuple[Pattern, ...], *_PATTERNS] = Field(
        (), description="Found in the List-Id of a mailing list's mail (RFC 2919)."
    )
    school: Annotated[tuple[SchoolId, ...], *one_or_more(SchoolId, "a school's id")] = Field(
        (), description="The school it is about."
    )
    language: Annotated[tuple[Language, ...], *one_or_more(Language, "a language code such as en or es")] = Field(
        (), description="The language it is written in."
    )
    attachment: Annotated[tuple[FileKind, ...], *one_or_more(FileKind, _FILE_WORDS)] = Field(
        (), description="A file that came with it: how its name ends (`pdf`) or its type (`image/*`)."
    )
    time: Annotated[tuple[Hours, ...], *one_or_more(Hours, _HOURS_WORDS)] = Field(
        (), description="When it came in, in the organization's time zone; `17:00-07:00` goes past midnight."
    )
    days: Annotated[tuple[Days, ...], *one_or_more(Days, _DAY_WORDS)] = Field(
        (), description="The day on which it came in, in the organization's time zone."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(getattr(self, key) for key in type(self).model_fields):
            raise fault("must hold a condition, or the rule would take every message")
        return self


class Condition(Facts):
    """What a message must be for a rule to apply, and what it must not be."""

    not_: Facts | None = Field(None, alias="not", description="Does not apply to a message for which all this holds.")


class Rule(Section):
    """A decision made before the model is asked; the first rule that fits wins."""

    name: Line = Field(description="What the rule is called where its decisions are explained.")
    when: Condition = Field(description="Conditions; all must hold. Patterns ignore case and are found anywhere.")
    to: DepartmentId = Field(description="The department that gets the message.")

    def conditions(self) -> dict[str, Any]:
        """Return what is asked for as JSON values: lists by key, and those of `not` below it."""
        return self.when.model_dump(mode="json", by_alias=True, exclude_defaults=True)
