"""A mail server that reads ahead is sent the envelope in one piece, and each reply is taken for what it answers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPDataError,
    SMTPReadTimeoutError,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from channels._smtp import Link, Patience
from router.errors import Unclear
from router.testing import within

HELLO = b"250-ahead.test\r\n250-PIPELINING\r\n250 SIZE 1000000\r\n"
GOOD = b"250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 go on\r\n"
QUEUED = b"250 2.0.0 OK: queued as Q1\r\n"
MAIL = b"Subject: hello\r\n\r\n.dots\r\n"
HANG_UP, STALL = b"", None


class Server:
    """Answers as it is told: to an envelope that came in one piece, then to the mail; and notes what it heard."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.envelopes, self.mails = [], []
        self.talking = set()

    async def talk(self, reader, writer):
        """Serve one connection."""
        self.talking.add(asyncio.current_task())
        writer.write(b"220 ahead.test\r\n")
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n")
            writer.write(HELLO)
            while self.answers and (envelope := await reader.read(65536)):
                self.envelopes.append(envelope)
                if await self._say(reader, writer) and b"354" in self._said:
                    self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                    await self._say(reader, writer)
            await reader.read()
        writer.transport.abort()

    async def _say(self, reader, writer):
        self._said = self.answers.pop(0)
        if self._said is STALL:
            await reader.read()  # until the client gives up
            return False
        if self._said == HANG_UP:
            writer.transport.abort()
            return False
        for piece in self._said.split(b"|"):  # what comes apart
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return True


@asynccontextmanager
async def linked(server, command_s=5.0, **patience):
    """Connect to a server."""
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    client = SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=command_s)
    link = await Link.open(client, Patience(connect_s=5, greeting_s=5, **patience))
    try:
        yield link
    finally:
        link.close()
        listening.close()
        await within(asyncio.gather(*server.talking))


async def send(link):
    """Send one mail."""
    await within(link.address("a@d.example", "b@d.example", len(MAIL)))
    return await within(link.transmit(MAIL))


async def test_an_envelope_is_one_piece():
    """Two turns a mail instead of four, and the next mail goes over the same connection."""
    server = Server(GOOD, QUEUED, GOOD, QUEUED.replace(b"Q1", b"Q2"))
    async with linked(server) as link:
        answers = [await send(link), await send(link)]
    envelope = b"MAIL FROM:<a@d.example> SIZE=%d\r\nRCPT TO:<b@d.example>\r\nDATA\r\n" % len(MAIL)
    assert answers == ["Q1", "Q2"]
    assert server.envelopes == [envelope, envelope]
    assert server.mails == [MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\n"] * 2


async def test_replies_come_in_any_pieces():
    """Cut within a line, within a code, and over several lines."""
    server = Server(b"250-2.1.0 well|\r\n25|0 OK\r\n250 2.1.5 OK\r|\n3|54 go on\r\n", b"250-2.0.0 OK\r\n2|50 id=Q7\r\n")
    async with linked(server) as link:
        assert await send(link) == "Q7"


@pytest.mark.parametrize(
    ("replies", "error", "code"),
    [
        (b"452 4.3.1 full\r\n503 5.5.1 no\r\n503 5.5.1 no\r\n", SMTPSenderRefused, 452),
        (b"250 2.1.0 OK\r\n550 5.1.1 nobody\r\n554 5.5.1 no recipients\r\n", SMTPRecipientRefused, 550),
        (b"250 2.1.0 OK\r\n450 4.2.1 later\r\n354 go on\r\n", SMTPRecipientRefused, 450),  # RFC 2920, section 3.1
        (b"250 2.1.0 OK\r\n250 2.1.5 OK\r\n451 4.3.0 later\r\n", SMTPDataError, 451),
        (b"what?\r\n", SMTPResponseException, -1),
    ],
)
async def test_a_refusal_is_the_refused_commands_own(replies, error, code):
    """However many replies come at once; and nothing of the mail has been sent."""
    server = Server(replies.replace(b"354", b"3|54"))  # so that the server waits for no mail
    async with linked(server) as link:
        with pytest.raises(error) as caught:
            await within(link.address("a@d.example", "b@d.example", 10))
    assert caught.value.code == code
    assert server.mails == []


async def test_a_lost_answer_to_the_dot_is_unclear():
    """The mail may have arrived."""
    async with linked(Server(GOOD, HANG_UP)) as link:
        with pytest.raises(Unclear):
            await send(link)
        assert not link.alive


async def test_a_connection_that_is_lost_before_is_clear():
    """Nothing can have arrived."""
    async with linked(Server(HANG_UP)) as link:
        with pytest.raises(SMTPServerDisconnected):
            await within(link.address("a@d.example", "b@d.example", 10))
        assert not link.alive


async def test_no_answer_in_time():
    """The phases have deadlines of their own."""
    async with linked(Server(STALL), command_s=0.1) as link:
        with pytest.raises(SMTPReadTimeoutError):
            await within(link.address("a@d.example", "b@d.example", 10))
    async with linked(Server(GOOD, STALL), dot_s=0.1) as link:
        with pytest.raises(Unclear):
            await send(link)


async def test_what_is_said_unasked_answers_nothing():
    """A remark between two mails isn't taken for the next one's reply."""
    server = Server(GOOD, QUEUED + b"250 by the way\r\n", GOOD, QUEUED)
    async with linked(server) as link:
        assert [await send(link), await send(link)] == ["Q1", "Q1"]


async def test_a_reply_without_end_is_refused():
    """Whatever a server says, memory doesn't fill up."""
    async with linked(Server(b"250-on and on\r\n" * 10_000)) as link:
        with pytest.raises(SMTPResponseException):
            await within(link.address("a@d.example", "b@d.example", 10))
