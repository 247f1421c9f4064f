"""Another configuration while a mailbox is being read: by one daemon in the middle of a fetch, and by one of two."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, steer
from tests.acceptance.reloading import DESK, change, send_form, streams
from tests.acceptance.senders import mail_message
from tests.acceptance.test_faults import all_arrived
from tests.acceptance.test_mailbox import reads
from tests.acceptance.test_two_daemons import MAILBOX, times_taken, two
from tests.integration.dovecot import Dovecot
from tests.integration.proxy import Proxy

__all__ = ["two"]  # a fixture
WAITING, MORE = 60, 5


@pytest.fixture
def dovecot():
    """A mail server with an empty account."""
    with Dovecot.make() as server:
        yield server


def delivers(dovecot, ledger):
    """Return a function that puts so many mails into the mailbox."""

    def deliver(count):
        for _ in range(count):
            token, data = mail_message(ledger, ADDRESSES[DESK], steer(DESK))
            dovecot.deliver(data)
            ledger.acked.add(token)

    return deliver


async def test_a_backlog_is_read_on_by_new_settings(daemons, tmp_path, relay, collector, ledger, dovecot):
    """Three times the mailbox gets other settings while a fetch of its is half through, and once another name.

    Every mail arrives once. A reload that doesn't concern the mailbox leaves its connection alone.
    """
    deliver = delivers(dovecot, ledger)
    deliver(WAITING)
    async with Proxy(dovecot.port) as line:
        line.rest = 9_000
        daemon = daemons(tmp_path, reads(tmp_path, relay, line.port))
        await daemon.start()
        channels = daemon.configuration["channels"]
        for number in range(4):
            async with asyncio.timeout(60):
                await line.went_dark.wait()
            line.went_dark.clear()
            deliver(MORE)
            if number < 3:
                channels["mailbox"]["keepalive"] = f"{50 + number}s"
            else:
                channels["families"] = channels.pop("mailbox")
            connections = line.connections
            outcome = await change(daemon)
            assert outcome["changed"] == (["mailbox"] if number < 3 else [])
            line.rest, line.dark = 9_000 if number < 3 else None, False
            await until(lambda: line.connections > connections, 30, "it is read by the new settings")  # noqa: B023
        await all_arrived(collector, ledger, 120)
        connections = line.connections
        channels["relay"]["connections"] = 2
        deliver(WAITING)
        assert (await change(daemon))["changed"] == ["relay"]
        audit = await all_arrived(collector, ledger, 120)
        assert line.connections == connections
        assert (await daemon.settled())["messages"]["received"] == len(ledger.acked)
    assert audit.duplicates == {}
    assert set(dovecot.flags()) == {"S"}


async def test_two_daemons_change_while_messages_flow(two, dovecot, collector, ledger):
    """Each gets another relay, other pages and other settings of the mailbox, three times; each message arrives once.

    The mailbox is always read, by whichever of them has it.
    """
    deliver = delivers(dovecot, ledger)
    deliver(WAITING)
    async with streams(*(lambda daemon=daemon: send_form(daemon, ledger) for daemon in two)) as more:
        for number in range(3):
            for daemon in two:
                await more()
                deliver(MORE)
                channels = daemon.configuration["channels"]
                channels["relay"]["connections"] = 1 + number % 2
                channels[MAILBOX]["keepalive"] = f"{50 + number}s"
                daemon.configuration["departments"][DESK]["name"] = f"Buses {number}"
                daemon.write_configuration()
                daemon.signal(signal.SIGHUP)
                await until(
                    lambda: len(daemon.events("configuration_reloaded")) > number,  # noqa: B023
                    60,
                    "it uses the new configuration",
                )
        await more()
    audit = await all_arrived(collector, ledger, 120)
    assert audit.duplicates == {}
    assert not any(daemon.events("configuration_refused") for daemon in two)
    assert sum(map(times_taken, two)) >= 3
    deliver(1)
    await all_arrived(collector, ledger, 60)
    counts = await two[0].settled()
    assert counts["messages"]["received"] == counts["messages"]["routed"] == len(ledger.acked)
    assert set(dovecot.flags()) == {"S"}
