"""Collect proofs of life and failures of every channel, share them with other daemons through the store, and report."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from router.life.proof import FIRST_LOOKS, Expiry, Health, Life, Side, silent_after
from router.retry import one_line
from router.settings import TakesIn
from router.store import lives
from router.views import when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from router.interfaces import Channel, Settings
    from router.store.engine import Store
    from router.store.lives import Key

KEEP_S = 30.0  # a channel's proofs are written at most this often


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """How one direction of a channel is looked after; `part` is its source, webhook or sink, where there is one here.

    `listens`: each daemon takes in by itself, so that another's proof says nothing of ours. `expect_every`: a message
    should come in at least this often.
    """

    polls: timedelta | None = None
    listens: bool = False
    expect_every: timedelta | None = None
    part: object = None

    @property
    def limit(self) -> timedelta | None:
        """How long it may go without a proof; None: for ever."""
        return silent_after(self.polls)

    def expiries(self) -> list[Expiry]:
        """Return what runs out by itself (`docs/howto/write-a-channel.md` says how a part tells)."""
        told: Callable[[], Iterable[tuple[str, datetime]]] = getattr(self.part, "expiries", tuple)
        token_at = getattr(self.part, "token_expires_at", None)
        token = [Expiry("the access token", token_at, renewed=True)] if token_at else []
        return [*(Expiry(what, at) for what, at in told()), *token]


def directions(channel: Channel, settings: Settings) -> dict[Side, Watched]:
    """Return what is to be looked after of a channel with these settings."""
    found = {}
    if (channel.source or channel.webhook) and channel.takes_in(settings):
        polls = channel.polls(settings)
        expect = settings.expect_every if isinstance(settings, TakesIn) else None
        found[Side.IN] = Watched(polls=polls, listens=bool(channel.source) and polls is None, expect_every=expect)
    if channel.sink:
        found[Side.OUT] = Watched()
    return found


def report(known: Mapping[Key, Life], watched: Mapping[Key, Watched], now: datetime) -> list[dict[str, Any]]:
    """Return how each channel is, as JSON values; one that nothing is known of counts as first run now."""
    return [_row(key, known.get(key) or Life(first_at=now), watching, now) for key, watching in sorted(watched.items())]


def _row(key: Key, life: Life, watching: Watched, now: datetime) -> dict[str, Any]:
    proven = life.proven_at
    return {
        "channel": key[0],
        "direction": key[1].value,
        "health": life.health(now, watching.limit).value,
        "proven_at": when(proven) if proven else None,
        "proven_ago_s": round((now - proven).total_seconds(), 1) if proven else None,
        "error": life.error if life.failing else "",
        "refused": life.refused,
        "refused_at": when(life.refused_at) if life.refused_at else None,
        "refused_ago_s": round((now - life.refused_at).total_seconds(), 1) if life.refused_at else None,
        "refusal": life.refusal,
        "expires": [{"what": expiry.what, "at": when(expiry.at)} for expiry in watching.expiries()],
    }


class Lives:
    """What this daemon has seen of its channels, and what others have. Proofs are cheap: they come with messages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clock = store.clock
        self._started_at = self._clock.now()
        self._kept_at = float("-inf")
        self._watched: dict[Key, Watched] = {}
        self._proofs: dict[Key, datetime] = {}  # the newest, not yet in `_own`
        self._own: dict[Key, Life] = {}
        self._unsaved: set[Key] = set()
        self._known: dict[Key, Life] = {}  # in the store, when we last looked

    # --- what is looked after -----------------------------------------------------------------------------------------

    def follow(self, watched: Mapping[Key, Watched]) -> None:
        """Look after these channels from now on, and after no others. `exchange` first: others may know them."""
        for key in watched.keys() - self._known.keys():
            self._own.setdefault(key, Life(first_at=self._clock.now()))
            self._unsaved.add(key)
        self._watched = dict(watched)

    @property
    def watched(self) -> Mapping[Key, Watched]:
        """What is looked after."""
        return self._watched

    @property
    def settled(self) -> bool:
        """Whether this daemon has run for long enough to have looked everywhere."""
        return self._clock.now() - self._started_at >= FIRST_LOOKS

    # --- what happens -------------------------------------------------------------------------------------------------

    def proven(self, key: Key) -> None:
        """Note that a channel has just been seen working."""
        self._proofs[key] = self._clock.now()

    def failed(self, key: Key, why: str) -> None:
        """Note that a channel has just failed; `why` is a sentence."""
        self._own[key] = self._life(key).failed(self._clock.now(), one_line(why))
        self._unsaved.add(key)

    def turned_away(self, key: Key, why: str) -> None:
        """Note that a request didn't prove whose it is; `why` is a sentence."""
        self._own[key] = self._life(key).turned_away(self._clock.now(), one_line(why))
        self._unsaved.add(key)

    def _life(self, key: Key) -> Life:
        """Return what this daemon has seen of a channel."""
        life = self._own.get(key) or self._known.get(key) or Life(first_at=self._clock.now())
        proof = self._proofs.pop(key, None)
        if proof is not None:
            life = self._own[key] = life.proven(proof)
            self._unsaved.add(key)
        return life

    # --- what is known ------------------------------------------------------------------------------------------------

    def known(self) -> dict[Key, Life]:
        """Return what this daemon and, a little later, the others know of each channel that is looked after."""
        return {key: self._together(key, watching) for key, watching in self._watched.items()}

    def _together(self, key: Key, watching: Watched) -> Life:
        own, others = self._life(key), self._known.get(key)
        return own if others is None or (watching.listens and own.failing) else own.merged(others)

    def report(self) -> list[dict[str, Any]]:
        """Return how each channel is, as JSON values."""
        return report(self.known(), self._watched, self._clock.now())

    async def fresh_report(self) -> list[dict[str, Any]]:
        """Return how each channel is, with what other daemons know at this moment; may raise `StoreBusy`."""
        await self.exchange()
        return self.report()

    def degraded(self) -> dict[str, str]:
        """Return by channel what is wrong with it, in a sentence; {} when all is well."""
        found: dict[str, str] = {}
        for row in self.report():
            if sentence := complaint(row):
                found[row["channel"]] = "; ".join(filter(None, [found.get(row["channel"]), sentence]))
        return found

    async def keep(self) -> bool:
        """Exchange what is known, unless that was done a moment ago (then False); may raise `StoreBusy`."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._kept_at < KEEP_S - 1.0:  # whoever is woken in time may come a little early
            return False
        await self.exchange()
        self._kept_at = loop.time()
        return True

    async def exchange(self) -> None:
        """Tell the store what is new here, and learn what others have told it; may raise `StoreBusy`."""
        seen = {key: self._life(key) for key in self._own.keys() | self._proofs.keys()}
        news, self._unsaved = {key: seen[key] for key in self._unsaved & seen.keys()}, set()

        def work(connection: Connection) -> dict[Key, Life]:
            lives.save(connection, news)
            return lives.load(connection)

        try:
            self._known = await (self._store.write(work) if news else self._store.read(lives.load))
        except BaseException:
            self._unsaved |= news.keys()
            raise


def complaint(row: Mapping[str, Any]) -> str:
    """Return what is wrong with a channel's direction, given its row of the report; "" if nothing is."""
    if row["health"] == Health.FAILING:
        return f"{'taking in' if row['direction'] == Side.IN else 'delivering'} fails: {row['error']}"
    if row["health"] == Health.SILENT:
        since = f"since {row['proven_at']}" if row["proven_at"] else "so far"
        return f"it hasn't proved {since} that it looks for messages"
    return ""
