"""The seams: what a channel, a classifier and a routing step must offer, and what they are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType

from router.findings import Checking  # noqa: TC001 -- pydantic reads it at run time
from router.news import News, nobody_hears
from router.records import Department, Forward, Inbound, Prediction, Receipt, School
from router.whereabouts import Whereabouts, nobody_knows

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from aiohttp import web
    from pydantic_core import ErrorDetails

T = TypeVar("T")

Accept = Callable[[Inbound], Awaitable[Receipt]]
"""Returns after the message is on disk; raises `Refused` or `StoreBusy` when it isn't. Acknowledge only afterwards."""


class Clock(Protocol):
    """Where the time comes from, so that tests need not wait."""

    def now(self) -> datetime:
        """Return the present as an aware UTC datetime."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present."""
        return datetime.now(UTC)


class Signer(Protocol):
    """Signs short texts with the district's own keys; `purpose` keeps one use from being replayed as another."""

    def sign(self, text: str, purpose: str) -> str:
        """Return a URL-safe token that carries the text."""
        ...

    def unsign(self, token: str, purpose: str, max_age_s: float | None = None) -> str:
        """Return the text; raise `NotAuthentic` if forged, meant for another purpose, or older than `max_age_s`."""
        ...


class Cursor(Protocol):
    """What a source remembers across restarts under one key, such as how far it has read a mailbox.

    It saves work and never decides what is a copy: `accept` does that, by source key.
    """

    async def get(self) -> dict[str, Any] | None:
        """Return what was kept last, None if nothing was; may raise `StoreBusy`."""
        ...

    async def set(self, value: Mapping[str, Any]) -> None:
        """Keep JSON values, on disk when this returns; may raise `StoreBusy`."""
        ...


class MemoryCursor:
    """A cursor that lasts as long as the process: enough for tests of a channel."""

    def __init__(self) -> None:
        self._value: dict[str, Any] | None = None

    async def get(self) -> dict[str, Any] | None:
        """Return what was kept last."""
        return self._value

    async def set(self, value: Mapping[str, Any]) -> None:
        """Keep a value."""
        self._value = dict(value)


def memory_cursors() -> Callable[[str], Cursor]:
    """Return cursors by key that last as long as the process."""
    kept: dict[str, Cursor] = {}
    return lambda key: kept.setdefault(key, MemoryCursor())


