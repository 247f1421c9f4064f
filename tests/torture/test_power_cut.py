"""Power cuts at random instants under load: whatever was acknowledged before the cut is in the store after it."""

from __future__ import annotations

import os
import re
import tempfile

import pytest
from sqlalchemy import select

from router.store.engine import open_store
from router.store.tables import originals
from tests.acceptance.district import district
from tests.acceptance.load import Load
from tests.torture.machine import Machine
from tests.torture.server import Server
from tests.torture.test_places import RELAYED

TOKEN = re.compile(rb"RT-[a-z0-9]+-\d+-end")
PER_CUT = 20


@pytest.fixture
async def machine():
    """A disk that can be cut off the power."""
    with tempfile.TemporaryDirectory(prefix="signpost-power-", ignore_cleanup_errors=True) as name:
        made = Machine(name)
        try:
            await made.start()
            yield made
        finally:
            await made.close()


async def tokens_in(url):
    """Open a store as a daemon does, and return the tokens of the messages in it."""
    store = open_store(url)
    await store.open()
    try:
        contents = await store.read(lambda c: c.execute(select(originals.c.content)).scalars().all())
    finally:
        await store.close()
    return {found.group().decode() for content in contents if (found := TOKEN.search(content))}


async def cut_again_and_again(machine, daemon, ledger, rng, times, look):
    """Cut the power under load; return how many acknowledged messages were looked for, and those that were lost."""
    looked, lost = 0, set()
    async with Load(daemon, ledger, rng, ways=("form", "smtp"), desks=RELAYED) as load:
        for _ in range(times):
            load.allow(PER_CUT)
            await load.reach("acknowledged", load.counts["acknowledged"] + rng.randint(1, PER_CUT - 1))
            before = set(ledger.acked)
            image = await machine.cut()
            async with machine.after(image) as disk:
                lost |= before - await look(disk)
            looked += len(before)
            await load.all_acknowledged()
    return looked, lost


async def test_a_cut_takes_what_was_not_synced(machine):
    """The cut is one: a file that was only written is empty or missing after it, one that was synced is whole."""
    with (machine.disk / "synced").open("wb") as file:
        file.write(b"x" * 5000)
        file.flush()
        os.fsync(file.fileno())
    (machine.disk / "written").write_bytes(b"x" * 5000)
    async with machine.after(await machine.cut()) as disk:
        assert (disk / "synced").read_bytes() == b"x" * 5000
        assert not (disk / "written").exists() or not (disk / "written").stat().st_size


@pytest.mark.case("D04")
async def test_power_cut_under_sqlite(machine, daemons, tmp_path, relay, ledger, rng, rounds, tally):
    """SQLite: the file opens without help, and every acknowledged message is in it."""
    url = f"sqlite:///{machine.disk}/signpost.db"
    daemon = daemons(tmp_path, district(tmp_path, relay.port, store={"url": url}))
    await daemon.start()
    times = rounds(quick=2, long=60)
    looked, lost = await cut_again_and_again(
        machine, daemon, ledger, rng, times, lambda disk: tokens_in(f"sqlite:///{disk}/signpost.db")
    )
    await daemon.kill()
    tally(messages=len(ledger.acked), faults=times, looked_for=looked, lost=len(lost))
    assert not lost


@pytest.mark.case("D04")
async def test_power_cut_under_postgresql(machine, postgres, daemons, tmp_path, relay, ledger, rng, rounds, tally):
    """PostgreSQL: a server started on what is left recovers by itself, and every acknowledged message is there."""
    server = Server(postgres, machine.folder / "socket", machine.disk / "data")
    await server.make()
    await server.start()
    configuration = district(tmp_path, relay.port, store={"url": server.url})
    configuration["channels"].pop("old-mail")
    daemon = daemons(tmp_path, configuration)

    async def look(disk):
        (disk / "data" / "postmaster.pid").unlink(missing_ok=True)
        recovered = Server(postgres, machine.folder / "socket-after", disk / "data")
        recovered.folder.mkdir(exist_ok=True)
        recovered.own(recovered.folder)
        try:
            await recovered.start()
            return await tokens_in(recovered.url)
        finally:
            await recovered.close()

    try:
        await daemon.start()
        times = rounds(quick=1, long=30)
        looked, lost = await cut_again_and_again(machine, daemon, ledger, rng, times, look)
        await daemon.kill()
    finally:
        await server.close()
    tally(messages=len(ledger.acked), faults=times, looked_for=looked, lost=len(lost))
    assert not lost
