"""The IMAP source on a real Dovecot: encryption and sign-in, bytes, mailboxes, restarts, renumbered mailboxes."""

from __future__ import annotations

import asyncio
import random
import shutil
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from channels import _mime
from channels.imap import ImapSettings, ImapSource
from router.errors import SourceRejected, SourceUnavailable
from router.intake import Intake
from router.interfaces import memory_cursors
from router.metrics import Metrics
from router.store.cursors import StoredCursor
from router.supervise import keep_running
from router.testing import RecordingIntake, until
from router.testing_sinks import sample_context
from tests.integration.dovecot import PASSWORD, USER, Dovecot, make_certificate
from tests.integration.proxy import Proxy
from tests.unit.channels.imap_reading import ended, mail, reading


@pytest.fixture(scope="module")
def running():
    """One server for all tests of this file that don't stop it."""
    with Dovecot.make() as server:
        yield server


@pytest.fixture
def dovecot(running):
    """The running server with an empty account."""
    shutil.rmtree(running.maildir(), ignore_errors=True)
    return running


@pytest.fixture(autouse=True)
def _password(monkeypatch):
    monkeypatch.setenv("IMAP_PASSWORD", PASSWORD)


def source_of(server, context=None, **changes):
    values = {"host": "127.0.0.1", "port": server.port, "tls": "none", "username": USER, "start": "all"}
    values |= {"password_env": "IMAP_PASSWORD"} | changes
    return ImapSource(ImapSettings.model_validate(values), context or sample_context(name="inbox"))


def originals(intake):
    return sorted(inbound.original for inbound in intake.taken.values())


# --- encryption and sign-in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_encrypted_and_verified(dovecot, tls):
    """With its authority known the server is trusted, by implicit TLS and by STARTTLS, and mail comes in."""
    dovecot.deliver(mail(1))
    port = {"implicit": dovecot.tls_port, "starttls": dovecot.port}[tls]
    source, intake = (
        source_of(dovecot, host="localhost", port=port, tls=tls, ca_file=str(dovecot.ca_file)),
        RecordingIntake(),
    )
    async with reading(source, intake):
        await until(lambda: originals(intake) == [mail(1)])


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize("fault", ["another authority", "another name", "no authority"])
async def test_a_certificate_that_cannot_be_trusted(dovecot, tmp_path, tls, fault):
    """A wrong authority or name is for a person, and the password isn't sent."""
    make_certificate(tmp_path)
    ca_file = {"another authority": str(tmp_path / "cert.pem"), "another name": str(dovecot.ca_file)}.get(fault, "")
    host = "127.0.0.1" if fault == "another name" else "localhost"
    port = {"implicit": dovecot.tls_port, "starttls": dovecot.port}[tls]
    source = source_of(dovecot, host=host, port=port, tls=tls, ca_file=ca_file)
    before = (dovecot.base / "log").read_text().count("Login:")
    error = await ended(source, RecordingIntake())
    assert isinstance(error, SourceRejected)
    assert "certificate" in str(error)
    assert (dovecot.base / "log").read_text().count("Login:") == before


async def test_a_wrong_password_is_for_a_person(dovecot, monkeypatch):
    """The server's refusal, a mere return value to aioimaplib, is an error with the server's reason."""
    monkeypatch.setenv("IMAP_PASSWORD", "wrong")
    error = await ended(source_of(dovecot), RecordingIntake())
    assert isinstance(error, SourceRejected)
    assert "refused the sign-in" in str(error)


async def test_an_unknown_mailbox_is_for_a_person(dovecot):
    """So is a mailbox that isn't there."""
    error = await ended(source_of(dovecot, mailbox="Nowhere"), RecordingIntake())
    assert isinstance(error, SourceRejected)
    assert "Nowhere" in str(error)


# --- bytes and mailboxes ----------------------------------------------------------------------------------------------


