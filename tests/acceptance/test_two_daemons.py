"""Two daemons on one PostgreSQL: a mailbox is read by one of them, and by the other soon after the first is gone."""

from __future__ import annotations

import signal
from time import monotonic

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, district, steer
from tests.acceptance.senders import mail_message
from tests.acceptance.test_faults import all_arrived
from tests.integration.dovecot import PASSWORD, USER, Dovecot

TAKEN_OVER_S = 30  # what the documentation promises
MAILBOX = "families"


@pytest.fixture
def dovecot():
    """A mail server with one mailbox."""
    with Dovecot.make() as server:
        yield server


@pytest.fixture
async def two(daemons, tmp_path, relay, postgres_url, dovecot):
    """Two daemons that both read the same mailbox, ready, on one database."""
    made = []
    for name in ("one", "other"):
        configuration = district(tmp_path, relay.port, store={"url": postgres_url.replace(":@", "@")})
        configuration["channels"].pop("old-mail")
        configuration["channels"][MAILBOX] = {
            "type": "imap",
            "host": "127.0.0.1",
            "port": dovecot.port,
            "tls": "none",
            "username": USER,
            "password_env": "MAILBOX_PASSWORD",
            "start": "all",
        }
        folder = tmp_path / name
        folder.mkdir()
        made.append(daemons(folder, configuration, MAILBOX_PASSWORD=PASSWORD, XDG_RUNTIME_DIR=str(folder)))
        await made[-1].start()
    return made


def times_taken(daemon):
    """Return how often a daemon has begun to read the mailbox."""
    return len([event for event in daemon.events("mailbox_taken") if event["channel"] == MAILBOX])


@pytest.mark.case("D08")
async def test_the_owner_is_frozen_then_its_successor_killed(
    two, dovecot, collector, ledger, record_testsuite_property
):
    """Each time the other daemon takes the mailbox over within half a minute, and every mail arrives once.

    The one that was frozen finds itself replaced when it wakes up, and is there when it is needed again.
    """

    async def deliver(count):
        for _ in range(count):
            token, data = mail_message(ledger, ADDRESSES["transportation"], steer("transportation"))
            dovecot.deliver(data)
            ledger.acked.add(token)

    async def take_over(successor, before, what):
        began = monotonic()
        await until(lambda: times_taken(successor) > before, TAKEN_OVER_S, f"taken over after {what}")
        record_testsuite_property(f"seconds until taken over after {what}", round(monotonic() - began, 1))

    await deliver(20)
    await until(lambda: any(times_taken(daemon) for daemon in two), 30, "somebody reads")
    owner, successor = sorted(two, key=times_taken, reverse=True)
    assert times_taken(successor) == 0
    await all_arrived(collector, ledger, 60)
    await owner.settled()

    owner.signal(signal.SIGSTOP)
    await deliver(10)
    await take_over(successor, 0, "SIGSTOP")
    await all_arrived(collector, ledger, 60)
    owner.signal(signal.SIGCONT)
    await until(lambda: owner.events("mailbox_lost") or owner.events("source_down"), 30, "it knows")
    await deliver(10)
    await all_arrived(collector, ledger, 60)
    await successor.settled()
    before = times_taken(owner)

    await successor.kill()
    await deliver(10)
    await take_over(owner, before, "kill -9")
    audit = await all_arrived(collector, ledger, 60)

    counts = await owner.settled()
    assert audit.duplicates == {}
    assert counts["messages"]["received"] == 50
    [row] = [row for row in counts["channels"] if row["channel"] == MAILBOX]
    assert (row["health"], row["error"]) == ("well", "")
