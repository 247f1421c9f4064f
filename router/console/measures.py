"""Which customer-service measures a district has and meets, from reactive to customer-centric. Pure.

K-12 consultants describe four stages of customer service, from reactive to customer-centric; which measure belongs to
which is this product's own reading. A measure is there or not (by the configuration), and met, missed, or not
known (by what was measured). What Signpost can't know, it says so of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

STAGES = ("reactive", "responsive", "proactive", "customer-centric")
IN_TIME = 0.9  # of a department's messages
_SOON = timedelta(hours=1)
_WRITTEN = 0.05  # a language is written that so large a part of the messages is in
_FEW = 20  # messages, below which nothing is said


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is configured, and what was measured of the last weeks; None: not known."""

    alerts: bool
    urgent: bool
    escalation: bool
    media: frozenset[str]  # ways in: email, sms, web_form
    acknowledges: bool
    languages: frozenset[str]  # of the public pages
    schools: int
    departments: int
    with_level: int  # departments with a service level
    audits: bool
    learns: bool
    drift: bool
    target_error: float
    messages: int = 0
    open: int = 0
    oldest: timedelta | None = None  # how long the oldest open message has waited
    in_time: int = 0
    late: int = 0
    after_hours: int = 0
    ninth_tenth: timedelta | None = None  # after so long nine of ten messages lay with the right desk
    audited: tuple[int, Sequence[float] | None] = (0, None)  # how many, and the interval of the share sent wrongly
    written: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # messages by language


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: whether the district has it, whether it meets it (both None: not known), and a sentence."""

    stage: str
    name: str
    has: bool | None
    meets: bool | None
    sentence: str


def measures(facts: Facts) -> list[Measure]:
    """Return all measures, by stage."""
    return [*_reactive(facts), *_responsive(facts), *_proactive(facts), *_centric(facts)]


def stage(all_: Sequence[Measure]) -> str:
    """Return the last stage of which, and of all before it, no measure is absent or missed; "" before the first."""
    reached = ""
    for name in STAGES:
        if not all(each.has is not False and each.meets is not False for each in all_ if each.stage == name):
            break
        reached = name
    return reached


def _reactive(f: Facts) -> Iterator[Measure]:
    waits = f.oldest or timedelta()
    told = f"{f.open} don't lie with a department yet, the oldest for {_long(waits)}." if f.open else "Nothing waits."
    yield Measure("reactive", "Every message has a home", True, waits < timedelta(days=1), told)
    yield _there("reactive", "Somebody hears of trouble", f.alerts, "operations.alerts", "Trouble is told at once")
    yield _there(
        "reactive", "Urgent messages raise an alarm", f.urgent, "routing.urgent.notify", "Alarms are told at once"
    )


def _responsive(f: Facts) -> Iterator[Measure]:
    ways = len(f.media)
    told = f"Families can write in {ways} {'way' if ways == 1 else 'ways'}: {', '.join(sorted(f.media))}."
    yield Measure("responsive", "More than one way in", ways > 1, None, told)
    yield _there(
        "responsive",
        "Families hear that it came in",
        f.acknowledges,
        "acknowledge on a channel",
        "Families are answered",
    )
    yield _levels(f)
    soon = None if f.ninth_tenth is None or f.messages < _FEW else f.ninth_tenth <= _SOON
    told = (
        "Not enough messages yet." if f.ninth_tenth is None else f"Nine of ten lay there within {_long(f.ninth_tenth)}."
    )
    yield Measure("responsive", "Soon at the right desk", True, soon, told)


def _levels(f: Facts) -> Measure:
    n = f.in_time + f.late
    share = f.in_time / n if n else None
    told = f"{f.with_level} of {f.departments} departments have a service level"
    told += f"; {share:.0%} of their messages were in time." if share is not None else "."
    meets = None if share is None or n < _FEW else share >= IN_TIME
    return Measure("responsive", "Departments have a service level", f.with_level > 0, meets, told)


def _proactive(f: Facts) -> Iterator[Measure]:
    n, interval = f.audited
    if interval is None:
        told, meets = "No message chosen at random has been labelled lately.", None
    else:
        told = f"Of {n} chosen at random, between {interval[0]:.1%} and {interval[1]:.1%} were sent to a wrong desk."
        meets = False if interval[0] > f.target_error else True if interval[1] <= f.target_error else None
    yield Measure("proactive", "Misroutes are measured, noticed or not", f.audits, meets, told)
    yield _there(
        "proactive", "Corrections are learnt from", f.learns, "learning.retrain_after", "The model learns from them"
    )
    yield _there("proactive", "Changes are noticed", f.drift, "learning.drift", "People are told when messages change")
    yield _there(
        "proactive", "Alarms are passed on", f.escalation, "routing.urgent.then", "Unacknowledged, the next is told"
    )


def _centric(f: Facts) -> Iterator[Measure]:
    total = sum(f.written.values())
    written = {name for name, n in f.written.items() if name and n >= _WRITTEN * total}
    mute = sorted(written - f.languages)
    told = (
        f"Families also write in {', '.join(mute)}, in which there are no pages."
        if mute
        else "Pages speak what families write."
    )
    meets = None if total < _FEW else not mute
    yield Measure("customer-centric", "In families' own languages", len(f.languages) > 1 or not mute, meets, told)
    yield _there(
        "customer-centric", "Schools are known", f.schools > 0, "schools", f"{f.schools} schools are recognised"
    )
    share = f.after_hours / f.messages if f.messages else None
    told = "No message yet." if share is None else f"{share:.0%} of the messages come in outside business hours"
    told += (
        ""
        if share is None
        else "; an acknowledgement greets them."
        if f.acknowledges
        else "; nobody tells families when to expect an answer."
    )
    yield Measure("customer-centric", "Somebody is there after hours", f.acknowledges, None, told)
    told = (
        "Signpost doesn't see answers: they go to families directly. Ask families themselves, and measure it elsewhere."
    )
    yield Measure("customer-centric", "Families are asked whether it helped", None, None, told)


def _there(stage_: str, name: str, has: bool, setting: str, told: str) -> Measure:
    return Measure(stage_, name, has, None, f"{told}." if has else f"Not set up: {setting}.")


def _long(time: timedelta) -> str:
    """Return a time in words, in one unit."""
    seconds = time.total_seconds()
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            n = round(seconds / size)
            return f"{n} {unit}{'' if n == 1 else 's'}"
    return f"{max(1, round(seconds))} s"