async def test_bytes_arrive_as_they_are(dovecot):
    """Stars, brackets, quotes, 8-bit and long lines: what aioimaplib's parser changes comes through unchanged."""
    odd = [
        b"Subject: *** SALE *** now (\r\n\r\n* 1 FETCH (UID 9 BODY[] {3}\r\nA1 OK )))\r\n",
        b'Subject: "(((\\\r\nMessage-ID: <1@b>\r\n\r\n' + bytes(b for b in range(1, 256) if b not in b"\r\n") + b"\r\n",
        b"Message-ID: <2@b>\r\n\r\n" + b"x" * 100_000 + b"\r\n",
        b"\r\n",
        b"x\r\n",
    ]
    for each in odd:
        dovecot.deliver(each)
    intake = RecordingIntake()
    async with reading(source_of(dovecot), intake):
        await until(lambda: len(intake.taken) == len(odd))
    assert originals(intake) == sorted(odd)


async def test_a_mailbox_with_an_odd_name_and_a_move(dovecot):
    """A mailbox with blanks, quotes and umlauts is read; taken mails move to another one, which is made."""
    dovecot.deliver(mail(1), mailbox='B&APw-ro &- "Co"')
    intake = RecordingIntake()
    async with reading(source_of(dovecot, mailbox='Büro & "Co"', move_to="Erledigt ✓"), intake):
        await until(lambda: dovecot.flags("Erledigt &JxM-") == ["S"])
    assert originals(intake) == [mail(1)]


async def test_a_large_mail_comes_through(dovecot):
    """A mail of 12 MB is taken byte for byte."""
    large = b"Message-ID: <a@b>\r\n\r\n" + (random.Random(1).randbytes(750).hex().encode() + b"\r\n") * 8000
    dovecot.deliver(large)
    dovecot.deliver(mail(2))
    intake = RecordingIntake()
    async with reading(source_of(dovecot), intake):
        await until(lambda: len(intake.taken) == 2)
    assert large in originals(intake)


# --- notifications, restarts ------------------------------------------------------------------------------------------


async def test_a_mail_that_lands_while_another_is_processed(dovecot):
    """The second of two is taken at once, though the server announced it while nobody idled (aioimaplib: 0 of 12)."""
    intake = RecordingIntake()
    async with reading(source_of(dovecot), intake):
        for number in range(0, 8, 2):
            intake.gate.clear()
            dovecot.deliver(mail(number))
            await until(lambda: intake.calls > len(intake.taken))
            dovecot.deliver(mail(number + 1))
            intake.gate.set()
            await until(lambda: len(intake.taken) == number + 2)  # noqa: B023 -- awaited before the next round
    assert intake.calls == 8


@asynccontextmanager
async def supervised(source, intake, log):
    """Run a source as the daemon does, with short pauses."""

    async def tell(kind, notice):
        raise AssertionError(notice.text)

    class Hurried(random.Random):
        def uniform(self, a, b):
            return 0.02

    task = asyncio.create_task(keep_running("inbox", source, intake.accept, tell=tell, rng=Hurried(), log=log))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_server_that_dies_twice_in_a_backlog_loses_nothing(log):
    """Four hundred mails wait; the server is killed in the middle, twice, and once while idle: all arrive once."""
    with Dovecot.make() as server:
        for number in range(400):
            server.deliver(mail(number))
        intake = RecordingIntake()
        async with supervised(source_of(server), intake, log):
            for threshold in (50, 200):
                await until(lambda: len(intake.taken) >= threshold)  # noqa: B023 -- awaited before the next round
                server.kill()
                server.start()
            await until(lambda: len(intake.taken) == 400)
            await until(lambda: server.flags().count("S") == 400)
            server.kill()
            server.start()
            server.deliver(mail(400))
            await until(lambda: len(intake.taken) == 401)
    assert originals(intake) == sorted(mail(number) for number in range(401))


async def test_a_server_that_is_killed_while_we_idle_is_noticed(log):
    """Over TLS too, where aioimaplib has no way to tell."""
    with Dovecot.make() as server:
        tls = {"host": "localhost", "port": server.tls_port, "tls": "implicit", "ca_file": str(server.ca_file)}
        proofs = []
        source = source_of(server, sample_context(name="inbox", on_proof=lambda: proofs.append(1)), **tls)
        end = asyncio.create_task(ended(source, RecordingIntake()))
        await until(lambda: proofs)
        server.kill()
        assert isinstance(await end, SourceUnavailable)


