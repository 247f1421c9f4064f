"""The disk under SQLite fails: a call now and then, each in turn, or every write until there is room again."""

from __future__ import annotations

import errno

import aiohttp
import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS, district, smtp_port, steer
from tests.acceptance.ledger import Sent
from tests.acceptance.load import Load
from tests.acceptance.senders import NotTaken, by_form, by_smtp, form_message, insist, mail_message
from tests.acceptance.test_faults import all_arrived
from tests.integration.fake_twilio import text_parameters
from tests.torture.books import Books
from tests.torture.disk import SYNCS, WRITES, Disk
from tests.torture.test_places import RELAYED, sound
from tests.torture.test_places_apart import with_mailbox, with_texts
from tests.torture.test_random_kills import post_signed

PATIENCE_S = 120
KNOWS_ITS_PLACE = "SELECT count(*) FROM cursors WHERE channel = 'mailbox'"


@pytest.fixture
def disk(tmp_path):
    """The disk that holds the store; the log, the configuration and the desks' mail lie elsewhere."""
    return Disk(tmp_path, tmp_path / "signpost.db")


@pytest.fixture
async def on_disk(daemons, tmp_path, relay, disk):
    """A running daemon whose store is on that disk."""
    daemon = daemons(tmp_path, district(tmp_path, relay.port), **disk.env)
    await daemon.start()
    return daemon


@pytest.fixture
def books(on_disk, relay):
    """Its books."""
    return Books(on_disk, relay)


async def refusal(handing_over):
    """Return what somebody was told who wasn't acknowledged, "" if they were."""
    try:
        await handing_over
    except NotTaken as error:
        return str(error)
    return ""


def whole(books):
    """Return whether the file is in order, and every delivery belongs to a message that has a decision."""
    orphans = "SELECT count(*) FROM deliveries d LEFT JOIN messages m ON m.id = d.message_id WHERE m.id IS NULL"
    undecided = "SELECT count(*) FROM messages WHERE state = 'routed' AND decision_id IS NULL"
    return books.ask("PRAGMA integrity_check") == [("ok",)] and not books.number(orphans) + books.number(undecided)


@pytest.mark.case("D06")
async def test_the_nth_call_fails(on_disk, disk, books, collector, ledger, relay, rng, rounds, tally):
    """The 1st, 2nd, 3rd … write or fsync on a message's way fails, until none does: refused or done, never half."""
    step, faults, refused = rounds(quick=0, long=1), 0, 0
    nth = 0
    while True:
        department = RELAYED[nth % len(RELAYED)]
        token, fields = form_message(ledger, ADDRESSES[department], steer(department))
        disk.fail(WRITES | SYNCS, errno.EIO, after=nth)
        said = await refusal(by_form(on_disk.url, fields, key=token))
        if said:
            assert said.startswith("503"), said
            refused += 1
            await insist(lambda: by_form(on_disk.url, fields, key=token))  # noqa: B023 -- awaited here
        ledger.acked.add(token)
        await books.settled(PATIENCE_S)
        if not disk.heal():
            break
        faults += 1
        nth += step or rng.randint(8, 16)
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=len(ledger.acked), faults=faults, refused=refused, copies=audit.copies, **sound(audit))
    assert refused
    assert faults > refused
    assert audit.copies == 0
    assert books.number("SELECT count(*) FROM messages") == len(ledger.sent)
    assert whole(books)
    assert on_disk.running


@pytest.mark.case("D05")
async def test_fsync_fails_once(on_disk, disk, books, collector, ledger, rng, rounds, tally):
    """Once, at a seeded moment under load, then `kill -9`: who was acknowledged is there after the next start."""
    times, doubted = rounds(quick=3, long=60), 0
    faults = 0
    async with Load(on_disk, ledger, rng, ways=("form", "smtp"), desks=RELAYED) as load:
        for _ in range(times):
            disk.fail(SYNCS, errno.EIO, after=rng.randint(0, 12))
            load.allow(12)
            await load.all_acknowledged()
            await until(lambda: disk.failed, PATIENCE_S, "it has failed")
            faults += disk.heal()
            await on_disk.kill()
            doubted += await books.note_doubts()
            await on_disk.start()
            await books.settled(PATIENCE_S)
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=len(ledger.acked), faults=2 * times, ambiguous=doubted, copies=audit.copies, **sound(audit))
    assert faults == times
    assert audit.copies <= doubted
    assert books.number("SELECT count(*) FROM messages") == len(ledger.sent)
    assert whole(books)


@pytest.mark.case("D05")
async def test_an_fsync_that_fails_is_no_acknowledgement(on_disk, disk, books, collector, ledger, tally):
    """The one of the very commit: 503 to the form, 451 to the mail server; the same again is taken, once."""
    said = []
    for make, way in ((form_message, _form), (mail_message, _smtp)):
        token, content = make(ledger, ADDRESSES["technology"], steer("technology"))
        before = books.number("SELECT count(*) FROM messages")
        disk.fail(SYNCS, errno.EIO, times=1000)
        said.append((await refusal(way(on_disk, token, content)))[:3])
        assert disk.heal()
        assert books.number("SELECT count(*) FROM messages") == before
        await insist(lambda: way(on_disk, token, content))  # noqa: B023 -- awaited here
        ledger.acked.add(token)
    await books.settled(PATIENCE_S)
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=2, faults=2, refused=2, copies=audit.copies, **sound(audit))
    assert said == ["503", "451"]
    assert books.number("SELECT count(*) FROM messages") == 2
    assert audit.copies == 0


