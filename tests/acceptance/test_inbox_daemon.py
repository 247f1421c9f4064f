"""A real daemon with a console lets everything be found: what its store held before, and what comes in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import aiohttp
import pytest
from sqlalchemy import func, select

from router.store import inbox
from router.store.engine import open_store
from router.store.inbox import Filters
from router.store.scope import EVERYTHING
from router.store.tables import messages
from tests.acceptance.daemon import until
from tests.acceptance.district import district
from tests.contract.figured import fill

PAST = 150


@pytest.fixture
async def daemon(daemons, tmp_path, relay):
    """A daemon that starts on a store with a past that nobody has indexed."""
    configuration = district(tmp_path, relay.port, console={"local": True}, learning={"retrain_after": 0})
    store = open_store(configuration["store"]["url"])
    await store.open()
    await fill(store, Random(3), PAST, now=datetime.now(UTC) - timedelta(hours=1))
    await store.close()
    made = daemons(tmp_path, configuration)
    await made.start()
    return made, configuration["store"]["url"]


async def test_a_daemon_indexes_its_past_and_what_comes_in(daemon):
    """All messages of the store are in the list soon, and a form is found by a word of it."""
    made, url = daemon
    async with aiohttp.ClientSession() as client:
        body = {"name": "Ana", "email": "ana@home.example", "message": "A purple umbrella was left on the bus."}
        async with client.post(f"{made.url}/forms/contact", json=body) as answer:
            assert answer.status == 202, await answer.text()
    store = open_store(url, read_only=True)
    await store.open()

    async def indexed():
        stored = await store.read(lambda c: c.execute(select(func.count()).select_from(messages)).scalar())
        listed = await store.read(lambda c: inbox.count(c, EVERYTHING, Filters()))
        return listed == stored > PAST

    async def found():
        page = await store.read(lambda c: inbox.page(c, EVERYTHING, Filters(text='"purple umbrella"')))
        return page.lines

    try:
        await until(indexed, 60, "every message is in the list")
        (line,) = await until(found, 60, "the form is found")
        assert (line.sender, line.channel) == ("Ana", "contact")
    finally:
        await store.close()
