"""How a channel is, in sentences: does it work, since when not, what runs out, what waits, and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING

from router.life.proof import Health, Side
from router.secrets import without_secrets
from router.settings import format_duration
from router.store.by_channel import Left
from router.web.pages import sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.life.lives import Watched
    from router.life.proof import Expiry, Life

    When = Callable[[datetime | None], str]

_SEVERAL = 3  # requests that were refused one after the other: fewer are noise
_DAY = timedelta(days=1)
_HOWTO = {
    "imap": ("imap", "Mail from a mailbox (IMAP)"),
    "maildir": ("maildir", "Maildir folders, in and out"),
    "smtp": ("smtp-relay", "Outgoing mail through a relay"),
    "smtp_server": ("smtp-server", "Incoming mail, handed over by your mail server"),
    "twilio_sms": ("twilio-sms", "Text messages by Twilio"),
    "web_form": ("web-form", "The web form"),
    "webhook": ("webhook", "Webhooks"),
}
_OTHER = ("check-connect", "Is everything connected?")


class Rank(IntEnum):
    """The worst comes first."""

    FAILING = 0
    SILENT = 1
    OVER = 2  # a certificate or a secret
    QUIET = 3  # no message for longer than is expected
    DEAD = 4  # letters
    REFUSED = 5  # requests
    SOON = 6  # something runs out
    UNPROVEN = 7
    WELL = 8


_STATES = {  # what stands on the badge, and how it looks
    Rank.FAILING: ("failing", "dead"),
    Rank.SILENT: ("silent", "dead"),
    Rank.OVER: ("has run out", "dead"),
    Rank.QUIET: ("quiet", "held"),
    Rank.DEAD: ("needs a look", "held"),
    Rank.REFUSED: ("needs a look", "held"),
    Rank.SOON: ("runs out soon", "held"),
    Rank.UNPROVEN: ("no proof yet", "none"),
    Rank.WELL: ("works", "delivered"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of one direction of a channel. `reader`: None if it isn't read by one daemon at a time."""

    name: str
    side: Side
    type: str
    life: Life
    watched: Watched
    left: Left = field(default_factory=Left)
    reader: str | None = None
    newest_at: datetime | None = None  # of its messages, where some are expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The same for people; `looks` is the badge's class, `proven` and `ago` when it was last seen working."""

    name: str
    direction: str
    type: str
    rank: Rank
    state: str
    looks: str
    how: str
    proven: str
    ago: str
    runs_out: tuple[tuple[str, bool], ...]  # a sentence, and whether somebody has to do something
    left: str
    gone: str  # what ended without arriving
    reader: str
    check: bool  # whether `signpost check --connect` would say more
    to_do: tuple[str, ...]
    howto: tuple[str, str] | None  # the file, and its title


def told(known: Iterable[Known], now: datetime, when: When, daemon_id: str) -> list[Told]:
    """Return what to say of each, the worst first. `when` writes a time as people here read it."""
    return sorted((_told(each, now, when, daemon_id) for each in known), key=lambda t: (t.rank, t.name, t.direction))


def summary(channels: Iterable[Told]) -> str:
    """Return in a sentence how all of them are together."""
    ranks = [each.rank for each in channels]
    bad = sum(rank <= Rank.SILENT for rank in ranks)
    verb = "doesn't" if bad == 1 else "don't"
    look = sum(Rank.SILENT < rank < Rank.UNPROVEN for rank in ranks)
    parts = [f"{bad} of {len(ranks)} {verb} work"] if bad else []
    parts += [f"{look} of {len(ranks)} {'needs' if look == 1 else 'need'} a look"] if look else []
    if not parts:
        return "All that has been used works." if Rank.UNPROVEN in ranks else "All of them work."
    return "; ".join(parts) + "."


def _told(known: Known, now: datetime, when: When, daemon_id: str) -> Told:
    life = known.life
    health = life.health(now, known.watched.limit)
    rank = _rank(known, health, now)
    state, looks = _STATES[rank]
    return Told(
        name=known.name,
        direction="in" if known.side is Side.IN else "out",
        type=known.type,
        rank=rank,
        state=state,
        looks=looks,
        how=_how(known, health),
        proven=when(life.proven_at),
        ago=ago(now - life.proven_at) if life.proven_at else "never",
        runs_out=tuple((_expiry(each, now, when), each.step(now) is not None) for each in known.watched.expiries()),
        left=_left(known.left, now),
        gone=_gone(known.left),
        reader=_reader(known.reader, daemon_id),
        check=health in {Health.FAILING, Health.SILENT},
        to_do=tuple(_to_do(known, health, now, when)),
        howto=_HOWTO.get(known.type, _OTHER) if rank < Rank.UNPROVEN else None,
    )


