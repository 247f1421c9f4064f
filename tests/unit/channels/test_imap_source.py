"""What a mailbox hands out is taken once, whatever the server does: sweeps, positions, one bad mail among good ones."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from router.errors import Malformed, SourceRejected, SourceUnavailable, StoreBusy
from router.testing import FakeClock, RecordingIntake, until
from router.testing_sinks import sample_context
from tests.unit.channels.imap_reading import ended, mail, reading, source_of
from tests.unit.channels.imap_server import FakeServer, hangs_up, says


@pytest.fixture
def password(tmp_path):
    """A file with the scripted server's password."""
    (tmp_path / "password").write_text("secret\n")
    return tmp_path / "password"


async def as_usual(session, tag, arguments):
    """Answer a FETCH as always."""
    await session.do_fetch(tag, arguments)


def taken(intake):
    return sorted(inbound.original for inbound in intake.taken.values())


@pytest.mark.parametrize(("start", "expected"), [("new", []), ("unseen", [2]), ("all", [1, 2])])
async def test_what_the_first_connection_takes(password, start, expected):
    """New takes nothing that is there, unseen what nobody has read, all everything; later mail is always taken."""
    async with FakeServer.serving(mail(1), mail(2)) as server:
        server.flags[1] = "\\Seen"
        intake = RecordingIntake()
        async with reading(source_of(server, password, start=start), intake):
            await until(lambda: server.sessions and server.sessions[0].idling)
            assert taken(intake) == [mail(n) for n in expected]
            server.add(mail(3))
            await until(lambda: mail(3) in taken(intake))
            await until(lambda: "\\Seen" in server.flags.get(3, ""))
    assert taken(intake) == [mail(n) for n in [*expected, 3]]


async def test_a_server_that_does_not_say_uidnext(password):
    """Where an old server gives no UIDNEXT, the highest UID serves."""
    async with FakeServer.serving(mail(1)) as server:
        server.instead["SELECT"] = [says("* OK [UIDVALIDITY 7] x", "{tag} OK in")]
        intake = RecordingIntake()
        async with reading(source_of(server, password, start="new"), intake):
            await until(lambda: server.sessions and server.sessions[0].idling)
            server.add(mail(2))
            await until(lambda: mail(2) in taken(intake))
    assert taken(intake) == [mail(2)]


async def test_what_came_while_we_were_away_is_taken_though_somebody_read_it(password):
    """The position counts, not the flags; what was taken before is not fetched again."""
    async with FakeServer.serving(mail(1)) as server:
        context, intake = sample_context(name="inbox"), RecordingIntake()
        for number in (2, 3):
            async with reading(source_of(server, password, context, start="new"), intake):
                await until(lambda: server.sessions and server.sessions[-1].idling)
            server.add(mail(number))
            server.flags[number] = "\\Seen"
        async with reading(source_of(server, password, context, start="new"), intake):
            await until(lambda: len(intake.taken) == 2)
    assert (taken(intake), intake.calls) == ([mail(2), mail(3)], 2)


async def test_the_echo_of_the_last_mail_is_not_taken_again(password):
    """`UID SEARCH UID n:*` finds the last mail even below n (RFC 3501); it is left alone."""
    async with FakeServer.serving(mail(1)) as server:
        intake = RecordingIntake()
        async with reading(source_of(server, password), intake):
            await until(lambda: server.sessions and server.sessions[0].idling)
            server.sessions[0].send("* 1 EXISTS")
            await until(lambda: server.count("SEARCH") >= 2 and server.sessions[0].idling)
    assert intake.calls == 1


