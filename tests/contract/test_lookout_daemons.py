"""Two daemons look through one backlog: alarms come first, and everything is decided once."""

from __future__ import annotations

import asyncio

from sqlalchemy import select

from router.routing.lookout import Lookout
from router.routing.urgent import Urgent
from router.store import daemons
from router.store.tables import decisions
from tests.unit.router.district import ByFirstWord, District, plain_text

BEFORE, BEHIND = 600, 40
ALARM = "buses: he never came home"


async def _daemon(store, log, rng, name):
    """Return a living daemon's stages with what looks ahead of them."""
    lookout = Lookout(store, plain_text, Urgent(), wake=lambda: None, log=log)
    district = District(store, log, rng, steps=(Urgent(), ByFirstWord()), lookout=lookout)
    district.stage._daemon_id = name
    await store.write(lambda c: daemons.register(c, name, store.clock.now(), alone=False))
    return district.stage, lookout


async def _decided(store):
    return list(await store.read(lambda c: c.execute(select(decisions).order_by(decisions.c.id)).all()))


async def test_daemons_that_look_through_one_backlog_decide_everything_once(store, log, rng):
    """An alarm near the end of the line overtakes most of it, whichever daemon finds it; nothing is left or doubled."""
    line = District(store, log, rng)
    ids = [await line.accept(f"buses {number}") for number in range(BEFORE)]
    alarm = await line.accept(ALARM)
    ids += [alarm, *[await line.accept(f"meals {number}") for number in range(BEHIND)]]
    daemons_ = [await _daemon(store, log, rng, name) for name in ("d1", "d2")]
    works = [work for stage, lookout in daemons_ for work in (stage.run_once, lookout.run_once)]

    for _turn in range(len(ids)):
        await asyncio.gather(*(work() for work in works))
        if len(await _decided(store)) == len(ids):
            break

    order = [row.message_id for row in await _decided(store)]
    assert sorted(order) == sorted(ids)
    assert order.index(alarm) < BEFORE / 2
    assert [len(await line.deliveries(message_id)) for message_id in ids if message_id != alarm] == [1] * (len(ids) - 1)
