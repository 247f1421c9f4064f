"""A connection never waits for ever: every way a server or a line can fail ends in a sentence."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest

from channels._imap_connection import Connection, Line, Refusal
from router.errors import SourceRejected, SourceUnavailable
from router.testing import until, within
from tests.unit.channels.imap_server import FakeServer, hangs_up, is_silent, says

MAIL = b"Message-ID: <a@b>\r\n\r\nhello\r\n"


@asynccontextmanager
async def connected(server, **changes):
    """A connection that is signed in and has its mailbox open."""
    values = {"silence_s": 10.0, "connect_s": 10.0} | changes
    connection = await Connection.open(Line(host="127.0.0.1", port=server.port, **values))
    try:
        await connection.log_in("ana", "secret")
        await connection.select("INBOX")
        connection.expect_news()
        yield connection
    finally:
        await connection.aclose()


async def test_a_server_that_goes_away_in_idle_is_noticed_at_once():
    """Aioimaplib tells nobody about a lost connection; here whoever waits hears of it."""
    async with FakeServer.serving() as server, connected(server) as connection:
        idle = asyncio.create_task(connection.idle(3600))
        await until(lambda: server.sessions[0].idling)
        server.sessions[0].hang_up()
        with pytest.raises(SourceUnavailable, match="connection"):
            await within(asyncio.wait_for(idle, None))


@pytest.mark.parametrize("behaviour", [says("* BYE [UNAVAILABLE] shutting down"), hangs_up])
async def test_goodbye_in_place_of_idling(behaviour):
    """BYE, or a closed connection, where `+ idling` should come ends IDLE (aioimaplib #110 hangs for ever)."""
    async with FakeServer.serving() as server, connected(server) as connection:
        server.instead["IDLE"] = [behaviour]
        with pytest.raises(SourceUnavailable, match=r"goodbye: shutting down|closed"):
            await within(connection.idle(3600))


async def test_a_refused_idle_is_replaced_by_looking():
    """A server that offers IDLE and then refuses it is asked at intervals instead."""
    async with FakeServer.serving() as server, connected(server) as connection:
        server.instead["IDLE"] = [says("{tag} NO not here")]
        await within(connection.idle(3600))
        await within(connection.idle(0.01))
        assert (server.count("IDLE"), server.count("NOOP")) == (1, 1)


async def test_a_half_open_line_is_noticed_when_idle_ends():
    """A server that doesn't answer DONE is behind a dead line: the connection is given up."""
    async with FakeServer.serving() as server, connected(server, done_s=0.05) as connection:

        async def never_done(session, _tag, _arguments):
            session.send("+ idling")
            assert await session.line() == "DONE"

        server.instead["IDLE"] = [never_done]
        with pytest.raises(SourceUnavailable, match="silent"):
            await within(connection.idle(0.01))


async def test_a_time_out_burns_the_connection():
    """After one unanswered command nothing is sent on that connection again: answers could belong to either."""
    async with FakeServer.serving() as server, connected(server, silence_s=0.2) as connection:
        server.instead["SEARCH"] = [is_silent]
        for _ in range(2):
            with pytest.raises(SourceUnavailable):
                await within(connection.search("ALL"))
        assert server.count("SEARCH") == 1


@pytest.mark.parametrize("name", ["SEARCH", "FETCH", "STORE"])
async def test_new_mail_announced_during_any_command_is_not_forgotten(name):
    """EXISTS in the middle of another answer makes the next IDLE return at once (aioimaplib throws it away)."""
    async with FakeServer.serving(MAIL) as server, connected(server) as connection:
        server.instead[name] = [says("* 2 EXISTS", "{tag} OK done")]
        command = {
            "SEARCH": connection.search("ALL"),
            "FETCH": connection.fetch([1], "(UID BODY.PEEK[])"),
            "STORE": connection.add_flags([1], "\\Seen"),
        }
        await command.pop(name)
        for other in command.values():
            other.close()
        await within(connection.idle(3600))
        assert server.count("IDLE") == 0


async def test_new_mail_announced_in_one_segment_with_the_end_of_idle():
    """EXISTS that comes together with `OK Idle completed` counts for the next sweep."""
    async with FakeServer.serving() as server, connected(server) as connection:

        async def late(session, tag, _arguments):
            session.send("+ idling")
            await session.line()
            session.send("* 1 EXISTS", f"{tag} OK Idle completed.")

        server.instead["IDLE"] = [late]
        await within(connection.idle(0.01))
        await within(connection.idle(3600))
        assert server.count("IDLE") == 1


async def test_three_thousand_replies_in_one_segment():
    """A long answer is read whole and soon (aioimaplib recurses once per line and loses the connection)."""
    async with FakeServer.serving() as server, connected(server) as connection:
        lines = [f"* {n} FETCH (UID {n} FLAGS (\\Seen))" for n in range(1, 3001)]
        server.instead["FETCH"] = [says(*lines, "{tag} OK done")]
        found, senseless = await within(connection.fetch(range(1, 3001), "(UID FLAGS)"))
        assert (len(found), senseless) == (3000, 0)


@pytest.mark.parametrize("line", ["XYZ123 OK done", "nonsense", "* 1 FETCH (UID 1 BODY[] {99999999999999}"])
async def test_what_is_not_imap_ends_the_connection(line):
    """After an answer to another command, or plain nonsense, nothing that follows is believed."""
    async with FakeServer.serving() as server, connected(server, silence_s=0.3) as connection:
        server.instead["NOOP"] = [says(line)]
        server.capabilities = ""
        await connection.ask_capabilities()
        with pytest.raises(SourceUnavailable):
            await within(connection.idle(0.01))


async def test_a_refusal_leaves_the_connection_in_use():
    """NO and BAD, which are mere return values to aioimaplib, are raised; the next command works."""
    async with FakeServer.serving(MAIL) as server, connected(server) as connection:
        server.instead["SEARCH"] = [says("{tag} NO [LIMIT] slow down"), says("{tag} BAD what")]
        with pytest.raises(Refusal, match="slow down") as refused:
            await connection.search("ALL")
        assert refused.value.code == "LIMIT"
        with pytest.raises(Refusal, match="what"):
            await connection.search("ALL")
        assert await connection.search("ALL") == [1]


async def test_searches_name_no_charset():
    """Exchange refuses `CHARSET utf-8`, Yahoo calls it BAD: criteria are ASCII and none is named."""
    async with FakeServer.serving(MAIL) as server, connected(server) as connection:
        await connection.search("UNSEEN")
        assert server.said[-1].endswith(" UID SEARCH UNSEEN")


async def test_a_server_that_expects_the_secret_later_gets_it_later():
    """Without SASL-IR the sign-in waits for the server's `+`."""
    async with FakeServer.serving() as server:
        server.capabilities = "IMAP4rev1 AUTH=PLAIN"
        async with connected(server):
            assert server.said[1].endswith("AUTHENTICATE PLAIN")


async def test_plain_login_where_there_is_no_sasl():
    """An old server gets LOGIN with name and password quoted; what can't be said in ASCII isn't sent."""
    async with FakeServer.serving() as server:
        server.capabilities, server.password = "IMAP4rev1", 'a \\"b\\\\'
        connection = await Connection.open(Line(host="127.0.0.1", port=server.port))
        with pytest.raises(SourceRejected, match="ASCII"):
            await connection.log_in("ana", "ñ")
        await connection.log_in("ana maria", 'a "b\\')
        assert server.said[-1].endswith(r'LOGIN "ana maria" "a \"b\\"')
        await connection.aclose()


@pytest.mark.parametrize("greeting", ["* PREAUTH welcome", "* BYE full", "HTTP/1.1 400 Bad Request", "220 smtp ready"])
async def test_only_a_mail_server_that_greets_is_talked_to(greeting):
    """Another protocol, a goodbye, or a server that thinks we are signed in already: nothing is sent."""
    async with FakeServer.serving() as server:
        server.instead["GREETING"] = [says(greeting)]
        with pytest.raises(SourceUnavailable):
            await within(Connection.open(Line(host="127.0.0.1", port=server.port, connect_s=5)))
        assert server.said == []


async def test_nobody_there(free_port):
    """A closed port is a sentence, soon."""
    with pytest.raises(SourceUnavailable, match="refused"):
        await within(Connection.open(Line(host="127.0.0.1", port=free_port)))


async def test_what_follows_starttls_in_the_clear_is_not_believed():
    """Answers smuggled in behind the OK to STARTTLS end the connection before the secret is sent (CVE-2011-0411)."""
    async with FakeServer.serving() as server:
        server.instead["STARTTLS"] = [says("{tag} OK go", "* CAPABILITY IMAP4rev1 AUTH=PLAIN")]
        line = Line(host="127.0.0.1", port=server.port, starttls=True, connect_s=5)
        with pytest.raises(SourceUnavailable):
            await within(Connection.open(line))
        assert [line.split()[1] for line in server.said] == ["STARTTLS"]


async def test_a_server_that_refuses_starttls_gets_no_password():
    """There is no going on in the clear (django-helpdesk does)."""
    async with FakeServer.serving() as server:
        server.instead["STARTTLS"] = [says("{tag} NO not today")]
        with pytest.raises(SourceUnavailable, match="STARTTLS"):
            await within(Connection.open(Line(host="127.0.0.1", port=server.port, starttls=True)))
        assert len(server.said) == 1


async def test_nothing_secret_is_logged(caplog):
    """At DEBUG, where aioimaplib logs every byte, there is neither a secret nor a mail."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("aioimaplib.aioimaplib").setLevel(logging.DEBUG)
    async with FakeServer.serving(b"Subject: private\r\n\r\nvery private") as server, connected(server) as connection:
        await connection.fetch([1], "(UID BODY.PEEK[])")
    assert server.said
    for told in ("secret", "AGFuYQBzZWNyZXQ", "private", "c2VjcmV0"):
        assert told not in caplog.text
