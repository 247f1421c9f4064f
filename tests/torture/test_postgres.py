"""PostgreSQL comes to grief under a running daemon: it is killed, its disk fails, there is no room for its tables."""

from __future__ import annotations

import errno
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import func, select

from router.errors import StoreBusy
from router.store.engine import open_store
from router.store.tables import deliveries, messages
from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, district, smtp_port, steer
from tests.acceptance.load import Load
from tests.acceptance.senders import NotTaken, by_form, by_smtp, form_message, insist, mail_message
from tests.acceptance.test_faults import all_arrived
from tests.torture.disk import EVER, SYNCS, WRITES, Disk
from tests.torture.server import Server
from tests.torture.test_disk import refusal
from tests.torture.test_places import RELAYED, sound

RESUMES_S = 30  # after the server answers again
PATIENCE_S = 120
DESK = ADDRESSES["technology"], steer("technology")


def open_to_all(name):
    """Let the server, which runs as a user of its own, into a folder."""
    folder = Path(name)
    folder.chmod(0o755)
    return folder


@pytest.fixture
async def server(postgres):
    """A running server of our own; its disk can fail."""
    with tempfile.TemporaryDirectory(prefix="signpost-torture-", ignore_cleanup_errors=True) as name:
        folder = open_to_all(name)
        made = Server(postgres, folder / "socket", folder / "data")
        await made.make()
        made.disk = Disk(folder, folder / "data")
        made.env = made.disk.env
        await made.start()
        yield made
        made.disk.heal()
        await made.close()


@pytest.fixture
async def on_server(daemons, tmp_path, relay, server):
    """A running daemon on that server."""
    configuration = district(tmp_path, relay.port, store={"url": server.url})
    configuration["channels"].pop("old-mail")
    daemon = daemons(tmp_path, configuration)
    await daemon.start()
    return daemon


async def asked(server, query):
    """Return the one number that a query gives."""
    store = open_store(server.url, read_only=True)
    await store.open()
    try:
        return await store.read(lambda c: c.execute(query).scalar())
    finally:
        await store.close()


async def stored(server):
    """Return how many messages there are."""
    return await asked(server, select(func.count()).select_from(messages))


async def idle(server):
    """Return whether the server answers, and nothing waits in the store."""
    waits = select(func.count()).select_from(deliveries).where(deliveries.c.state == "waiting")
    with suppress(StoreBusy):
        return not await asked(server, waits)
    return False


async def taken(ledger, handing_over, token):
    """Hand it over until it is acknowledged, and note that."""
    await insist(handing_over)
    ledger.acked.add(token)


@pytest.mark.case("D03")
async def test_the_server_is_killed_under_load(
    on_server, server, collector, ledger, rng, rounds, tally, record_testsuite_property
):
    """Killed, and ended at once, in turn: 503 and 451 meanwhile; then the daemon goes on within 30 s, by itself."""
    times, slowest = rounds(quick=2, long=40), 0.0
    async with Load(on_server, ledger, rng, ways=("form", "smtp"), desks=RELAYED) as load:
        for turn in range(times):
            load.allow(20)
            await load.reach("acknowledged", load.counts["acknowledged"] + rng.randint(1, 12))
            await server.end((signal.SIGKILL, signal.SIGQUIT)[turn % 2])
            token, fields = form_message(ledger, *DESK)
            other, data = mail_message(ledger, *DESK)
            with pytest.raises(NotTaken, match=r"^503"):
                await by_form(on_server.url, fields, key=token)
            with pytest.raises(NotTaken, match=r"^451"):
                await by_smtp(smtp_port(on_server.configuration), data)
            await server.start()
            began = monotonic()
            await taken(ledger, lambda: by_form(on_server.url, fields, key=token), token)  # noqa: B023
            await taken(ledger, lambda: by_smtp(smtp_port(on_server.configuration), data), other)  # noqa: B023
            slowest = max(slowest, monotonic() - began)
            await load.all_acknowledged()
            await all_arrived(collector, ledger, PATIENCE_S)
    audit = await all_arrived(collector, ledger, 10)
    record_testsuite_property("seconds until it goes on", round(slowest, 1))
    tally(messages=len(ledger.acked), faults=times, copies=audit.copies, **sound(audit))
    assert slowest < RESUMES_S
    assert audit.copies == 0
    assert await stored(server) == len(ledger.sent)
    assert on_server.running


@pytest.mark.case("D05")
@pytest.mark.case("D06")
async def test_the_nth_call_of_the_server_fails(on_server, server, collector, ledger, rng, rounds, tally):
    """The 1st, 2nd, 3rd … write or fsync of PostgreSQL fails: it starts anew, and nothing is lost or done twice."""
    step, most, faults, refused, nth = rounds(quick=0, long=1), rounds(quick=24, long=200), 0, 0, 0
    while nth < most:
        token, fields = form_message(ledger, *DESK)
        server.disk.fail(WRITES | SYNCS, errno.EIO, after=nth)
        refused += bool(await refusal(by_form(on_server.url, fields, key=token)))
        await taken(ledger, lambda: by_form(on_server.url, fields, key=token), token)  # noqa: B023
        await all_arrived(collector, ledger, PATIENCE_S)
        await until(lambda: idle(server), PATIENCE_S, "nothing waits any more")
        if not server.disk.heal():
            break
        faults += 1
        nth += step or rng.randint(5, 9)
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=len(ledger.acked), faults=faults, refused=refused, copies=audit.copies, **sound(audit))
    assert faults
    assert refused
    assert audit.copies == 0
    assert await stored(server) == len(ledger.sent)
    assert on_server.running


@pytest.mark.case("D07")
async def test_no_room_for_the_tables(on_server, server, collector, ledger, rng, tally):
    """Refused while no table can grow; with room again the same messages are taken, and each arrives once."""
    tables = Disk(server.folder.parent, server.data / "base")  # another prefix; PostgreSQL's log has its room set aside
    tables.fail(WRITES, errno.ENOSPC, times=EVER)
    refused = {}
    for _ in range(60):
        token, fields = form_message(ledger, *DESK)
        fields["message"] += rng.randbytes(7_000).hex()  # it has to be given room of its own
        said = await refusal(by_form(on_server.url, fields, key=token))
        if said:
            assert said.startswith("503"), said
            refused[token] = fields
        else:
            ledger.acked.add(token)
        if len(refused) == 5:
            break
    assert refused
    failed = tables.heal()
    for token, fields in refused.items():
        await taken(ledger, lambda: by_form(on_server.url, fields, key=token), token)  # noqa: B023
    audit = await all_arrived(collector, ledger, PATIENCE_S)
    tally(messages=len(ledger.acked), faults=1, failed_writes=failed, copies=audit.copies, **sound(audit))
    assert audit.copies == 0
    assert await stored(server) == len(ledger.sent)
    assert on_server.running
