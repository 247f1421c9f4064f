"""Build channels so that their proofs and failures are noted, and a polled mailbox is read by one daemon at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from router.errors import Permanent, Retryable, SignpostError, Unclear
from router.life.lives import directions
from router.life.proof import Side
from router.ownership import OwnedSource, Ownership

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from router.interfaces import Accept, Channel, Context, Settings, Sink, Source, Webhook
    from router.life.lives import Lives, Watched
    from router.records import Forward
    from router.store.engine import Store
    from router.store.lives import Key


_LOG_EVERY = timedelta(minutes=1)  # for requests of strangers, by channel: nobody is to fill our disk


class Care:
    """Builds sources, webhooks and sinks; `daemon_id` and `alive` are those of the daemon's heartbeat.

    `count_refusal` is told the channel of each request that didn't prove whose it is.
    """

    def __init__(
        self,
        store: Store,
        lives: Lives,
        daemon_id: str,
        alive: Callable[[], bool],
        log: FilteringBoundLogger,
        *,
        count_refusal: Callable[[str], None] = lambda _channel: None,
    ) -> None:
        self._store = store
        self._lives = lives
        self._daemon_id = daemon_id
        self._alive = alive
        self._log = log
        self._count_refusal = count_refusal
        self._logged_at: dict[Key, datetime] = {}

    def source(self, channel: Channel, settings: Settings, context: Context) -> Source:
        """Return a channel's source; a polled one runs while its mailbox is ours, where others share the store."""
        assert channel.source is not None
        context = self._noting(context, Side.IN)
        failed = partial(self._lives.failed, (context.name, Side.IN))
        if channel.polls(settings) is None or self._store.dialect == "sqlite":  # whose file only one daemon can open
            return WatchedSource(channel.source(settings, context), failed)
        ownership = Ownership(self._store, context.name, self._daemon_id, self._alive)
        source = channel.source(settings, replace(context, cursor=ownership.cursor))
        return OwnedSource(context.name, WatchedSource(source, failed), ownership, self._log)

    def webhook(self, channel: Channel, settings: Settings, context: Context) -> Webhook:
        """Return a channel's webhook."""
        assert channel.webhook is not None
        return channel.webhook(settings, self._noting(context, Side.IN))

    def sink(self, channel: Channel, settings: Settings, context: Context) -> Sink:
        """Return a channel's sink."""
        assert channel.sink is not None
        key = context.name, Side.OUT
        sink = channel.sink(settings, self._noting(context, Side.OUT))
        return WatchedSink(sink, partial(self._lives.proven, key), partial(self._lives.failed, key))

    def _noting(self, context: Context, side: Side) -> Context:
        key = context.name, side
        return replace(
            context,
            on_proof=partial(self._lives.proven, key),
            on_trouble=partial(self._lives.failed, key),
            on_refusal=partial(self._turned_away, key),
        )

    def _turned_away(self, key: Key, why: str) -> None:
        self._lives.turned_away(key, why)
        self._count_refusal(key[0])
        now, logged_at = self._store.clock.now(), self._logged_at.get(key)
        if logged_at is None or abs(now - logged_at) >= _LOG_EVERY:
            self._logged_at[key] = now
            self._log.warning("request_refused", channel=key[0], why=why)


def watched(name: str, channel: Channel, settings: Settings, *parts: object) -> dict[Key, Watched]:
    """Return what is to be looked after of a channel; `parts`: what takes in, then what delivers, None for neither."""
    built = dict(zip(Side, map(_inner, parts), strict=True))
    found = directions(channel, settings)
    return {(name, side): replace(watching, part=built[side]) for side, watching in found.items()}


def _inner(part: object) -> object:
    if isinstance(part, OwnedSource):
        part = part.source
    if isinstance(part, WatchedSource):
        return part.source
    return part.sink if isinstance(part, WatchedSink) else part


class WatchedSource:
    """A source whose failures are noted."""

    def __init__(self, source: Source, failed: Callable[[str], None]) -> None:
        self.source = source
        self._failed = failed

    async def prepare(self, leaving: Collection[object]) -> None:
        """Let it get ready to take over from those that leave when it begins, if it knows how; it may refuse."""
        if prepare := getattr(self.source, "prepare", None):
            await prepare([_inner(each) for each in leaving])

    async def abandon(self) -> None:
        """Let it undo that."""
        if abandon := getattr(self.source, "abandon", None):
            await abandon()

    async def run(self, accept: Accept) -> None:
        """Run the source and raise what it raises."""
        try:
            await self.source.run(accept)
        except Exception as error:
            self._failed(_sentence(error))
            raise
        self._failed("it ended by itself")


class WatchedSink:
    """A sink whose deliveries and failures are noted: those that speak for or against the whole destination."""

    def __init__(self, sink: Sink, proven: Callable[[], None], failed: Callable[[str], None]) -> None:
        self.sink = sink
        self.concurrency = sink.concurrency
        self.host_of: Callable[[str], str] | None = getattr(sink, "host_of", None)
        self._proven = proven
        self._failed = failed

    async def send(self, forward: Forward) -> str:
        """Send by the sink and raise what it raises."""
        try:
            remote_id = await self.sink.send(forward)
        except Unclear:
            raise
        except Exception as error:
            if isinstance(error, Permanent) or (isinstance(error, Retryable) and not error.host):
                self._proven()  # it refused one recipient or message: it is alive
            else:
                self._failed(_sentence(error))
            raise
        self._proven()
        return remote_id

    async def aclose(self) -> None:
        """Let go of connections."""
        await self.sink.aclose()


def _sentence(error: Exception) -> str:
    """Return why, for people; of an exception nobody meant, only the type: its text may hold anything."""
    return (isinstance(error, SignpostError) and str(error)) or f"an unexpected {type(error).__name__}"