async def test_a_line_that_goes_dead_in_a_backlog_and_in_idle(dovecot, log):
    """Half-open connections, which nobody closes, are noticed and made anew: every mail arrives once."""
    for number in range(120):
        dovecot.deliver(mail(number))
    intake, proofs = RecordingIntake(), []
    context = sample_context(name="inbox", on_proof=lambda: proofs.append(1))
    async with Proxy(dovecot.port) as proxy:
        source = source_of(dovecot, context, port=proxy.port, timeout="1500ms", idle="20ms")
        async with supervised(source, intake, log):
            for threshold in (50, 120):
                await until(lambda: len(intake.taken) >= threshold)  # noqa: B023 -- awaited before the next round
                seen, proxy.dark = proxy.connections, True
                await until(lambda: proxy.connections > seen)  # noqa: B023 -- likewise
                proxy.dark = False
            proofs.clear()
            await until(lambda: proofs)
            await until(lambda: dovecot.flags().count("S") == 120)
    assert originals(intake) == sorted(mail(number) for number in range(120))


# --- renumbered -------------------------------------------------------------------------------------------------------


class Accepting:
    """The real `accept` on a real store, which remembers what it answered."""

    def __init__(self, store, log):
        limits = {"max_message_bytes": 10**6, "metrics": Metrics(), "log": log}
        self._intake = Intake(store, mail_id=_mime.mail_id, wake=lambda: None, **limits)
        self.receipts = []

    async def accept(self, inbound):
        self.receipts.append(await self._intake.accept(inbound))
        return self.receipts[-1]

    def count(self, *, copies):
        return sum(receipt.duplicate is copies for receipt in self.receipts)


@pytest.mark.parametrize(("start", "read_again"), [("new", 2), ("all", 4)])
async def test_a_renumbered_mailbox_forwards_nothing_twice(sqlite_store, log, start, read_again):
    """After a UIDVALIDITY change what is stored is recognised, with a Message-ID or without; what is new is taken.

    With `start: new` what nobody wanted before isn't wanted now, though its time of arrival got lost in the restore.
    """
    today = f"Date: {format_datetime(datetime.now(UTC))}\r\n".encode()
    old = b"Date: Mon, 04 Mar 2019 08:00:00 +0000\r\nMessage-ID: <old@b>\r\n\r\nold\r\n"
    nameless = b"From: scanner@example.org\r\n" + today + b"\r\nscan\r\n"
    intake, proofs = Accepting(sqlite_store, log), []
    cursors = {"cursor": lambda key: StoredCursor(sqlite_store, "inbox", key)}
    context = sample_context(name="inbox", on_proof=lambda: proofs.append(1), **cursors)
    with Dovecot.make() as server:
        server.deliver(old, flags="S")
        async with reading(source_of(server, context, start=start), intake):
            await until(lambda: proofs)
            for each in (today + mail(1), nameless, mail(2)):
                server.deliver(each)
            await until(lambda: server.flags() == ["S"] * 4)
        first = intake.count(copies=False)
        server.kill()
        server.renumber()
        server.deliver(mail(3))
        server.start()
        async with reading(source_of(server, context, start=start), intake):
            await until(lambda: server.flags() == ["S"] * 5)
    assert intake.count(copies=False) == first + 1
    assert intake.count(copies=True) == read_again


async def test_another_account_is_another_mailbox(dovecot):
    """A channel that is pointed at another server or account goes by `start` again, whatever UIDVALIDITY it has."""
    dovecot.deliver(mail(1))
    cursors = memory_cursors()
    for host in ("127.0.0.1", "localhost"):
        intake = RecordingIntake()
        context = sample_context(name="inbox", cursor=cursors)
        async with reading(source_of(dovecot, context, host=host), intake):
            await until(lambda: intake.calls == 1)  # noqa: B023 -- awaited before the next round
