"""When the model learns, and from what: how far corrections, silence and audits count."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator

from config._types import Line, Section
from router.settings import PositiveDuration, TimeOfDay, parse_duration, typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FEWEST_DAYS, _MOST_DAYS, _LONGEST_REFERENCE = 4, 31, 180  # of learning.drift
_DATE_WORDS = "a date such as 2026-11-26"


def _parse_date(value: object) -> date:
    """Return a date; a YAML file may hold one as a date or as text."""
    try:
        return value if type(value) is date else date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"must be {_DATE_WORDS}") from None


_Date = Annotated[
    date, PlainValidator(_parse_date), PlainSerializer(date.isoformat, return_type=str), typed(_DATE_WORDS)
]


class Silence(Section):
    """What a message that nobody flagged teaches."""

    weight: float = Field(
        0.2,
        ge=0,
        le=0.3,
        description="How much it counts, where a bundled message and a confirmed correction count 1; 0: not at all.",
    )
    min_confidence: float = Field(
        0.9,
        ge=0.5,
        le=1,
        description="Only if the model was at least this sure when it routed the message, or the one that serves now "
        "chooses the same and is likelier right than wrong.",
    )
    after: PositiveDuration = Field(
        timedelta(days=14), description="Only if the department has had it for this long without sending it on."
    )
    most: int = Field(
        5000, ge=0, description="At most so many messages, the newest; a training takes longer with more."
    )


class Votes(Section):
    """How much of it may be what only votes confirmed, and nobody by name."""

    address: int = Field(
        5, ge=0, description="At most so many that the links of one address have flagged or confirmed."
    )
    department: int = Field(10, ge=0, description="At most so many that name one department.")
    cycle: int = Field(25, ge=0, description="At most so many in all; 0: votes teach nothing.")


class Caps(Section):
    """How much may be new in one training. What is left out comes in the next one."""

    person: int = Field(50, ge=1, description="At most so many new corrections and audits of one person, or address.")
    department: int = Field(100, ge=1, description="At most so many new ones that name one department.")
    cycle: int = Field(500, ge=1, description="At most so many new ones in all.")
    flags_per_hour: int = Field(
        30,
        ge=1,
        description="If more flags and votes than this come from one address within an hour, `operations.alerts` are "
        "told, and its votes confirm nothing any more. The messages move all the same.",
    )
    votes: Votes = Field(Votes(), description="How much of it may be what only votes confirmed, and nobody by name.")

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A cap above the one for everything would never hold."""
        cycle = given["cycle"]
        for name in ("person", "department"):
            if isinstance(cycle, int) and isinstance(given[name], int) and given[name] > cycle:
                yield name, f"is more than cycle ({cycle}), which counts everybody's"


class Outvote(Section):
    """When bundled messages give way, because this district cuts its work otherwise."""

    corrections: int = Field(
        5,
        ge=0,
        description="A bundled message isn't used, neither in training nor by the gate, if so many confirmed "
        "corrections of messages like it moved these from its department to one other; what only votes confirmed "
        "doesn't count, nor does what one person alone stands behind. 0: bundled messages always count.",
    )
    share: float = Field(0.33, ge=0, le=0.5, description="At most this share of a department's bundled messages.")


class Drift(Section):
    """When people are told that families write about other things, or that the model does worse, than before."""

    window: PositiveDuration = Field(
        timedelta(days=7), description="The last whole days, which are looked at once a day: whole weeks, best."
    )
    reference: PositiveDuration = Field(
        timedelta(days=56), description="The days before these, which they are compared with."
    )
    least: int = Field(
        100,
        ge=20,
        description="So many messages must have come in within the window, and four times as many before it; where "
        "fewer write, a longer window helps.",
    )
    false_alarms: float = Field(
        1.0,
        ge=0,
        le=50,
        description="At most so many alarms a year where nothing has changed; 0: nothing is looked at.",
    )

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Days are compared, and there must be enough of them."""
        days = {name: _days(given[name]) for name in ("window", "reference")}
        for name, count in days.items():
            if count is not None and count != int(count):
                yield name, "must be whole days, such as 7d"
        window, reference = days["window"], days["reference"]
        if window is not None and not _FEWEST_DAYS <= window <= _MOST_DAYS:
            yield "window", f"must be between {_FEWEST_DAYS}d and {_MOST_DAYS}d"
        elif window is not None and reference is not None and not 2 * window <= reference <= _LONGEST_REFERENCE:
            yield "reference", f"must be at least twice the window, and {_LONGEST_REFERENCE}d at most"


def _days(value: object) -> float | None:
    """Return how many days a setting says, None if it is no duration."""
    try:
        return parse_duration(value) / timedelta(days=1)
    except ValueError:
        return None


class Learning(Section):
    """When the model learns from corrections, and how far each kind of word counts."""

    retrain_after: int = Field(
        50, ge=0, description="Retrain after this many confirmed corrections and answered audits; 0: never."
    )
    retrain_at: TimeOfDay | None = Field(None, description="Also retrain daily at this time, if there is anything new.")
    data: tuple[Line, ...] = Field(
        (),
        description="Files and folders of labelled messages that every training learns from too, as `train --data`; "
        "relative to the working directory.",
    )
    corpus: bool = Field(True, description="Whether to learn from the bundled messages.")
    retrain_within: PositiveDuration = Field(
        timedelta(hours=2), description="A training that takes longer is ended; the model that serves stays."
    )
    retrain_memory: int = Field(
        2048, ge=256, description="How much memory a training may use (MiB); one that needs more is ended likewise."
    )
    shadow: int = Field(
        100,
        ge=0,
        description="A model that the daemon has trained and the gate has passed first answers so many messages beside "
        "the one that serves, and sends nothing; 0: it serves at once.",
    )
    shadow_for: PositiveDuration = Field(
        timedelta(days=1), description="Or as many as come within this time, if they are at least 20."
    )
    keep_models: int = Field(
        20,
        ge=3,
        description="So many models are kept, and whatever serves, served before it, was gone back from or is pinned.",
    )
    audit_rate: float = Field(
        0.01, ge=0, le=1, description="Share of routed messages shown to people for an unbiased error estimate."
    )
    tacit_confirmation: int = Field(
        0,
        ge=0,
        le=60,
        description="A flag that the receiving department has lived with for so many business days is confirmed, at "
        "0.3 of the weight; 0: never.",
    )
    holidays: tuple[_Date, ...] = Field(
        (),
        description="Days that are no business days, besides Saturdays and Sundays, such as 2026-11-26; nor do "
        "they count for departments' service levels.",
    )
    silence: Silence = Field(Silence(), description="What a message that nobody flagged teaches.")
    caps: Caps = Field(Caps(), description="How much may be new in one training.")
    outvote: Outvote = Field(Outvote(), description="When corrections go before the bundled messages.")
    drift: Drift = Field(Drift(), description="When people are told that what families write is changing.")