class Settings(BaseModel):
    """Base of every block of settings: unknown keys are errors, values don't change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:  # noqa: ARG003 - for those who override it
        """Say what doesn't fit together: a setting's key and a sentence for each fault. By default nothing.

        Asked even where single settings are wrong, so that all is told at once: `given` is the block as it stands in
        the file, with defaults for what was left out, and its values may be of any type.
        """
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _tell_faults(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return tell_together(data, handler, cls.faults(_with_defaults(cls, data)) if isinstance(data, dict) else ())


def tell_together(data: Any, handler: ModelWrapValidatorHandler[T], faults: Iterable[tuple[str, str]]) -> T:
    """Validate; raise one validation error with what pydantic found and with faults (key, sentence) found otherwise."""
    found = [InitErrorDetails(type=PydanticCustomError("fault", "{what}", {"what": what, "hint": ""}), loc=(key,),
                              input=None) for key, what in faults]  # fmt: skip
    try:
        settings = handler(data)
    except ValidationError as error:
        if not found:
            raise
        found = [*(_again(each) for each in error.errors(include_url=False)), *found]
        raise ValidationError.from_exception_data(error.title, found, hide_input=True) from error
    if found:
        raise ValidationError.from_exception_data("block", found, hide_input=True)
    return settings


def _with_defaults(cls: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {field.alias or key: field.get_default(call_default_factory=True, validated_data={})
                for key, field in cls.model_fields.items() if not field.is_required()}  # fmt: skip
    return defaults | {key: value for key, value in data.items() if value is not None}


def _again(error: ErrorDetails) -> InitErrorDetails:
    """Return an error in the form in which pydantic takes errors in."""
    context, kind = error.get("ctx", {}), error["type"]
    known = kind in get_args(ErrorType)
    return InitErrorDetails(
        type=kind if known else PydanticCustomError(kind, error["msg"], context),  # type: ignore[arg-type, unused-ignore]  # only literal strings would be typed
        loc=error["loc"],
        input=error["input"],
        ctx=context,
    )


def mail_domain(public_url: str) -> str:
    """Return what stands behind the @ of our Message-IDs; an IPv6 address as a literal (RFC 5321 section 4.1.3)."""
    host = urlsplit(public_url).hostname or "localhost"
    return f"[IPv6:{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a channel is built with, beside its own settings."""

    name: str  # the channel's name in the configuration
    organization: str
    public_url: str
    languages: tuple[str, ...]
    clock: Clock
    signer: Signer
    departments: tuple[Department, ...] = ()
    schools: tuple[School, ...] = ()
    fallback: str = ""
    base_dir: Path | None = None  # relative paths in settings are meant from here (the working directory if None)
    max_message_bytes: int = 26_214_400
    on_proof: Callable[[], None] = field(default=lambda: None)  # call after every proven poll or connection
    on_trouble: Callable[[str], None] = field(default=lambda _why: None)  # with a sentence: what failed, and goes on
    # with a sentence: a request was turned away that didn't prove whose it is (anybody can send such)
    on_refusal: Callable[[str], None] = field(default=lambda _why: None)
    cursor: Callable[[str], Cursor] = field(default_factory=memory_cursors)  # kept by a key of its own
    # with what a provider says later of a delivery; returns, once it is on disk, whether it changed anything
    hear: Callable[[News], Awaitable[bool]] = field(default=nobody_hears)
    whereabouts: Callable[[str], Awaitable[Whereabouts | None]] = field(default=nobody_knows)  # of a message's id


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext(Context):
    """What a check is given: cursors that may be read, and what it needs to know to change nothing."""

    destinations: tuple[str, ...] = ()  # what this channel, as a sink, is to deliver to
    daemon_runs: bool = False  # ours, on this machine, at this moment
    within_s: float = 15.0  # how long the whole check may take


class Source(Protocol):
    """A channel that fetches or listens by itself."""

    async def run(self, accept: Accept) -> None:
        """Take messages in until cancelled. May raise `SourceUnavailable` or `SourceRejected`: it is run again."""
        ...


class Webhook(Protocol):
    """A channel that is called over HTTP, mounted by the web application."""

    # It may have an attribute `at_once: frozenset[str]`, if it is a form: media types of posts that it answers awaiting
    # nothing but `accept` once they are all there. Such may be handled outside a task (`router/web/posts.py`), where
    # `asyncio.timeout`, `TaskGroup` and `current_task` can't be used.

    async def handle(self, request: web.Request, accept: Accept) -> web.StreamResponse:
        """Answer one request (any method); answer 2xx or 303 only after `accept` returned."""
        ...