def _rank(known: Known, health: Health, now: datetime) -> Rank:
    steps = [step for each in known.watched.expiries() if (step := each.step(now)) is not None]
    faults = (
        (Rank.FAILING, health is Health.FAILING),
        (Rank.SILENT, health is Health.SILENT),
        (Rank.OVER, timedelta(0) in steps),
        (Rank.QUIET, _quiet(known, now)),
        (Rank.DEAD, bool(known.left.dead or known.left.unclear)),
        (Rank.REFUSED, _is_refused(known.life, now)),
        (Rank.SOON, bool(steps)),
        (Rank.UNPROVEN, health is Health.UNPROVEN),
    )
    return next((rank for rank, so in faults if so), Rank.WELL)


def _quiet(known: Known, now: datetime) -> bool:
    expected = known.watched.expect_every
    return expected is not None and now - (known.newest_at or known.life.first_at) > expected


def _is_refused(life: Life, now: datetime) -> bool:
    return life.refused >= _SEVERAL and life.refused_at is not None and now - life.refused_at < _DAY


# --- sentences --------------------------------------------------------------------------------------------------------


def _how(known: Known, health: Health) -> str:
    taking = known.side is Side.IN
    if health is Health.FAILING:
        error = sentence(without_secrets(known.life.error))
        return f"{'Taking messages in' if taking else 'Delivering'} fails. {error}"
    if health is Health.SILENT:
        return "Nothing says that it looks for messages any more, and it has reported no error."
    if health is Health.UNPROVEN:
        return "No message has come in by it yet." if taking else "Nothing has been delivered by it yet."
    if known.watched.polls is not None:
        return "It looks for messages, and reaches them."
    return "Messages come in by it." if taking else "It delivers."


def _to_do(known: Known, health: Health, now: datetime, when: When) -> Iterable[str]:
    if health is Health.SILENT:
        yield "If that finds nothing, restart the daemon; its log says what it did last (source_down, source_failed)."
    if any(each.step(now) is not None for each in known.watched.expiries()):
        yield "Renew what runs out before it does: nobody can do that from here."
    if _quiet(known, now):
        assert known.watched.expect_every is not None
        last = f"The last message came on {when(known.newest_at)}" if known.newest_at else "No message has come yet"
        every = format_duration(known.watched.expect_every)
        yield f"{last}; at least one every {every} is expected. Is it still connected on the other side?"
    if _is_refused(known.life, now):
        yield (
            f"{known.life.refused} requests were refused since the last good one. "
            f"{sentence(without_secrets(known.life.refusal))} If messages are missing, a secret or an address was "
            "changed on one side only; if none is missing, it was noise."
        )


def _expiry(expiry: Expiry, now: datetime, when: When) -> str:
    what, at = expiry.what[:1].upper() + expiry.what[1:], when(expiry.at)
    if expiry.renewed:
        until = f"is good until {at} ({ahead(expiry.at - now)})" if expiry.at > now else f"ran out on {at}"
        return f"{what} {until}; Signpost gets the next one by itself."
    if expiry.at <= now:
        return f"{what} ran out on {at}, {ago(now - expiry.at)}."
    return f"{what} {'is good until' if expiry.step(now) is None else 'runs out on'} {at}, {ahead(expiry.at - now)}."


def _left(left: Left, now: datetime) -> str:
    if not left.waiting:
        return ""
    since = f", the oldest for {_span(now - left.oldest_at)}" if left.oldest_at else ""
    return f"{left.waiting:,} {'waits' if left.waiting == 1 else 'wait'}{since}"


def _gone(left: Left) -> str:
    parts = [f"{left.dead:,} dead"] * bool(left.dead) + [f"{left.unclear:,} unclear"] * bool(left.unclear)
    return ", ".join(parts)


def _reader(reader: str | None, daemon_id: str) -> str:
    if reader is None:
        return ""
    if not reader:
        return "No daemon reads it at this moment."
    return "This daemon reads it." if reader == daemon_id else f"Another daemon ({reader[:8]}) reads it."


def ago(span: timedelta) -> str:
    """Return how long ago something was, roughly."""
    return "just now" if span < timedelta(seconds=2) else f"{_span(span)} ago"


def ahead(span: timedelta) -> str:
    """Return how long it is until something, roughly."""
    return f"in {_span(span)}"


def _span(span: timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} second{'s' * (seconds != 1)}"
