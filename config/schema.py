"""What a configuration file may say: one model per section; the descriptions here are the reference documentation.

Names that a setting refers to are checked against `Names`, given as the validation context, so that an undefined
name is reported together with every other problem of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import ConfigDict, Field, PlainValidator, ValidationInfo, field_validator

from config._acknowledge import Acknowledgements
from config._console import ConsoleSettings  # noqa: TC001 (pydantic evaluates annotations)
from config._learning import Learning
from config._loops import Loops
from config._rules import Days, Hours, Rule  # noqa: TC001 (pydantic evaluates annotations)
from config._typed import choose_type, typed_block
from config._types import (
    DepartmentId,
    Id,
    Language,
    Line,
    Names,
    NewDepartmentId,
    PublicUrl,
    Section,
    SinkName,
    StoreUrl,
    TimeZone,
    fault,
)
from router.colours import DEFAULT
from router.contacts import fault_of
from router.interfaces import Channel, ClassifierType, Settings  # noqa: TC001 (pydantic evaluates annotations)
from router.plugins import channel_types, classifier_types
from router.records import Destination
from router.secrets import WithPassword, secret_path
from router.settings import Address, Colour, Duration, ListenAddress, PositiveDuration, TimeOfDay

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Organization(Section):
    """The district."""

    name: Line = Field(description="The district's name, as families and staff read it.")
    public_url: PublicUrl = Field(
        description="Where the outside reaches the web pages, without a slash at the end. Links and webhook "
        "signatures are built from it, never from request headers."
    )
    timezone: TimeZone = Field(description="Time zone for every time that people read, and for daily times here.")
    languages: tuple[Language, ...] = Field(
        ("en",), min_length=1, description="Languages of the public pages, the first by default."
    )
    colour: Colour = Field(
        DEFAULT,
        description="The district's colour on every page, dark enough for white text on it; in the dark a lighter "
        "like of it is used.",
    )
    hours: dict[Days, Hours] = Field(
        {"mon-fri": "08:00-16:30"},
        description="When people are at work, by day or days; the last word on a day counts. Used to measure, never to "
        "route: what comes in outside them, and departments' service levels. Days off are `learning.holidays`.",
    )
    contacts_file: str = Field(
        "",
        description="CSV with columns for email, phone and school: whose message names no school is of their own. A "
        "bare name is looked for in systemd's `CREDENTIALS_DIRECTORY` first.",
        json_schema_extra={"x-type": "the path of a file"},
    )

    @field_validator("hours")
    @classmethod
    def _within_a_day(cls, hours: dict[str, str]) -> dict[str, str]:
        for days, span in hours.items():
            begin, _, end = span.partition("-")
            if begin > end != "00:00":
                raise fault(f"the hours of {days} must end on the day they begin, or at 00:00")
        return hours

    @field_validator("contacts_file")
    @classmethod
    def _is_a_contact_list(cls, name: str, info: ValidationInfo) -> str:
        """Look at the first line, where secrets are looked at too: who only looks at the file may not see the list."""
        env = info.context.env if isinstance(info.context, Names) else None
        if name and env is not None and (problem := fault_of(secret_path(name, env))):
            raise fault(problem)
        return name


class Store(WithPassword, Section):
    """Where messages, decisions, models and keys live."""

    url: StoreUrl = Field(
        "sqlite:///var/signpost.db",
        description="`sqlite:///PATH` (relative to the working directory; four slashes for an absolute path) for one "
        "daemon; `postgresql://USER@HOST/DATABASE` for any number of them. A password stands in password_env or _file.",
    )

    def url_with_password(self, env: Mapping[str, str] | None = None) -> str:
        """Return the address with the password read and put in; raise `SecretMissing`. Never log the result."""
        secret = self.secret("password")
        if secret is None:
            return self.url
        parts = urlsplit(self.url)
        user, _, host = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}:{quote(secret.read(env), safe='')}@{host}").geturl()

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A password needs a user."""
        if (given["password_env"] or given["password_file"]) and not _has_user(given["url"]):
            yield "url", "names no user the password could belong to"


