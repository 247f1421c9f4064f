"""Daemons on one PostgreSQL tell each other what they are busy with; losing that line costs nothing but time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from router import hints as module
from router.hints import Hints
from router.store.engine import open_store
from router.workers import Crew, Worker
from tests.integration.proxy import Proxy


class Daemon:
    """What one of several daemons hears."""

    def __init__(self, store, name, log):
        self.heard = asyncio.Queue()
        self.hints = Hints(store, name, self.heard.put_nowait, log)


@pytest.fixture
async def three(postgres_url, log, monkeypatch):
    """Three daemons that listen, each with its own connections."""
    monkeypatch.setattr(module, "_AGAIN_S", 0.1)
    monkeypatch.setattr(module, "_PAUSE_S", 0.01)
    async with asyncio.timeout(60):
        stores = [open_store(postgres_url) for _ in range(3)]
        for store in stores:
            await store.open()
        made = [Daemon(store, f"d{n}", log) for n, store in enumerate(stores)]
        tasks = [asyncio.create_task(each.hints.run()) for each in made]
        for each in made:
            await each.hints.listens.wait()
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for store in stores:
        await store.close()


@asynccontextmanager
async def soon():
    """Fail if the block takes a minute."""
    async with asyncio.timeout(60):
        yield


async def test_the_others_hear_and_the_speaker_does_not(three):
    """Every stage that was told of since the last hint is named once."""
    one, *others = three
    for stage in ("dispatch-relay", "decide-0", "dispatch-relay"):
        one.hints.tell(stage)
    async with soon():
        for other in others:
            assert [await other.heard.get() for _ in range(2)] == ["decide-0", "dispatch-relay"]
        others[0].hints.tell("decide-1")
        assert await one.heard.get() == "decide-1"
    assert one.heard.empty()


async def test_a_listener_that_is_cut_off_listens_again(three):
    """Whatever ends the connection, the daemon goes on, and hears again a moment later."""
    one, other, _ = three
    idle = "wait_event = 'ClientRead' AND (query LIKE 'LISTEN%' OR query LIKE '%pg_notify%')"
    cut = text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {idle} AND datname = current_database()")
    assert await one.hints._store.read(lambda c: len(c.execute(cut).all())) == 3
    async with soon():
        while other.heard.empty():  # what is said before the lines are made anew is lost
            one.hints.tell("decide-0")
            await asyncio.wait([asyncio.ensure_future(other.hints.listens.wait())], timeout=0.05)


async def test_only_who_has_more_to_do_than_at_once_says_so(log):
    """One batch now and then is nobody else's business; the second one in a row is."""
    batches, said = [1, 0, 1, 1, 1, 0], []
    done = asyncio.Event()

    async def run_once():
        if not batches:
            done.set()
            return 0
        return batches.pop(0)

    worker, crew = Worker("decide-0", run_once, poll_s=0.001, log=log), Crew()
    crew.on_busy = said.append
    crew.change([worker])
    running = asyncio.create_task(worker.run())
    async with soon():
        await done.wait()
        worker.stop()
        await running
    assert said == ["decide-0"] * 2


async def test_a_line_that_was_cut_in_between_was_waited_on_for_ever(postgres_url, log, monkeypatch):
    """Where nobody answers, whoever stops listening hangs up: the daemon can stop, and listens anew."""
    monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(module, "_AGAIN_S", 0.01)
    address, _, folder = postgres_url.partition("?host=")
    async with Proxy(f"{folder}/.s.PGSQL.5432") as proxy, soon():
        store = open_store(address.replace(":@", f"@127.0.0.1:{proxy.port}"))
        await store.open()
        hints = Hints(store, "d1", lambda _stage: None, log)
        running = asyncio.create_task(hints.run())
        await hints.listens.wait()
        proxy.dark = True
        hints.tell("decide-0")
        while hints.listens.is_set():  # the hint has had no answer, nor has the farewell
            await asyncio.wait([running], timeout=0.01)
        proxy.dark = False
        await hints.listens.wait()
        proxy.dark = True
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        proxy.dark = False
        await store.close()
