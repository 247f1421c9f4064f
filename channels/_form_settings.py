"""What a web form may be told: its limits, its topics and their answers, and who may embed it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from channels._form_texts import TextsFault, read_texts
from router.acknowledging import Acknowledging
from router.interfaces import Settings
from router.secrets import secret_path
from router.settings import Duration, PositiveDuration, parse_duration, typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LANGUAGE = re.compile(r"[a-z]{2,3}")
_ORIGIN = re.compile(
    r"https://(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?|http://(localhost|127\.0\.0\.1)(:[0-9]{1,5})?"
)


def _fault(what: str) -> PydanticCustomError:
    return PydanticCustomError("fault", "{what}", {"what": what, "hint": ""})


def _check_text(text: str | dict[str, str]) -> str | dict[str, str]:
    if isinstance(text, dict):
        if wrong := [code for code in text if not _LANGUAGE.fullmatch(code)]:
            raise _fault(f"'{wrong[0][:20]}' is no language code such as en or es")
        if not text or not all(each.strip() for each in text.values()):
            raise _fault("needs a text for each language that it names")
    return text


def _check_line(text: str | dict[str, str]) -> str | dict[str, str]:
    for each in text.values() if isinstance(text, dict) else [text]:
        if not each.strip() or not each.isprintable() or len(each) > 80:
            raise _fault("must be one line of at most 80 characters")
    return text


def _check_answer(text: str | dict[str, str]) -> str | dict[str, str]:
    if any(len(each) > 2000 for each in (text.values() if isinstance(text, dict) else [text])):
        raise _fault("is longer than 2,000 characters: write what most families need, and a link to the rest")
    return text


def _check_department(name: str, info: ValidationInfo) -> str:
    known = getattr(info.context, "departments", None)  # of the file that is read
    if known is not None and name not in known:
        raise _fault(f"there is no department '{name}' in this file")
    return name


def _check_origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise _fault("must be a site such as https://www.example.org, without a path")
    return text


def _check_texts(name: str, info: ValidationInfo) -> str:
    """Read the file where files are looked at, too: who only looks at the configuration may not see it."""
    env = getattr(info.context, "env", None)
    if name and env is not None:
        try:
            read_texts(secret_path(name, env))
        except TextsFault as fault:
            raise _fault(str(fault)) from None
    return name


def _said(words: str) -> WithJsonSchema:
    of_languages = {"type": "object", "additionalProperties": {"type": "string"}}
    return WithJsonSchema({"anyOf": [{"type": "string"}, of_languages], "x-type": words})


_Text = Annotated[str | dict[str, str], AfterValidator(_check_text)]
_Name = Annotated[_Text, AfterValidator(_check_line), _said("a line of text, or one per language ({en: …, es: …})")]
_Answer = Annotated[_Text, AfterValidator(_check_answer), _said("Markdown, or one text per language ({en: …, es: …})")]
_Department = Annotated[str, AfterValidator(_check_department), typed("a department's id")]
_Origin = Annotated[str, AfterValidator(_check_origin), typed("a site such as https://www.example.org")]
_TextsFile = Annotated[str, AfterValidator(_check_texts), typed("the path of a file")]


class TopicSettings(Settings):
    """Something that families come about, in their own words."""

    name: _Name = Field(description="What families would call it, such as The school bus.")
    department: _Department = Field(description="The department that deals with it; a strong hint for the routing.")
    words: tuple[str, ...] = Field((), max_length=50, description="More words that families may search for.")
    answer: _Answer = Field(
        "",
        description="What the department answers to most of those who ask: short Markdown (no HTML, no pictures).",
    )


class WebFormSettings(Acknowledging):
    """Settings of a web form."""

    region: str = Field("US", pattern="^[A-Z]{2}$", description="Country of phone numbers that are written without +.")
    topics: tuple[TopicSettings, ...] = Field(
        (), max_length=60, description="What families come about, in the order in which the page shows it."
    )
    other_topics: bool = Field(
        True, description="Whether departments without a topic of their own are shown too, by name and description."
    )
    embed_on: tuple[_Origin, ...] = Field((), description="Sites whose pages may show this one in a frame.")
    texts_file: _TextsFile = Field(
        "", description="YAML file with the pages' texts in more languages, or with other words for those that ship."
    )
    max_files: int = Field(5, ge=0, le=20, description="Files that may come with a message.")
    max_file_bytes: int = Field(10_000_000, ge=1, description="Size of one file.")
    max_files_bytes: int = Field(15_000_000, ge=1, description="Size of all files of a message together.")
    max_uploading_bytes: int = Field(
        128_000_000,
        ge=1,
        description="Bytes of files that may be on their way in at once, from all senders together; beyond that "
        "senders are asked to try again in a minute. One message's files always fit.",
    )
    upload_timeout: PositiveDuration = Field(parse_duration("2m"), description="How long sending a message may take.")
    shortest_visit: Duration = Field(
        parse_duration("2s"), description="Messages sent sooner after the page was opened are marked as suspicious."
    )
    longest_visit: Duration = Field(
        parse_duration("24h"), description="Messages sent later after the page was opened are marked as suspicious."
    )

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Between the two visits there must be time to send something; two topics of one name can't be told apart."""
        names = [_first(each["name"]) for each in _blocks(given["topics"]) if each.get("name")]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            yield "topics", f"has two topics of the name '{twice}'"
        try:
            shortest, longest = parse_duration(given["shortest_visit"]), parse_duration(given["longest_visit"])
        except ValueError:
            return  # said at the setting
        if shortest >= longest:
            yield "shortest_visit", "must be shorter than longest_visit, or every message is suspicious"


def _blocks(given: object) -> list[Any]:
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list | tuple) else []


def _first(name: object) -> str:
    return str(next(iter(name.values()), "")) if isinstance(name, dict) else str(name)
