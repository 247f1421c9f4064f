"""Mails made to break whoever reads them, each followed by a good one: all are routed or held, kept as they came."""

from __future__ import annotations

import asyncio
import imaplib
import sqlite3
from collections import Counter
from hashlib import sha256
from itertools import cycle
from pathlib import Path

import asyncpg
import pytest

from channels._forward import can_be_spliced
from channels.maildir import make_maildir
from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, district, smtp_port, steer
from tests.acceptance.hostile import ALL, BURNING
from tests.acceptance.senders import NotTaken, by_smtp, mail
from tests.integration.dovecot import PASSWORD, USER, Dovecot

BUSES = ADDRESSES["transportation"]
CASES = [pytest.mark.case(case) for case in ("M01", "M02", "M03", "M04", "M05", "M06")]
PLACES = 128  # four batches: so many mails that came later may be forwarded before a good one
MANY_PLACES = 400  # in a backlog of a thousand, from which alarms are taken first
PATIENCE_S = 900  # on a machine that does much else; nothing waits so long when all is well
CORPORA = Path(__file__).parents[3] / "shared" / "data" / "mail"
FIERY = [data for data in BURNING.values() if data.count(b"\r") == data.count(b"\r\n")]
_ENDED = ("routed", "held")


def good(number):
    """Return a family's mail, which follows a hostile one."""
    return mail(f"RT-good-{number}-end", steer("transportation"), sender=f"family{number}@home.example")


def in_turn(hostile):
    """Return the hostile mails, each followed by a good one."""
    return [each for number, data in enumerate(hostile) for each in (data, good(number))]


async def rows(url, query):
    """Return what a store answers to a query, whoever uses it at the moment."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


async def stored(url):
    """Return what a store holds: of each original its SHA-256 and state."""
    query = "SELECT o.content, m.state FROM messages m JOIN originals o ON o.message_id = m.id"
    return {sha256(content).digest(): state for content, state in await rows(url, query)}


async def ends(daemon, relay, collector, sent, tally):
    """Wait for the end of everything, and check it; `sent` are the originals in the order in which they came."""
    url = daemon.configuration["store"]["url"]
    wanted = {sha256(data).digest(): number for number, data in enumerate(dict.fromkeys(sent))}
    await until(lambda: _decided(url, len(wanted)), PATIENCE_S, lambda: f"{len(wanted)} decided")
    ledger, states = await daemon.settled(PATIENCE_S), await stored(url)
    routed = {digest for digest in wanted if states.get(digest) == "routed"}
    arrived = [sha256(each.original).digest() for each in collector.arrivals if _is_route(each)]
    lost = [number for digest, number in wanted.items() if states.get(digest) not in _ENDED]
    tally(
        messages=len(wanted),
        lost=len(lost) + len(routed - set(arrived)),
        corrupt=len(set(arrived) - set(wanted)),
        copies=len(arrived) - len(set(arrived)),
    )
    assert lost == []
    assert set(states) == set(wanted)
    assert Counter(arrived) == Counter(routed)
    assert {ledger["deliveries"][state] for state in ("waiting", "unclear", "dead", "dropped")} == {0}
    assert [event for name in ("step_failed", "worker_failed", "school_failed") for event in daemon.events(name)] == []
    assert all(can_be_spliced(each.data) for each in relay.mails)  # a strict and a lax server read the same
    assert {command for command in relay.commands if command.startswith("RCPT")} <= {f"RCPT {to}" for to in _known()}
    return [wanted[digest] for digest in arrived]


async def _decided(url, count):
    [(number,)] = await rows(url, "SELECT count(*) FROM messages WHERE state <> 'undecided'")
    return number >= count


def _is_route(arrival):
    """Tell it by the bytes: the standard library's parser dies of some of these originals."""
    return b"\r\nX-Signpost-Department:" in arrival.data.partition(b"\r\n\r\n")[0]


def _known():
    return {*ADDRESSES.values(), "safety@maple.example"}


def assert_none_waited(order, sent, places=PLACES):
    """The good mails went on in their turn, whatever stood before them: counted by places, not by time."""
    goods = {number for number, data in enumerate(dict.fromkeys(sent)) if b"RT-good-" in data}
    place = {number: rank for rank, number in enumerate(order)}
    assert goods <= set(order)
    overtaken = {number: place[number] - number for number in goods if place[number] - number > places}
    assert overtaken == {}


@pytest.fixture
def hostile():
    """Every hostile mail."""
    return list(ALL.values())


def put(folder, mails):
    """Put mails into a Maildir, in this order."""
    make_maildir(folder)
    for number, data in enumerate(mails):
        (folder / "new" / f"1790000000.{number:06}.mx").write_bytes(data)