def _has_user(url: object) -> bool:
    try:
        return not isinstance(url, str) or bool(urlsplit(url).username)
    except ValueError:
        return True  # no address at all, which is said at the url


class Http(Section):
    """The web server for pages, forms, webhooks, health and metrics."""

    listen: ListenAddress = Field(
        Address("127.0.0.1", 8080),
        description="Address and port to listen on; put a reverse proxy with TLS in front of it.",
    )


class DestinationSettings(Section):
    """Where something is sent."""

    model_config = ConfigDict(json_schema_extra={"x-type": "a destination {via: CHANNEL, to: ADDRESS}"})

    via: SinkName = Field(description="The channel that delivers.")
    to: Line = Field(description="An address that channel understands: for smtp a mail address.")

    @field_validator("to")
    @classmethod
    def _suits_the_channel(cls, to: str, info: ValidationInfo) -> str:
        via = info.data.get("via", "")
        channel = info.context.channels.get(via) if isinstance(info.context, Names) else None
        problem = channel.check_address(to) if channel else ""
        if problem:
            raise fault(f"'{via}' can't deliver to this: {problem}")
        return to

    def record(self) -> Destination:
        """Return the destination as the rest of the program knows it."""
        return Destination(via=self.via, to=self.to)


Destinations = tuple[DestinationSettings, ...]


class Operations(Section):
    """Telling the people who look after the router."""

    alerts: Destinations = Field(
        (),
        description="Who is told of dead letters, held messages, channels that are down and refused models: at once, "
        "then daily.",
    )
    daily_digest: TimeOfDay = Field(
        time(7, 0), description="When the daily digest of everything that waits for a person is sent."
    )


class Urgent(Section):
    """Who is told at once of an urgent message, besides its normal route."""

    notify: Destinations = Field((), description="Told at once.")
    escalate_after: PositiveDuration = Field(
        timedelta(minutes=5), description="Without an acknowledgement for this long, the next in `then` is told."
    )
    then: Destinations = Field(
        (), description="Told one after the other until somebody acknowledges; after the last, `operations.alerts`."
    )


class Statutory(Section):
    """Who also gets requests that start a clock the law sets."""

    match: Literal["evaluation", "records"] = Field(
        description="`evaluation`: for an IEP or a 504 plan; `records`: a student's (FERPA) or the district's."
    )
    notify: Destinations = Field(min_length=1, description="Gets each of them, besides the department.")


class Routing(Section):
    """How a message finds its department."""

    mode: Literal["live", "observe"] = Field(
        "live",
        description="`live` delivers to the departments; `observe` decides and records, but delivers everything to the "
        "fallback, so that a district can watch before it trusts.",
    )
    fallback: DepartmentId = Field(
        description="The department that gets every message nobody else should: unsure, out of scope, unreadable."
    )
    target_error: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="At most this share of automatically routed messages may be wrong; thresholds follow from it.",
    )
    split: Literal["both", "first", "fallback"] = Field(
        "first",
        description="Where a message with two matters for two departments goes: to the main or first one's, to `both`, "
        "or to the `fallback`. The others are named in the mail in any case.",
    )
    spam: Literal["fallback", "hold"] | DepartmentId = Field(
        "fallback",
        description="Where suspected spam goes, marked: the `fallback`, a department, or `hold`, where it waits for a "
        "person. What is urgent is never held for this.",
    )
    thread_window: Duration = Field(
        timedelta(minutes=30),
        description="A text that comes so soon after another one from the same phone follows it; `0s`: never.",
    )
    loops: Loops = Field(Loops(), description="When mails that programs may have written are held.")
    urgent: Urgent = Field(Urgent(), description="Who is told at once of an urgent message.")
    statutory: tuple[Statutory, ...] = Field(
        (), description="Who also gets evaluation and records requests, which are tagged in any case."
    )

    def copies(self) -> dict[str, list[Destination]]:
        """Return who also gets a message, by its tag."""
        copies: dict[str, list[Destination]] = {}
        for each in self.statutory:
            copies.setdefault(f"{each.match}-request", []).extend(to.record() for to in each.notify)
        return copies


