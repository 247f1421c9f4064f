"""The nouns of Signpost. All are frozen; every time is an aware UTC datetime in a field that ends in `_at`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})  # by a function: Python 3.11 takes a mapping proxy for a mutable default


SUSPICIOUS = "suspicious: "
"""How the detail of a decision, or of what is held, begins if the message is taken for spam."""


class Medium(StrEnum):
    """How the person wrote, whatever provider carried it."""

    EMAIL = "email"
    SMS = "sms"
    WEB_FORM = "web_form"


class State(StrEnum):
    """Where a message stands; `received = routed + held + filed + undecided` holds at every commit."""

    UNDECIDED = "undecided"  # accepted, no decision yet
    ROUTED = "routed"  # decision and deliveries committed
    HELD = "held"  # waits for a person
    FILED = "filed"  # nothing to forward


class Reason(StrEnum):
    """Why a message went where it went (header `X-Signpost-Reason`)."""

    RULE = "rule"
    THREAD = "thread"
    MODEL = "model"
    ABSTAINED = "abstained"
    UNREADABLE = "unreadable"
    MODEL_DOWN = "model_down"
    CORRECTION = "correction"
    DISPUTED = "disputed"
    OBSERVE = "observe"


class DeliveryKind(StrEnum):
    """A route forwards a message; an alert tells a person something; an answer goes back to who wrote, by itself."""

    ROUTE = "route"
    ALERT = "alert"
    ANSWER = "answer"  # it may fail: it is dropped then, and nobody is told


class DeliveryState(StrEnum):
    """Every delivery ends in one of the last four; `unclear` and `dead` wait for a person."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    UNCLEAR = "unclear"  # the answer was lost twice: probably delivered
    DEAD = "dead"
    DROPPED = "dropped"  # by a person


