"""Read a file of cases for `signpost test`: messages, and what is expected to become of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo, model_validator

from config._document import read
from config._messages import Translator
from config._rules import one_or_more
from config._types import DepartmentId, Language, Line, Names, SchoolId, Section, SourceName, fault
from router import plugins
from router.errors import ConfigError, Problem
from router.records import Medium, Reason

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from config.load import Configuration

_TIME_WORDS = "a day and time such as 2026-03-02 18:30"
_QUIET_MOMENT = "2026-03-04 12:00"  # a Wednesday


def _moment(value: object) -> object:
    try:
        datetime.strptime(value, "%Y-%m-%d %H:%M")  # type: ignore[arg-type]  # noqa: DTZ007 - local; see `Case.moment`
    except (TypeError, ValueError):
        raise ValueError(f"must be {_TIME_WORDS}") from None
    return value


def _school_or_none(value: str, info: ValidationInfo) -> str:
    names = info.context
    if value and isinstance(names, Names) and value not in names.schools:
        raise fault(f"there is no school '{value}' in the configuration")
    return value


class Expected(Section):
    """What is to become of a message; only what is said here is looked at."""

    department: Annotated[tuple[DepartmentId, ...], *one_or_more(DepartmentId, "a department's id")] = Field(
        (), description="The department that gets it; of a list, any."
    )
    reason: Annotated[tuple[Reason, ...], *one_or_more(Reason, f"one of {', '.join(Reason)}")] = Field(
        (), description="What decided: rule, model, abstained …"
    )
    urgent: bool | None = Field(None, description="Whether people are told at once.")
    school: Annotated[str, AfterValidator(_school_or_none)] | None = Field(
        None, description='The school it is about; "" for none.'
    )
    language: Language | None = Field(None, description="The language it is recognised to be in.")
    held: bool | None = Field(None, description="Whether it waits for a person.")
    filed: bool | None = Field(None, description="Whether there is nothing to forward (STOP).")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_dump(exclude_defaults=True):
            raise fault("must say what is expected: department, reason, urgent, school, language, held or filed")
        return self


class Case(Section):
    """One message, and what is expected."""

    name: Line | None = Field(None, description="What the case is called.")
    channel: SourceName | None = Field(None, description="The channel it comes by.")
    medium: Medium | None = Field(None, description="email, sms or web_form; sms where it is from a phone number.")
    from_: str = Field("", alias="from", description="The sender's mail address or phone number.")
    to: str = Field("", description="The address or number it was sent to.")
    phone: str = Field("", description="The phone number given on a form.")
    subject: str = Field("", description="The subject.")
    text: str = Field("", description="The text.")
    mail: Line | None = Field(None, description="A mail in a file (.eml) beside this one, instead of subject and text.")
    language: Language | None = Field(None, description="The language chosen on a form.")
    school: SchoolId | None = Field(None, description="The school chosen on a form.")
    topic: str = Field("", description="The topic chosen on a form.")
    files: tuple[Line, ...] = Field((), description="Names of files that come with it.")
    automatic: bool = Field(False, description="Whether a program wrote it.")
    at: Annotated[str, BeforeValidator(_moment)] = Field(
        _QUIET_MOMENT, description="When it comes in, in the organization's time zone; otherwise a Wednesday at noon."
    )
    expect: Expected = Field(description="What is expected.")

    @model_validator(mode="after")
    def _is_a_message(self) -> Self:
        if not (self.subject or self.text or self.mail or self.files):
            raise fault("must have a subject, a text, files or a mail")
        if self.mail and (self.subject or self.text):
            raise fault("has a mail, and a subject or text as well: keep one")
        return self

    def moment(self, zone: ZoneInfo) -> datetime:
        """Return when it comes in."""
        return datetime.strptime(self.at, "%Y-%m-%d %H:%M").replace(tzinfo=zone)


class CasesFile(Section):
    """The whole file."""

    cases: tuple[Case, ...] = Field(min_length=1, description="Messages, and what is expected to become of each.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedCase:
    """A case with its name and the line on which it begins."""

    name: str
    line: int
    case: Case


def load_cases(path: Path, configuration: Configuration) -> list[LocatedCase]:
    """Read and check a file of cases; raise `ConfigError` with every problem at once."""
    document = _document(path)
    names = Names(
        channels={name: each.channel for name, each in configuration.channels.items()},
        departments=[department.id for department in configuration.departments],
        schools=[school.id for school in configuration.schools],
        channel_types=plugins.channel_types(),
        classifier_types=plugins.classifier_types(),
    )
    try:
        file = CasesFile.model_validate(document.data, context=names)
    except ValidationError as error:
        found = Translator(document, names, CasesFile).problems(error.errors(include_url=False))
        raise ConfigError(sorted([*document.problems, *found])) from None
    if document.problems:
        raise ConfigError(document.problems)
    return [
        LocatedCase(name=case.name or f"case {number}", line=document.lines["cases", number - 1], case=case)
        for number, case in enumerate(file.cases, start=1)
    ]


def _document(path: Path) -> Any:
    try:
        return read(path)
    except ConfigError as error:
        problems = [_of_cases(problem) for problem in error.problems]
        raise ConfigError(problems) from None


def _of_cases(problem: Problem) -> Problem:
    """Return what is said of a configuration file as it is meant of a file of cases."""
    if "organization:" in problem.what or problem.hint.startswith("start from"):
        what = "must begin with `cases:` and hold a list of cases below it"
        return Problem(problem.file, problem.line, problem.path, what, "see config/examples/cases.yaml")
    return Problem(problem.file, problem.line, problem.path, problem.what)