async def _form(daemon, token, fields):
    await by_form(daemon.url, fields, key=token)


async def _smtp(daemon, _token, data):
    await by_smtp(smtp_port(daemon.configuration), data)


@pytest.fixture
async def with_all_ways(daemons, tmp_path, relay, disk, dovecot):
    """A running daemon on that disk, that also reads a mailbox and takes texts."""
    configuration = district(tmp_path, relay.port)
    texts = with_texts(configuration)
    mailbox = with_mailbox(configuration, dovecot.port)
    daemon = daemons(tmp_path, configuration, **texts, **mailbox, **disk.env)
    await daemon.start()
    return daemon


@pytest.mark.case("D07")
async def test_the_disk_is_full_for_a_while(with_all_ways, disk, collector, ledger, relay, dovecot, rng, tally):
    """No way in acknowledges anything, what was stays; with room again all goes on by itself, and each arrives once."""
    daemon, books = with_all_ways, Books(with_all_ways, relay)
    to, words = ADDRESSES["technology"], steer("technology")
    async with Load(daemon, ledger, rng, ways=("form", "smtp"), desks=RELAYED) as load:
        load.allow(10)
        await load.reach("acknowledged", 5)
        await until(lambda: books.number(KNOWS_ITS_PLACE), PATIENCE_S, "the mailbox is read")  # else that fails first
        disk.fill()
        stored = books.number("SELECT count(*) FROM messages")
        form, fields = form_message(ledger, to, words)
        mail, data = mail_message(ledger, to, words)
        in_mailbox, lying = mail_message(ledger, to, words)
        text = ledger.new_token()
        ledger.hand_in(Sent(text, to, f"{words} {text}"))
        parameters = text_parameters(1, f"{words} {text}")
        dovecot.deliver(lying)
        ways = (
            lambda: by_form(daemon.url, fields, key=form),
            lambda: by_smtp(smtp_port(daemon.configuration), data),
            lambda: post_signed(f"{daemon.url}/webhooks/text-line", parameters),
        )
        said = [(await refusal(way()))[:3] for way in ways]
        wait_s = await retry_after(daemon, fields)
        await until(lambda: left(daemon, "mailbox"), PATIENCE_S, "it has tried to take the mail")
        flags = dovecot.flags()
        assert books.number("SELECT count(*) FROM messages") == stored
        failed = disk.heal()
        for way in ways:
            await insist(way)
        ledger.acked |= {form, mail, text, in_mailbox}
        load.allow(10)
        await load.all_acknowledged()
    audit = await all_arrived(collector, ledger, PATIENCE_S)
    await books.settled(PATIENCE_S)
    tally(messages=len(ledger.acked), faults=1, failed_writes=failed, copies=audit.copies, **sound(audit))
    assert said == ["503", "451", "503"]
    assert wait_s > 0
    assert not any("S" in each for each in flags)
    assert audit.copies == 0
    assert whole(books)
    assert daemon.running


@pytest.mark.case("D07")
async def test_nobody_was_told_that_the_disk_is_full(on_disk, disk, collector, tally):
    """Staff are told once, by a way that needs no store, and once when it is over; nobody is taken for dead."""

    def subjects():
        return [each["Subject"] for each in collector.on_shelf(ALERTS)]

    disk.fill()
    await until(subjects, PATIENCE_S, "people are told")
    status, why = await readiness(on_disk)
    assert (status, "disk is full" in str(why)) == (503, True)
    assert disk.heal()
    await until(lambda: len(subjects()) > 1 and on_disk.events("store_takes_again"), PATIENCE_S, "it is over")
    tally(faults=1, alerts=len(subjects()))
    assert sorted(subjects()) == ["Signpost can't store messages", "Signpost stores messages again"]
    assert on_disk.events("taken_for_dead") == []
    assert len(on_disk.events("store_takes_nothing")) == len(on_disk.events("store_takes_again")) == 1
    assert (await readiness(on_disk))[0] == 200


async def readiness(daemon):
    """Return how `/readyz` answers, and its reasons."""
    async with aiohttp.ClientSession() as client, client.get(f"{daemon.url}/readyz") as answer:
        return answer.status, (await answer.json())["reasons"]


def left(daemon, channel):
    """Return whether a channel couldn't hand over what it has."""
    return any(each["channel"] == channel for each in daemon.events("messages_left_for_later"))


async def retry_after(daemon, fields):
    """Return after how many seconds a form that is refused should be sent again, 0 if nothing is said of it."""
    async with aiohttp.ClientSession() as client, client.post(f"{daemon.url}/forms/contact", json=fields) as answer:
        return int(answer.headers.get("Retry-After", 0))
