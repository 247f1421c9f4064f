"""SIGTERM while a hundred mails are on their way to mail servers that are slow to confirm."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from router.testing_smtp import SmtpServer, smtp_server
from tests.acceptance.daemon import STOP_S, free_port, until
from tests.acceptance.district import district, relay
from tests.acceptance.load import Load
from tests.acceptance.test_faults import all_arrived
from tests.torture.test_places import RELAYED, sound

HUNDRED, EACH = 100, 50  # mails under way; and how many connections a relay opens at most


class Slow(SmtpServer):
    """A mail server that has the mails and confirms none until `let_go`."""

    def __init__(self):
        super().__init__()
        self.let_go = asyncio.Event()
        self.under_way = 0

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  aiosmtpd's name
        """Confirm, sooner or later."""
        self.under_way += 1
        await self.let_go.wait()
        return await super().handle_DATA(server, session, envelope)


@pytest.fixture
async def slow(collector):
    """Two such servers."""
    async with smtp_server(port=free_port(), double=Slow()) as one, smtp_server(port=free_port(), double=Slow()) as two:
        collector.add(one)
        yield one, collector.add(two)
        for each in (one, two):
            each.let_go.set()


@pytest.mark.case("D10")
async def test_a_stop_with_a_hundred_under_way(slow, daemons, tmp_path, collector, ledger, rng, tally):
    """It takes nothing more in and waits for the answers: exit status 0 within half a minute, each mail sent once."""
    configuration = district(tmp_path, slow[0].port)
    for name, server in zip(("relay", "relay-two"), slow, strict=True):
        configuration["channels"][name] = relay(server.port, connections=EACH)
    for name in ("transportation", "technology"):
        configuration["departments"][name]["deliver"][0]["via"] = "relay-two"
    daemon = daemons(tmp_path, configuration)
    await daemon.start()
    async with Load(daemon, ledger, rng, ways=("form", "smtp"), desks=RELAYED, at_once=20) as load:
        load.allow(3 * HUNDRED)
        await until(lambda: sum(each.under_way for each in slow) >= HUNDRED, 120, "a hundred are under way")
        await load.all_acknowledged(120)
    began, stopping = monotonic(), asyncio.create_task(daemon.stop())
    await until(lambda: daemon.events("stopping"), 30, "it is stopping")
    for each in slow:
        each.let_go.set()
    await stopping
    assert monotonic() - began < STOP_S
    assert daemon.children_left() == []
    await daemon.start()
    audit = await all_arrived(collector, ledger, 120)
    await daemon.settled()
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=len(ledger.acked), faults=1, copies=audit.copies, **sound(audit))
    assert audit.copies == 0
