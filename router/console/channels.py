"""The page of the channels: how each is in each direction, the worst first; for those who look after the district."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from router.console.channel_words import Known, summary, told
from router.console.roles import Action
from router.console.routes import Route
from router.errors import StoreBusy
from router.life.proof import Side
from router.store import by_channel
from router.store.by_channel import Left

if TYPE_CHECKING:
    from aiohttp import web
    from sqlalchemy import Connection

    from router.console.console import Console
    from router.console.routes import Visit


async def show(console: Console, visit: Visit) -> web.StreamResponse:
    """Show what is known at this moment, by this daemon and, where the store answers, by others."""
    with suppress(StoreBusy):
        await console.lives.exchange()
    known, watched, kinds = console.lives.known(), console.lives.watched, console.kinds
    alone = console.store.dialect == "sqlite"
    polled = [name for (name, _), each in watched.items() if each.polls is not None]
    expected = [name for (name, _), each in watched.items() if each.expect_every is not None]

    def look(connection: Connection) -> list[Known]:
        left = by_channel.left(connection)
        readers = dict.fromkeys(polled, console.daemon_id)  # an SQLite file has one daemon
        if not alone:
            readers = by_channel.readers(connection, polled, None)
        newest = by_channel.newest(connection, expected)
        return [
            Known(
                name=name,
                side=side,
                type=kinds.get(name, ""),
                life=life,
                watched=watched[name, side],
                left=left.get(name, Left()) if side is Side.OUT else Left(),
                reader=readers.get(name) if side is Side.IN else None,
                newest_at=newest.get(name),
            )
            for (name, side), life in known.items()
        ]

    channels = told(await console.store.read(look), console.now, console.when, console.daemon_id)
    at = f"{console.now.astimezone(console.zone):%H:%M:%S}"
    return console.page(visit, "channels.html", channels=channels, summary=summary(channels), at=at)


ROUTES = (Route(path="/channels", action=Action.CHANNELS, page=show, noted="channels"),)