class Sink(Protocol):
    """A channel that delivers. One instance serves several attempts at once."""

    concurrency: int  # attempts it wants at the same time
    # It may have `host_of(to: str) -> str`, if addresses lead to different servers: a slow one holds up no other then.

    async def send(self, forward: Forward) -> str:
        """Deliver and return the other side's id ("" if it gave none); raise a `DeliveryError` otherwise.

        Any other exception counts as `Retryable`. The id may be a `router.remarked.Remarked`: what didn't go along.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What a channel module exports as `CHANNEL`.

    `settings` is at once parser, defaults, documentation and JSON schema (give each field a description). A channel
    has a source, a webhook, a sink, or several of them; each is a factory `(settings, context) -> instance`.
    `check_address(to)` returns a sentence if this sink can't deliver to `to`, else "". `reads(settings, address)`
    tells whether mail to that address comes in by this source, so that a sink's `from` can be checked to be read.
    `languages(settings)` are the codes that its pages have texts in, () if it has no pages.
    `takes_in(settings)` tells whether these settings ask for the source at all: a type that is source and sink may be
    wanted as a sink only, and then its source isn't run and doesn't count as one.
    `polls(settings)` is the longest time between two proven looks of a source that fetches by itself, None for one that
    is called or listens: a polled source is run by one daemon at a time, and is told when it looks no more.
    `check(settings, context)`, for `signpost check --connect`, is an async generator that changes nothing: it yields
    what it is about to do, and a `Finding` for each thing proved or failed.
    """

    summary: str
    settings: type[Settings]
    source: Callable[[Any, Context], Source] | None = None
    webhook: Callable[[Any, Context], Webhook] | None = None
    sink: Callable[[Any, Context], Sink] | None = None
    mount: str = "webhooks"  # the path segment before the channel's name: /webhooks/NAME, /forms/NAME
    check_address: Callable[[str], str] = field(default=lambda _to: "")
    reads: Callable[[Any, str], bool] = field(default=lambda _settings, _address: True)
    languages: Callable[[Any], Iterable[str]] = field(default=lambda _settings: ())
    takes_in: Callable[[Any], bool] = field(default=lambda _settings: True)
    polls: Callable[[Any], timedelta | None] = field(default=lambda _settings: None)
    check: Callable[[Any, CheckContext], Checking] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """What a classifier sees of a message: prepared text (see `classifiers._text.prepare`)."""

    subject: str
    body: str
    language: str = ""
    topic: str = ""
    medium: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A labelled row. `weight` says how much it counts in training; `group` ties near-duplicates together.

    `typical` says how much it counts where a model is tried on it, to find the confidence from which it may route: a
    kind of message that is commoner in real mail than among the rows counts more. `urgent` is what somebody said, None
    if nobody has been asked; `alarmed` is whether people were told of it at once, and nobody has said: for nothing.
    """

    input: ModelInput
    department: str
    weight: float = 1.0
    group: str = ""
    source: str = "corpus"
    typical: float = 1.0
    urgent: bool | None = False
    alarmed: bool = False

    @property
    def alarming(self) -> bool:
        """Whether people are to be told of it at once: the gate counts these apart, and no model may lose one."""
        return bool(self.urgent) or self.alarmed


class UrgentSense(Protocol):
    """What a trained model may know besides: how likely a message is urgent. Thread-safe."""

    threshold: float  # from this probability on the model says so

    def likely(self, inputs: Sequence[ModelInput]) -> list[float]:
        """Return a probability per message."""
        ...

    def explain(self, model_input: ModelInput, most: int = 12) -> list[tuple[str, float]]:
        """Return the words that spoke most strongly for (+) and against (-) urgency, strongest first."""
        ...


class Classifier(Protocol):
    """A trained model: synchronous, batched, thread-safe, and it never abstains (thresholds are policy)."""

    version: str
    labels: tuple[str, ...]
    # It may have an attribute `urgent: UrgentSense | None`; without it only words tell what is urgent.
    # It may have a method `knows(word: str) -> bool`: whether it met a word (see `classifiers._ngrams`) in training.
    # It may have a method `strange(model_input)`, which returns the words that speak for (+) and against (-) a message
    # being no department's business, strongest first; `explain` shows them where a message is taken for spam.
    # It may have an attribute `instead: Mapping[str, Any]`, if it serves without a part it was trained with: what holds
    # instead of the artifact's `meta` (its `operating_points`), and `reduced`, a sentence that says what is missing.

    def predict(self, inputs: Sequence[ModelInput]) -> list[Prediction]:
        """Return one prediction per input, each with every label, best first."""
        ...

    def explain(self, model_input: ModelInput, label: str, most: int = 12) -> list[tuple[str, float]]:
        """Return the words that spoke most strongly for (+) and against (-) the label, strongest first."""
        ...


Progress = Callable[[str, float], None]
"""Called during training with what is being done and the share done so far, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierType:
    """What a classifier module exports as `CLASSIFIER`.

    `train` learns from examples, of which those labelled `out_of_scope` are no department's, and returns an artifact
    (`classifiers.artifact.Artifact`: arrays and JSON, no code); `load` makes a `Classifier` of one, and raises
    `BadArtifact` if it isn't fit to serve. `fingerprint(settings)` names the state of what a training reads beside
    messages and settings, such as files that the settings name; `lacks(settings)` is a sentence about what is missing
    on this machine to train with them, "" if nothing is.
    """

    summary: str
    settings: type[Settings]
    train: Callable[..., Any]
    load: Callable[[Any], Classifier]
    fingerprint: Callable[[Any], str] = field(default=lambda _settings: "")
    lacks: Callable[[Any], str] = field(default=lambda _settings: "")
