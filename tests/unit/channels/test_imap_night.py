"""What goes wrong with a mailbox at night: restored from a backup, not open now, with a mail nobody can store."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.errors import SourceUnavailable
from router.interfaces import memory_cursors
from router.testing import FakeClock, RecordingIntake, until
from router.testing_sinks import sample_context
from tests.unit.channels.imap_reading import ended, mail, reading, source_of
from tests.unit.channels.imap_server import FakeServer, says


@pytest.fixture
def password(tmp_path):
    """A file with the scripted server's password."""
    (tmp_path / "password").write_text("secret\n")
    return tmp_path / "password"


def taken(intake):
    return sorted(inbound.original for inbound in intake.taken.values())


@pytest.mark.parametrize("start", ["new", "unseen", "all"])
async def test_a_mailbox_restored_with_its_old_numbers_strands_nothing(password, start):
    """A backup brings UIDVALIDITY back, and UIDs that were given before are given again: to mails that are new."""
    cursors, intake = memory_cursors(), RecordingIntake()
    async with FakeServer.serving(mail(1)) as server:
        context = sample_context(name="inbox", cursor=cursors)
        async with reading(source_of(server, password, context, start=start), intake):
            await until(lambda: server.sessions and server.sessions[0].idling)
            for number in (2, 3, 4):
                server.add(mail(number))
            await until(lambda: mail(4) in taken(intake) and server.sessions[0].idling)
        before = set(taken(intake))
        for uid in (3, 4):
            del server.mails[uid]
            server.flags.pop(uid, None)
        server.mails[3] = mail(5)
        async with reading(source_of(server, password, context, start=start), intake):
            await until(lambda: server.sessions[-1].idling)
            server.mails[4] = mail(6)
            server.sessions[-1].send("* 4 EXISTS")
            await until(lambda: server.flags.get(4) == "\\Seen")
    after = taken(intake)
    assert {*before, mail(5), mail(6)} <= set(after)
    assert len(after) == len(set(after))


async def test_a_renumbered_mailbox_hides_nothing_that_somebody_has_read(password):
    """What came while we were away is taken with `start: unseen`, too, though somebody read it in a mail program."""
    intake = RecordingIntake()
    async with FakeServer.serving(mail(1)) as server:
        context = sample_context(name="inbox")
        async with reading(source_of(server, password, context, start="unseen"), intake):
            await until(lambda: server.sessions and server.sessions[0].idling)
        server.uid_validity += 1
        server.add(mail(2))
        server.flags[2] = "\\Seen"
        async with reading(source_of(server, password, context, start="unseen"), intake):
            await until(lambda: server.sessions[-1].idling)
    assert mail(2) in taken(intake)


@pytest.mark.parametrize(
    "answer", ["{tag} BAD User is authenticated but not connected.", "{tag} NO Server Unavailable. 15"]
)
async def test_a_mailbox_that_its_server_cannot_open_now_needs_nobody(password, answer):
    """Exchange says so at SELECT while a mailbox is moved: tried again at once, and nobody is told to mend a name."""
    async with FakeServer.serving(mail(1)) as server:
        server.instead["SELECT"] = [says(answer)]
        source, intake = source_of(server, password), RecordingIntake()
        assert isinstance(await ended(source, intake), SourceUnavailable)
        async with reading(source, intake):
            await until(lambda: taken(intake) == [mail(1)])


async def test_a_server_that_announces_the_same_mails_for_ever_is_not_asked_for_ever(password):
    """One that says EXISTS in every answer, with nothing new there, is left in peace after the second look."""
    async with FakeServer.serving(mail(1)) as server:

        async def announces(session, tag, arguments):
            server.instead["SEARCH"].append(announces)
            session.send("* 1 EXISTS")
            await session.do_search(tag, arguments)

        server.instead["SEARCH"] = [announces]
        intake = RecordingIntake()
        async with reading(source_of(server, password), intake):
            await until(lambda: server.sessions and server.sessions[0].idling)
            server.add(mail(2))
            await until(lambda: mail(2) in taken(intake))


class Choking(RecordingIntake):
    """An intake that one mail is too much for, whatever the reason."""

    async def accept(self, inbound):
        """Take everything but that."""
        if b"poison" in inbound.original:
            self.calls += 1
            raise RuntimeError("unforeseen")
        return await super().accept(inbound)


async def test_a_mail_that_can_never_be_stored_is_told(password):
    """It holds up nobody, is tried for a while, and then a desk hears of it: it isn't tried in silence for ever."""
    clock = FakeClock()
    async with FakeServer.serving(mail(1, "poison"), mail(2)) as server:
        context, intake = sample_context(name="inbox", clock=clock), Choking()
        async with reading(source_of(server, password, context, idle="10ms"), intake):
            await until(lambda: server.flags.get(2) == "\\Seen")
            await until(lambda: intake.calls >= 7)
            assert 1 not in server.flags  # not before its time is over, however often it was tried
            clock.advance(timedelta(minutes=20))
            await until(lambda: "\\Flagged" in server.flags.get(1, ""))
    (notice,) = intake.holding("could not be taken in")
    assert b"could not be stored" in notice.original
    assert "\\Seen" not in server.flags[1]