@pytest.mark.parametrize(
    "cut",
    [
        lambda reply: [reply[: len(reply) // 2]],  # in the middle of a literal
        lambda reply: [reply],  # the tagged end is missing
        lambda reply: [b"* 1 FETCH (UID 1 BODY[] {70}\r\nabc"],
    ],
)
async def test_a_line_cut_in_a_fetch_loses_nothing(password, cut):
    """Whatever was half said when the connection broke is fetched again by the next one, whole."""
    async with FakeServer.serving(mail(1), mail(2)) as server:

        async def breaks(session, _tag, _arguments):
            for piece in cut(session.fetched(1, "BODY")):
                session.raw(piece)
            await session.writer.drain()
            session.writer.close()

        server.instead["FETCH"] = [as_usual, breaks]
        source, intake = source_of(server, password), RecordingIntake()
        assert isinstance(await ended(source, intake), SourceUnavailable)
        async with reading(source, intake):
            await until(lambda: len(intake.taken) == 2)
    assert taken(intake) == [mail(1), mail(2)]


async def test_one_malformed_answer_costs_one_mail_and_only_for_now(password):
    """A reply without sense leaves its mail for the next sweep, by itself; the others of the batch are taken."""
    async with FakeServer.serving(mail(1), mail(2), mail(3)) as server:

        async def garbles(session, tag, _arguments):
            session.raw(session.fetched(1, "BODY"))
            session.send('* 2 FETCH (UID 2 BODY[] "no end)')
            session.raw(session.fetched(3, "BODY"))
            session.send(f"{tag} OK done")

        server.instead["FETCH"] = [as_usual, garbles]
        intake = RecordingIntake()
        async with reading(source_of(server, password), intake):
            await until(lambda: len(intake.taken) == 2)
            assert mail(2) not in taken(intake)
            await until(lambda: len(intake.taken) == 3)
    assert intake.calls == 3


async def test_a_refused_fetch_is_tried_mail_by_mail(password):
    """Exchange answers NO to a whole batch for one mail it can't render; the others come through."""
    async with FakeServer.serving(mail(1), mail(2)) as server:
        server.instead["FETCH"] = [as_usual, says("{tag} NO Some messages could not be FETCHed (Failure)")]
        intake = RecordingIntake()
        async with reading(source_of(server, password), intake):
            await until(lambda: len(intake.taken) == 2)
    assert intake.calls == 2


async def test_a_mail_that_breaks_every_connection_holds_up_nobody(password):
    """It is tried alone, last, and again; the others come through, and after a while a notice takes its place."""
    clock = FakeClock()
    async with FakeServer.serving(mail(1), mail(2), mail(3)) as server:
        context, intake = sample_context(name="inbox", clock=clock), RecordingIntake()
        source = source_of(server, password, context)

        async def poison(session, tag, arguments):
            wanted, items = arguments.split(" ", 1)
            server.instead["FETCH"].append(poison)
            if "BODY" in items and 2 in session.among(wanted):
                session.hang_up()
            else:
                await session.do_fetch(tag, arguments)

        server.instead["FETCH"] = [poison]
        for number in range(10, 16):
            server.add(mail(number))
            assert isinstance(await ended(source, intake), SourceUnavailable)
            clock.advance(timedelta(minutes=5))
        assert taken(intake) == sorted(mail(n) for n in (1, 3, *range(10, 16)))
        async with reading(source, intake):
            await until(lambda: "\\Flagged" in server.flags.get(2, ""))
    (notice,) = intake.holding("could not be taken in")
    assert b"number 2" in notice.original
    assert "\\Seen" not in server.flags[2]


@pytest.mark.parametrize("failure", [StoreBusy("busy"), RuntimeError("unforeseen")])
async def test_what_cannot_be_stored_now_stays_unread_and_comes_later(password, failure):
    """A failing `accept` leaves the mail unflagged; the next sweep, a second later, takes it."""
    async with FakeServer.serving(mail(1)) as server:
        intake = RecordingIntake(failure)
        intake.gate.clear()
        async with reading(source_of(server, password), intake):
            await until(lambda: intake.calls)
            assert server.flags == {}
            intake.gate.set()
            await until(lambda: server.flags.get(1) == "\\Seen")
    assert taken(intake) == [mail(1)]


async def test_a_mail_that_is_too_large_is_announced(password):
    """A desk gets a notice from the same sender; the mail stays in the mailbox, unread and flagged."""
    large = b"From: Ana <ana@example.org>\r\nSubject: Photos\r\n\r\n" + b"x" * 2_000_000
    async with FakeServer.serving(large, mail(2)) as server:
        context, intake = sample_context(name="inbox", max_message_bytes=1_000_000), RecordingIntake()
        async with reading(source_of(server, password, context), intake):
            await until(lambda: "\\Flagged" in server.flags.get(1, ""))
    assert mail(2) in taken(intake)
    (notice,) = intake.holding("could not be taken in")
    assert b"Photos" in notice.original
    assert b"ana@example.org" in notice.original
    assert b"it has 2 MB" in notice.original
    assert server.flags[1] == "\\Flagged"


async def test_a_size_that_was_a_lie(password):
    """A mail that is larger than the server said is announced, too, and never held in memory as a whole."""
    async with FakeServer.serving(b"Subject: Photos\r\n\r\n" + b"x" * 5_000_000) as server:
        server.instead["FETCH"] = [says('* 1 FETCH (UID 1 RFC822.SIZE 10 INTERNALDATE "x")', "{tag} OK done")]
        context, intake = sample_context(name="inbox", max_message_bytes=1_000_000), RecordingIntake(Malformed("no"))
        async with reading(source_of(server, password, context), intake):
            await until(lambda: "\\Flagged" in server.flags.get(1, ""))
    assert len(intake.offered[0].original) == 1_000_001
    assert len(intake.holding("could not be taken in")) == 1


async def test_a_mail_that_vanishes_is_not_waited_for(password):
    """Somebody deletes a mail between the search and the fetch: the rest is taken, and nothing is tried for ever."""
    async with FakeServer.serving(mail(1), mail(2)) as server:

        async def deleted(session, tag, arguments):
            del server.mails[1]
            await session.do_fetch(tag, arguments)

        server.instead["FETCH"] = [as_usual, deleted]
        intake = RecordingIntake()
        async with reading(source_of(server, password), intake):
            await until(lambda: 2 in server.flags)
            await until(lambda: server.sessions[0].idling)
    assert taken(intake) == [mail(2)]


async def test_a_mailbox_that_takes_no_flags_is_read_all_the_same(password):
    """A refused STORE changes nothing: the position knows what was taken."""
    async with FakeServer.serving(mail(1)) as server:
        server.instead["STORE"] = [says("{tag} NO read-only")]
        intake = RecordingIntake()
        async with reading(source_of(server, password), intake):
            await until(lambda: server.sessions and server.sessions[0].idling)
            server.add(mail(2))
            await until(lambda: len(intake.taken) == 2)
    assert intake.calls == 2


@pytest.mark.parametrize(
    ("command", "answer", "kind"),
    [
        ("AUTHENTICATE", "{tag} NO [AUTHENTICATIONFAILED] Invalid credentials", SourceRejected),
        ("AUTHENTICATE", "{tag} NO no", SourceRejected),
        ("AUTHENTICATE", "{tag} NO [UNAVAILABLE] later", SourceUnavailable),
        ("AUTHENTICATE", "{tag} NO [ALERT] Too many simultaneous connections. (Failure)", SourceUnavailable),
        ("AUTHENTICATE", "{tag} BAD User is authenticated but not connected.", SourceUnavailable),
        ("SELECT", "{tag} NO [NONEXISTENT] Unknown Mailbox", SourceRejected),
        ("SELECT", "{tag} NO [UNAVAILABLE] later", SourceUnavailable),
        ("SEARCH", "{tag} NO [UNAVAILABLE] later", SourceUnavailable),
        ("FETCH", "{tag} NO [UNAVAILABLE] later", SourceUnavailable),
    ],
)
async def test_what_needs_a_person_and_what_passes(password, command, answer, kind):
    """A wrong password or mailbox is for a person; a busy server is only tried again. Nothing is lost by either."""
    async with FakeServer.serving(mail(1)) as server:
        server.instead[command] = [says(answer)]
        source, intake = source_of(server, password), RecordingIntake()
        assert type(await ended(source, intake)) in {kind, *kind.__subclasses__()}
        async with reading(source, intake):
            await until(lambda: taken(intake) == [mail(1)])


async def test_every_sweep_is_proof_of_life(password):
    """`on_proof` is called after each sweep, with mail or without."""
    async with FakeServer.serving() as server:
        proofs = []
        context = sample_context(name="inbox", on_proof=lambda: proofs.append(1))
        async with reading(source_of(server, password, context, idle="10ms"), RecordingIntake()):
            await until(lambda: len(proofs) > 2)


async def test_a_connection_that_dies_while_idle_ends_the_run(password):
    """The source ends, so that it is run again; it doesn't stay behind, green and deaf."""
    async with FakeServer.serving() as server:
        source, intake = source_of(server, password), RecordingIntake()
        running = asyncio.create_task(ended(source, intake))
        await until(lambda: server.sessions and server.sessions[0].idling)
        server.sessions[0].hang_up()
        assert isinstance(await running, SourceUnavailable)


async def test_a_missing_password_is_for_a_person(tmp_path):
    """A secret that isn't where the settings say is refused before anything is sent."""
    async with FakeServer.serving() as server:
        assert isinstance(await ended(source_of(server, tmp_path / "none"), RecordingIntake()), SourceRejected)
        assert server.count("AUTHENTICATE") == 0


async def test_hanging_up_at_once_is_unavailable(password):
    """A server that drops connections before greeting is tried again later."""
    async with FakeServer.serving() as server:
        server.instead["GREETING"] = [hangs_up]
        assert isinstance(await ended(source_of(server, password), RecordingIntake()), SourceUnavailable)