def cased(test):
    """Mark a test with all cases of hostile mail."""
    for mark in CASES:
        test = mark(test)
    return test


@cased
async def test_a_maildir_of_hostile_mails(daemons, tmp_path, relay, collector, hostile, tally):
    """Byte for byte in the forwarded mail or in the store; the good ones go on in their turn, and nothing fails."""
    sent = in_turn(hostile)
    put(tmp_path / "old-mail", sent)
    daemon = daemons(tmp_path, district(tmp_path, relay.port))
    await daemon.start()
    assert_none_waited(await ends(daemon, relay, collector, sent, tally), sent)


@pytest.mark.torture
@cased
async def test_a_mailbox_of_hostile_mails(daemons, tmp_path, relay, collector, hostile, tally):
    """The same from a real Dovecot: what its FETCH gives is what is kept and forwarded."""
    with Dovecot.make() as dovecot:
        for data in in_turn(hostile):
            dovecot.deliver(data)
        fetched = await asyncio.to_thread(_fetched, dovecot.port)
        (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
        configuration = district(tmp_path, relay.port)
        configuration["channels"]["mailbox"] = {
            "type": "imap", "host": "127.0.0.1", "port": dovecot.port, "tls": "none", "start": "all",
            "username": USER, "password_file": f"{tmp_path}/password",
        }  # fmt: skip
        daemon = daemons(tmp_path, configuration)
        await daemon.start()
        order = await ends(daemon, relay, collector, fetched, tally)
        assert_none_waited(order, fetched)
        await until(lambda: set(dovecot.flags()) == {"S"}, 60, dovecot.flags)


def _fetched(port):
    """Return what a mail program gets to see of every mail, in order."""
    with imaplib.IMAP4("127.0.0.1", port) as connection:
        connection.authenticate("PLAIN", lambda _challenge: f"\0{USER}\0{PASSWORD}".encode())
        connection.select("INBOX", readonly=True)
        _ok, [numbers] = connection.search(None, "ALL")
        found = [connection.fetch(number.decode(), "(BODY.PEEK[])")[1][0] for number in numbers.split()]
        return [each[1] if isinstance(each, tuple) else b"" for each in found]


@cased
async def test_hostile_mails_by_smtp(daemons, tmp_path, relay, collector, hostile, tally, postgres_url):
    """By the wire, into PostgreSQL: what isn't refused before the 250 ends as well; no command hides in a mail."""
    daemon = daemons(tmp_path, district(tmp_path, relay.port, store={"url": postgres_url.replace(":@", "@")}))
    await daemon.start()
    port, taken, refused = smtp_port(daemon.configuration), [], []
    for data in in_turn(hostile):
        try:
            await by_smtp(port, data)
            taken.append(data if data.endswith(b"\r\n") else data + b"\r\n")
        except NotTaken as refusal:
            refused.append(str(refusal))
    await ends(daemon, relay, collector, taken, tally)
    tally(refused=len(refused))
    assert {refusal.partition(" ")[0] for refusal in refused} == {"554"}  # bare line ends, and no mail at all
    assert len(refused) < len(hostile) / 4


@pytest.mark.case("M01")
async def test_mails_of_other_programs_tests(daemons, tmp_path, relay, collector, tally):
    """What other mail programs are tested with, spam and torture included: the same holds for every file."""
    if not CORPORA.is_dir():
        pytest.skip("the collections of other programs' test mails aren't on this machine")
    found = [path.read_bytes() for path in sorted(CORPORA.rglob("*")) if path.is_file()]
    sent = in_turn(dict.fromkeys(filter(None, found)))  # a file without an octet is refused by every source
    put(tmp_path / "old-mail", sent)
    daemon = daemons(tmp_path, district(tmp_path, relay.port))
    await daemon.start()
    assert_none_waited(await ends(daemon, relay, collector, sent, tally), sent, MANY_PLACES)


@pytest.mark.case("M02")
async def test_burning_mails_beside_ordinary_ones(daemons, tmp_path, relay, collector, tally, rounds):
    """Twenty at once, by several connections, with good ones beside them: everything ends, and no reader is lost."""
    daemon = daemons(tmp_path, district(tmp_path, relay.port))
    await daemon.start()
    port, sent = smtp_port(daemon.configuration), []
    for number in range(rounds(quick=1, long=20)):
        burning = [f"X-Number: {number}-{n}\r\n".encode() + data for n, data in zip(range(20), cycle(FIERY))]
        beside = [good(number * 20 + n) for n in range(20)]
        both = [each if each.endswith(b"\r\n") else each + b"\r\n" for each in (*burning, *beside)]
        await asyncio.gather(*(by_smtp(port, data) for data in both))
        sent += both
    await ends(daemon, relay, collector, sent, tally)
