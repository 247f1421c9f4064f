"""From a mailbox on a real Dovecot to the desks: in bad weather, and with mails as large as they come."""

from __future__ import annotations

import asyncio
from base64 import encodebytes

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, district, smtp_port, steer
from tests.acceptance.senders import NotTaken, by_smtp, mail, mail_message
from tests.integration.dovecot import PASSWORD, USER, Dovecot
from tests.integration.proxy import Proxy

WAITING = 60
LARGEST, TOO_LARGE = 24 * 1_048_576, 30 * 1_048_576  # octets; at most 26,214,400 are taken
BUSES = ADDRESSES["transportation"]


@pytest.fixture
def dovecot():
    """A mail server with an empty account."""
    with Dovecot.make() as server:
        yield server


def reads(folder, relay, port, **settings):
    """Return a district that reads Dovecot's account, all of it."""
    (folder / "password").write_text(PASSWORD, encoding="utf-8")
    configuration = district(folder, relay.port)
    channel = {"type": "imap", "host": "127.0.0.1", "port": port, "tls": "none", "username": USER, "start": "all"}
    configuration["channels"]["mailbox"] = channel | {"password_file": f"{folder}/password"} | settings
    return configuration


def large(token, octets, words):
    """Return a mail of about so many octets: a few words, and a file as base64."""
    content = encodebytes(bytes(range(256)) * (octets * 57 // 77 // 256))
    return mail(token, f"{words}\r\n{token}", extra=content.replace(b"\n", b"\r\n"))


@pytest.mark.case("N06")
async def test_a_server_that_dies_twice_and_a_line_that_goes_dead(
    daemons, tmp_path, relay, collector, ledger, dovecot, tally, record_testsuite_property
):
    """Sixty waiting mails come to their desk once each, byte for byte, whatever happens in the middle of a fetch.

    Twice the server is killed there, and once the line passes nothing on while nobody hangs up.
    """
    for _ in range(WAITING):
        token, data = mail_message(ledger, BUSES, steer("transportation"))
        dovecot.deliver(data)
        ledger.acked.add(token)
    async with Proxy(dovecot.port) as line:
        line.rest = 9_000
        daemon = daemons(tmp_path, reads(tmp_path, relay, line.port, timeout="1s", connect_timeout="1s"))
        await daemon.start()
        for _ in range(2):
            await _went_dark(line)
            dovecot.kill()
            line.rest, line.dark = 9_000, False
            await asyncio.to_thread(dovecot.start)
        await _went_dark(line)
        connections = line.connections
        await until(lambda: line.connections > connections, 60, "a new connection was made")
        line.dark = False
        audit = await until(
            lambda: None if (found := ledger.audit(collector.arrivals)).lost else found, 120, "everything arrived"
        )
        record_testsuite_property("connections", line.connections)
        assert (await daemon.settled())["messages"]["routed"] == WAITING
    tally(messages=WAITING, faults=3, copies=audit.copies, lost=len(audit.lost))
    assert (audit.unexpected, audit.corrupt, audit.duplicates) == ([], [], {})
    assert len(collector.at(BUSES)) == WAITING


async def _went_dark(line):
    async with asyncio.timeout(60):
        await line.went_dark.wait()
    line.went_dark.clear()


@pytest.mark.case("M03")
async def test_large_mails_by_mailbox(daemons, tmp_path, relay, collector, ledger, dovecot):
    """A mail of 24 MB arrives whole; of one of 30 MB a desk hears, and it stays, flagged; an ordinary one is first."""
    tokens = [ledger.new_token() for _ in range(3)]
    words = steer("transportation")
    largest = large("RT-largest-1-end", LARGEST, words)
    for data in (largest, large("RT-large-2-end", TOO_LARGE, words), mail(tokens[2], words)):
        dovecot.deliver(data)
    daemon = daemons(tmp_path, reads(tmp_path, relay, dovecot.port))
    await daemon.start()
    await relay.wait_for(3, 120)
    arrived = {each["Subject"].split()[0]: each for each in collector.arrivals}
    assert arrived["RT-largest-1-end"].original == largest
    assert "it has 31 MB, and at most 25 MB are taken" in arrived["RT-large-2-end"].words
    assert arrived["RT-large-2-end"]["Reply-To"] == "ana@home.example"
    await until(lambda: dovecot.flags() == ["F", "S", "S"], 30, dovecot.flags)


@pytest.mark.case("M03")
async def test_large_mails_by_smtp(daemon, relay, collector):
    """A mail of 24 MB arrives whole; one of 30 MB is refused, and its sender knows."""
    largest = large("RT-largest-1-end", LARGEST, steer("transportation"))
    port = smtp_port(daemon.configuration)
    await by_smtp(port, largest)
    with pytest.raises(NotTaken, match="552"):
        await by_smtp(port, large("RT-large-2-end", TOO_LARGE, ""))
    await relay.wait_for(1, 120)
    assert [each.original for each in collector.arrivals] == [largest]