class CorrectionState(StrEnum):
    """Only confirmed corrections become training data."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """What a source hands to `accept`.

    `original` is always an RFC 5322 message: a mail byte for byte as it came, or what a form or a text said, rendered
    as one by `channels._mime.compose`. `source_key` names this one event at its source, so that a repeated hand-over is
    known; it is unique within the channel. `facts` are JSON values, beside the bytes: see `channels/_mime.py`.
    """

    source_key: str
    channel: str
    medium: Medium
    received_at: datetime
    original: bytes
    facts: Mapping[str, Any] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What `accept` answers: the message's id (the family's reference), and whether it was a true copy."""

    message_id: str
    duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that came with a message; `size` in bytes, decoded. The bytes stay in the original."""

    name: str
    content_type: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of a mail for one recipient, as a mail server says (RFC 3464); "" for what it doesn't."""

    recipients: tuple[str, ...] = ()  # addresses in lower case: where it was to go at last, where it was sent at first
    action: str = ""  # failed, delayed, delivered, relayed or expanded
    status: str = ""  # RFC 3463, such as 5.1.1
    said: str = ""  # one line: the answer of the server that didn't take it


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A mail server's report on an earlier mail, whose Message-ID is `mail_id` ("" if it doesn't say)."""

    kind: str  # delivery-status, disposition-notification, feedback-report …, or bounce: a failure in words only
    mail_id: str = ""
    fates: tuple[Fate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A delivery of ours that came back: why, in one line without addresses, and whether trying again is no use."""

    delivery_id: int
    reason: str
    lasting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What was understood of an original, without an id: the result of parsing, or of failing to.

    `text` is what the person wrote (from the HTML part where there is no honest plain part), `html_text` the HTML
    part's. `headers`: `channels._mime.NOTED_HEADERS`, by lower-case name. Strings hold no NUL and no lone surrogate.
    """

    sender: str = ""  # e-mail address or E.164 number; "" if unknown
    sender_name: str = ""
    reply_to: str = ""  # e-mail address that reaches the family; "" if there is none
    phone: str = ""
    recipient: str = ""  # envelope recipient, else the first address the mail names
    recipients: tuple[str, ...] = ()  # every address that the envelope or the mail names, if there are several
    subject: str = ""
    text: str = ""
    html_text: str = ""
    attachments: tuple[Attachment, ...] = ()
    external_id: str = ""  # Message-ID, MessageSid; "" if none
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    auto_submitted: bool = False  # RFC 3834 and its relatives: no person is waiting for an answer
    hops: int = 0  # Received headers
    language: str = ""  # ISO 639-1
    topic: str = ""  # the sender's own choice on a form
    school: str = ""  # the sender's own choice on a form: a school id
    suspicion: str = ""  # why this looks like spam; "" if it doesn't. Parked for a person, never dropped
    keyword: str = ""  # all that a text message says: stop, help or start (see `channels._keywords`); "" for any other
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=_empty)
    unreadable: str = ""  # why parsing failed
    report: Report | None = None  # of a mail server, on a mail that may be ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A stored message with what was understood of it."""

    id: str
    channel: str
    medium: Medium
    received_at: datetime
    content: Content = field(default_factory=Content)
    lost_leases: int = 0  # how often a process died over it
    released: bool = False  # a person let it go after it was held: loops don't stop it again
    foreseen: str | None = None  # why it is urgent ("": it isn't), if what serves has found that out while it waited


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A model's answer: all labels with calibrated probabilities, best first, and the raw score for "none of these".

    `score` is the largest margin of the model, which tells strangers from members better than a probability does (the
    higher, the surer). `confidence` is how likely the first label is right, all things considered: that the message is
    no department's business, too, which the ranking leaves aside; None if unknown. `model`: the version that answered.
    """

    ranking: tuple[tuple[str, float], ...]
    score: float
    model: str = ""
    confidence: float | None = None

    @property
    def likely(self) -> tuple[tuple[str, float], ...]:
        """The labels, best first, with how likely each is right: the ranking, but the first has the confidence.

        The others keep their order and proportions.
        """
        if self.confidence is None or not self.ranking:
            return self.ranking
        (first, share), *others = self.ranking
        if self.confidence <= share:
            factor = self.confidence / share if share else 0.0
        else:
            factor = (1 - self.confidence) / (1 - share)
        return ((first, self.confidence), *((label, p * factor) for label, p in others))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where a message goes and why. `confidence` in 0..1, None where no probability stood behind it."""

    id: int = 0  # 0 until stored
    message_id: str
    department: str
    reason: Reason
    detail: str = ""  # a readable sentence or name: the rule, the words, the threshold
    prediction: Prediction | None = None
    confidence: float | None = None
    urgent: str = ""  # what made it urgent; "" if it isn't
    school: str = ""
    suggestions: tuple[str, ...] = ()  # the likeliest departments, best first
    also: tuple[str, ...] = ()  # departments that get it too, since it has a second matter
    tags: tuple[str, ...] = ()  # what else it is, such as a request with a statutory clock
    decided_at: datetime

    @property
    def suspicion(self) -> str:
        """Why the message is taken for spam, "" if it isn't."""
        return self.detail.removeprefix(SUSPICIOUS) if self.detail.startswith(SUSPICIOUS) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a department, a school or an alert is reached: a sink channel and an address it understands."""

    via: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One thing to be sent to one destination, until it is settled. `fence` numbers its leases."""

    id: int
    kind: DeliveryKind
    message_id: str | None  # None: an alert that is about no message
    decision_id: int | None
    department: str
    via: str
    to: str
    state: DeliveryState
    attempts: int
    unclear: int  # how many attempts lost their answer after the last byte
    lost_leases: int
    fence: int
    created_at: datetime
    next_attempt_at: datetime
    last_error: str = ""
    remote_id: str = ""
    notice: Notice | None = None
    size: int = field(default=0, compare=False)  # of its original, in octets, where it is leased


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What an alert says: plain text for a person, and a page to open, if any."""

    subject: str
    text: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """What a sink needs: a route's message and decision; an alert's notice, perhaps a message; an answer's notice."""

    delivery: Delivery
    mail_id: str  # with angle brackets; a pure function of the delivery, so that a retry has the same
    organization: str
    message: Message | None = None
    original: bytes = b""
    decision: Decision | None = None
    department_name: str = ""
    school_name: str = ""
    suggestions: tuple[tuple[str, str], ...] = ()  # (department id, name), the likeliest first
    also: tuple[str, ...] = ()  # names of the other departments that get it, since it has a second matter
    misroute_url: str = ""
    message_url: str = ""  # the message's page in the console, "" without one
    local_time: str = ""  # when it was received, in the district's time zone, for people
    meant_for: str = ""  # the department whose mail server sent it back, where another stands in for it
    opted_out: bool = False  # the destination is a telephone number whose owner wants no more texts (STOP)
    notice: Notice | None = None
    in_reply_to: str = ""  # the Message-ID of the mail that an answer answers, "" if it came by another way


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A person said that a message belonged elsewhere. `via` is link, command or console."""

    id: int = 0
    message_id: str
    from_department: str
    to_department: str
    by: str
    via: str
    model: str  # version of the model behind the corrected decision; "" if none
    state: CorrectionState
    at: datetime
    note: str = ""
    decision_id: int | None = None  # the decision that was corrected
    delivery_id: int | None = None  # the delivery whose link was used; None for a command
    confirmed_by: str = ""
    confirmed_via: str = ""  # command or console (a named person), votes, tacit; "" if it was never confirmed
    withdrawn_by: str = ""
    client: str = ""  # tells the browser apart in which the link was used


@dataclass(frozen=True, slots=True, kw_only=True)
class Department:
    """A desk of the district. `covers` are the model's labels it answers for; the fallback covers none."""

    id: str
    name: str
    description: str = ""
    covers: tuple[str, ...] = ()
    deliver: tuple[Destination, ...] = ()
    min_confidence: float | None = None
    service_level: timedelta | None = None  # of business hours, until a message lies with it; None: none was promised


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """The second axis: a school may receive some departments' messages itself (`deliver`, by department)."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    deliver: Mapping[str, tuple[Destination, ...]] = field(default_factory=_empty)
