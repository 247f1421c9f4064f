"""One connection to a mail server and one mail over it, with the phases kept apart: what was lost, and when."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from aiosmtplib.errors import (
    SMTPDataError,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from channels._smtp_replies import Replies
from router.aside import aside
from router.errors import Unclear
from router.failpoints import reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiosmtplib import SMTP
    from aiosmtplib.response import SMTPResponse

_START_INPUT, _COMPLETED, _WILL_FORWARD = 354, 250, 251
_PIECE = 64 * 1024  # octets of a mail that are written at a time
_WAKING_S = 30.0  # for the first answer on a connection that was idle: it may be dead without anybody having said so
_QUEUE_ID = re.compile(r"\bqueued as ([!-~]{1,200})|\bid=([!-~]{1,200})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each phase may take, in seconds (RFC 5321, section 4.5.3.2); answers to commands have the client's."""

    connect_s: float = 30.0
    greeting_s: float = 300.0
    piece_s: float = 180.0  # until the other side has taken the next 64 kB of a mail, however long all of it takes
    dot_s: float = 600.0


class Link:
    """A connection that is ready for mail. Its user serialises the calls and closes it after any error."""

    def __init__(self, client: SMTP, patience: Patience, greeting: str = "") -> None:
        self._client = client
        self.greeting = greeting  # what the server said first
        self._patience = patience
        self._replies: Replies | None = None  # once the first mail is on its way
        self.mails = 0

    @classmethod
    async def open(cls, client: SMTP, patience: Patience) -> Link:
        """Connect, encrypt, sign in and say hello; raise OSError, or what aiosmtplib raises."""
        greeting = await _greeted(client, patience)
        reach("connected")
        link = cls(client, patience, greeting.message)
        try:
            if client.is_ehlo_or_helo_needed:
                await _say_hello(client)
        except BaseException:
            link.close()
            raise
        return link

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The server's certificate as Python shows it, None without encryption."""
        found: dict[str, Any] | None = self._client.get_transport_info("peercert")
        return found

    @property
    def largest(self) -> int | None:
        """How large a mail the server takes, in octets (RFC 1870); None if it doesn't say."""
        said = self._client.esmtp_extensions.get("size", "").strip()
        return int(said) if said.isascii() and said.isdigit() and int(said) else None

    @property
    def alive(self) -> bool:
        """Whether neither side has closed the connection, as far as is known."""
        return self._client.is_connected

    async def address(self, sender: str, recipient: str, size: int) -> None:
        """Give the envelope; `size` in octets (RFC 1870). Nothing of the mail has been sent yet when this fails.

        `sender` and `recipient` are plain addresses, so that they needn't be taken apart and quoted for each mail. A
        server that reads ahead (RFC 2920) is asked for the mail in the same breath. What is larger than it says that it
        takes isn't offered: some cut the connection in the middle of such a mail instead of refusing it.
        """
        if self.largest is not None and size > self.largest:
            raise SMTPSenderRefused(552, f"5.3.4 message too large: it takes {self.largest} octets", sender)
        offers, within_s = self._client.supports_extension, self._client.timeout
        stated = f" SIZE={size}" if offers("size") else ""
        # So that a report names the address that we wrote to, wherever an alias leads (RFC 3461, section 4.2).
        original = f" ORCPT=rfc822;{_xtext(recipient)}" if offers("dsn") else ""
        commands = [f"MAIL FROM:<{sender}>{stated}", f"RCPT TO:<{recipient}>{original}", "DATA"]
        replies, left = self._replies or self._take_over(), [command.encode("ascii") for command in commands]

        async def answer(within_s: float | None) -> SMTPResponse:
            if left:
                ahead = len(left) if offers("pipelining") else 1
                replies.say(*left[:ahead])
                del left[:ahead]
            return await replies.next(within_s)

        first_s = within_s if not self.mails else _WAKING_S if within_s is None else min(within_s, _WAKING_S)
        if (reply := await answer(first_s)).code != _COMPLETED:
            raise SMTPSenderRefused(reply.code, reply.message, sender)
        if (reply := await answer(within_s)).code not in (_COMPLETED, _WILL_FORWARD):
            raise SMTPRecipientRefused(reply.code, reply.message, recipient)
        if (reply := await answer(within_s)).code != _START_INPUT:
            raise SMTPDataError(reply.code, reply.message)

    def _take_over(self) -> Replies:
        if self._client.protocol is None:
            raise SMTPServerDisconnected("the connection was lost")
        self._replies = Replies(self._client.protocol)
        return self._replies

    async def ask(self, sender: str, recipients: Sequence[str]) -> list[SMTPResponse]:
        """Return how the server answers to a sender and, unless it refuses that, to recipients; nothing is sent."""
        commands = deque([f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{recipient}>" for recipient in recipients)])
        answers: list[SMTPResponse] = []
        while commands and (not answers or answers[0].code < 400):
            answers.append(await self._client.execute_command(commands.popleft().encode()))
        await self._client.rset()
        return answers

    async def transmit(self, mail: bytes) -> str:
        """Send the mail for which `address` has given the envelope; return the server's id for it, "" without one.

        The last dot is held back until everything before it has left, so that a connection lost earlier is known to
        have delivered nothing; lost afterwards it is `Unclear` (RFC 1047).
        """
        body, replies = await aside(_stuffed, mail), self._replies
        if replies is None:
            raise SMTPServerDisconnected("the connection was lost")
        replies.expect(1)
        for begin in range(0, len(body), _PIECE):  # a large mail at once would stop the event loop
            replies.write(body[begin : begin + _PIECE])
            if not await replies.left(self._patience.piece_s):
                await _too_early(replies)
        replies.write(b".\r\n")
        reply = await _after_the_dot(replies, self._patience.dot_s)
        if reply.code != _COMPLETED:
            raise SMTPDataError(reply.code, reply.message)
        self.mails += 1
        return _remote_id(reply.message)

    async def quit(self) -> None:
        """Say goodbye, without waiting long and whatever the other side does."""
        with suppress(SMTPException, OSError, TimeoutError):
            if self._replies:
                self._replies.give_back()
            await self._client.quit(timeout=2)
        self.close()

    def close(self) -> None:
        """Drop the connection at once: half a mail that is still to be written must not hold it open."""
        if isinstance(self._client.transport, asyncio.WriteTransport):
            self._client.transport.abort()
        self._client.close()


def _xtext(text: str) -> str:
    return re.sub(r"[^!-*,-<>-~]", lambda char: f"+{ord(char[0]):02X}", text)


def _stuffed(mail: bytes) -> bytes:
    """Return a mail with its leading dots doubled (RFC 5321 section 4.5.2)."""
    stuffed = mail.replace(b"\n.", b"\n..")
    return b"." + stuffed if mail.startswith(b".") else stuffed


async def _too_early(replies: Replies) -> NoReturn:
    """Raise what it means that a mail was answered, or the connection lost, before it was complete."""
    reply = await replies.next(None)  # why it won't take the mail
    if reply.code < 400:
        raise SMTPServerDisconnected("the server answered before the mail was complete")
    raise SMTPDataError(reply.code, reply.message)


async def _greeted(client: SMTP, patience: Patience) -> SMTPResponse:
    """Connect, and wait for the greeting for longer than for the connection: a busy server greets late."""
    assert client.hostname is not None
    assert client.port is not None
    async with asyncio.timeout(patience.connect_s):
        connected = await _connected(client.hostname, client.port, patience.connect_s)
    return await client.connect(sock=connected, port=None, timeout=patience.greeting_s)  # which closes it, too


async def _connected(host: str, port: int, within_s: float) -> socket.socket:
    """Return a socket that is connected to the first of the host's addresses that answers; raise OSError.

    Each has its share of the time that is left, so that a dead one (often IPv6) leaves some for the next.
    """
    loop, failures = asyncio.get_running_loop(), list[OSError]()
    until = loop.time() + within_s
    places = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for left, (family, kind, protocol, _, place) in zip(range(len(places), 0, -1), places, strict=True):
        found = socket.socket(family, kind, protocol)
        found.setblocking(False)
        try:
            async with asyncio.timeout((until - loop.time()) / left):
                await loop.sock_connect(found, place)
        except OSError as error:
            found.close()
            failures.append(error)
        except BaseException:
            found.close()
            raise
        else:
            return found
    raise failures[0] if failures else OSError("the host has no address")


async def _say_hello(client: SMTP) -> None:
    try:
        await client.ehlo()
    except SMTPHeloError:
        await client.helo()


async def _after_the_dot(replies: Replies, within_s: float) -> SMTPResponse:
    try:
        reach("data_sent")
        reply = await replies.next(within_s)
    except (SMTPException, OSError) as error:
        raise Unclear("the connection was lost before the server confirmed the mail") from error
    if not 200 <= reply.code <= 599:
        raise Unclear("the server's confirmation couldn't be understood") from SMTPResponseException(*reply)
    return reply


def _remote_id(text: str) -> str:
    """Return the queue id in a 250 reply, else the reply itself, at most 200 characters."""
    found = _QUEUE_ID.search(text)
    return (found[1] or found[2]) if found else " ".join(text.split())[:200]