class DepartmentSettings(Section):
    """A desk of the district."""

    name: Line = Field(description="The name people read.")
    description: str = Field("", description="What the department deals with, for people who choose one.")
    covers: tuple[Line, ...] | None = Field(
        None, description="Labels of the model that this department answers for; left out: its own id. Fallback: none."
    )
    deliver: Destinations = Field(min_length=1, description="Where its messages are sent; every one of them gets each.")
    min_confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Send a message here only if the model is at least this sure, beside what it learnt.",
    )
    service_level: PositiveDuration | None = Field(
        None,
        description="Within how much of `organization.hours` a message that comes in should lie with this department, "
        "after misroutes and retries, such as 15m. Only measured. When a person answers isn't known here, since "
        "answers go to families directly.",
    )


class SchoolSettings(Section):
    """A school: it may receive some departments' messages itself."""

    name: Line = Field(description="The name people read.")
    aliases: tuple[Line, ...] = Field((), description="Other names that families use.")
    deliver: dict[DepartmentId, Annotated[Destinations, Field(min_length=1)]] = Field(
        {}, description="For messages about this school: by department, where they are sent instead."
    )


# --- blocks whose settings depend on their type -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredChannel:
    """A channel of the file: the name of its type, the type itself, and the settings its factories take."""

    type: str
    channel: Channel
    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredClassifier:
    """The classifier of the file, likewise."""

    type: str
    classifier: ClassifierType
    settings: Settings


def _channel(value: object, info: ValidationInfo) -> ConfiguredChannel:
    types = info.context.channel_types if isinstance(info.context, Names) else channel_types()
    name, channel, rest = choose_type(value, types)
    settings = channel.settings.model_validate(rest, context=info.context)
    return ConfiguredChannel(type=name, channel=channel, settings=settings)


def _classifier(value: object, info: ValidationInfo) -> ConfiguredClassifier:
    types = info.context.classifier_types if isinstance(info.context, Names) else classifier_types()
    name, classifier, rest = choose_type(value, types)
    settings = classifier.settings.model_validate(rest, context=info.context)
    return ConfiguredClassifier(type=name, classifier=classifier, settings=settings)


class ConfigurationFile(Section):
    """The whole file."""

    organization: Organization = Field(description="The district.")
    store: Store = Field(Store(), description="Where messages, decisions, models and keys live.")
    http: Http = Field(Http(), description="The web server.")
    operations: Operations = Field(Operations(), description="Telling the people who look after the router.")
    routing: Routing = Field(description="How a message finds its department.")
    classifier: Annotated[ConfiguredClassifier, PlainValidator(_classifier), typed_block("classifier")] = Field(
        {"type": "linear"},  # type: ignore[assignment]  # read as if it stood in the file
        description="The model's type with that type's own settings.",
    )
    learning: Learning = Field(Learning(), description="When the model learns from corrections.")
    acknowledgements: Acknowledgements = Field(
        Acknowledgements(), description="Automatic answers to families, where a channel has `acknowledge: true`."
    )
    channels: dict[Id, Annotated[ConfiguredChannel, PlainValidator(_channel), typed_block("channel")]] = Field(
        min_length=1,
        description="Where messages come in and go out: a name each, its type and that type's own settings.",
    )
    departments: dict[NewDepartmentId, DepartmentSettings] = Field(
        min_length=1, description="The desks of the district, by id."
    )
    schools: dict[Id, SchoolSettings] = Field({}, description="The schools, by id.")
    rules: tuple[Rule, ...] = Field((), description="Decisions made before the model is asked, in order.")
    console: ConsoleSettings | None = Field(
        None, description="The staff console under `/console/`; without this section there is none."
    )
