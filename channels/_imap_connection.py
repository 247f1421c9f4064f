"""A connection to a mailbox, as the source needs it: signed in, one command at a time, and never waiting for ever.

Everything that goes wrong is `SourceUnavailable`, with a sentence; a server's NO or BAD is `Refusal`. After anything
but a `Refusal` the connection is of no use any more.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from aioimaplib.aioimaplib import Command  # type: ignore[import-untyped]  # it has annotations but no py.typed

from channels import _imap_words as words
from channels._imap_protocol import Protocol
from router.errors import SourceRejected, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator

    from channels._imap_framing import Reply

T = TypeVar("T")
_LONGEST_S = 3600.0  # any command, however lively: 25 MB at 64 kbit/s take 55 minutes
_POLL_S = 30.0  # how often to look where the server can't tell
_PROBES = 4  # unanswered keepalive probes that end a connection


class Refusal(SourceUnavailable):
    """The server answered NO or BAD; `code` is its response code (RFC 5530), "" if it gave none."""

    def __init__(self, command: str, code: str, said: str) -> None:
        super().__init__(f"the server refused {command}: {said or code or 'it gave no reason'}")
        self.code = code
        self.said = said


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What SELECT says: UIDs last while `uid_validity` stays, and new mails get `uid_next` or more (0: unsaid)."""

    uid_validity: int
    uid_next: int
    read_only: bool
    mails: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Where a server is and how long to be patient with it, in seconds."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    starttls: bool = False
    connect_s: float = 30.0
    silence_s: float = 60.0
    done_s: float = 10.0  # how soon DONE must be answered: a server that doesn't is behind a dead line
    keepalive_s: float = 60.0
    longest_literal: int = 26_214_401


class Connection:
    """Made by `open`; let go by `aclose`."""

    def __init__(self, line: Line, protocol: Protocol) -> None:
        self._line = line
        self._protocol = protocol
        self._loop = protocol.loop
        self.capabilities: frozenset[str] = frozenset()
        self._code = ""  # in the status of the last command

    @classmethod
    async def open(cls, line: Line) -> Connection:
        """Connect, encrypt and ask what the server can; raise `SourceUnavailable`, or `SourceRejected` for bad TLS."""
        connection = cls(line, Protocol(asyncio.get_running_loop(), line.longest_literal))
        try:
            with _in_words():
                async with asyncio.timeout(line.connect_s):
                    await connection._connect()
                    await connection._begin()
        except BaseException:
            await connection.aclose()
            raise
        return connection

    async def _connect(self) -> None:
        line, tls = self._line, None if self._line.starttls else self._line.tls
        await self._loop.create_connection(lambda: self._protocol, line.host, line.port, ssl=tls)
        self._keep_alive()
        await self._protocol.greeted.wait()

    async def _begin(self) -> None:
        if self._protocol.ended or self._protocol.greeting != "OK":  # PREAUTH would skip STARTTLS and the sign-in
            raise SourceUnavailable(self._protocol.ended or "the server didn't greet as a mail server does")
        if self._line.starttls:
            await self._command("STARTTLS")
            await self._encrypt()
        await self.ask_capabilities()

    async def _encrypt(self) -> None:
        protocol, host = self._protocol, self._line.host
        try:
            protocol.transport = await self._loop.start_tls(
                protocol.transport, protocol, self._line.tls, server_hostname=host
            )
        except BaseException:
            protocol.closed.set()  # asyncio has closed it and tells only its own half
            raise

    def _keep_alive(self) -> None:
        """Let the system notice a dead line while nothing is said (RFC 9293, section 3.8.4)."""
        sock: socket.socket = self._protocol.transport.get_extra_info("socket")
        seconds = max(int(self._line.keepalive_s), 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", seconds),
            ("TCP_KEEPINTVL", max(seconds // 4, 1)),
            ("TCP_KEEPCNT", _PROBES),
        ):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    async def aclose(self) -> None:
        """Drop the connection, without waiting for the other side."""
        self._protocol.end("it was closed here")
        if self._protocol.transport is not None:
            await _within(2, self._protocol.closed)  # the transport tells on the next turn of the loop

    # --- commands -----------------------------------------------------------------------------------------------------

    async def ask_capabilities(self) -> None:
        """Learn what the server can; after a sign-in it may be more."""
        replies = await self._command("CAPABILITY")
        listed = [reply[0].decode("ascii", "replace").upper().split() for reply in replies]
        self.capabilities = frozenset(word for line in listed if line[1:2] == ["CAPABILITY"] for word in line[2:])

    async def log_in(self, username: str, password: str) -> None:
        """Sign in with a password; raise `Refusal`."""
        if "AUTH=PLAIN" in self.capabilities:
            await self.authenticate("PLAIN", f"\0{username}\0{password}".encode())
        elif "LOGINDISABLED" in self.capabilities:
            raise SourceRejected("the server takes no password on this connection")
        elif not f"{username}{password}".isascii():
            raise SourceRejected("the server takes user names and passwords in ASCII only")
        else:
            await self._command("LOGIN", words.quoted(username), words.quoted(password))
            self._protocol.state = "AUTH"

    async def authenticate(self, mechanism: str, response: bytes) -> None:
        """Sign in by SASL (RFC 3501, section 6.2.2; RFC 4959); raise `Refusal`."""
        answer = base64.b64encode(response)
        at_once = "SASL-IR" in self.capabilities
        answers = [] if at_once else [answer]
        await self._command("AUTHENTICATE", mechanism, *([answer.decode()] if at_once else []), answers=answers)
        self._protocol.state = "AUTH"

    async def select(self, mailbox: str, *, read_only: bool = False) -> Mailbox:
        """Open a mailbox; raise `Refusal` if it isn't there. `read_only`: nothing in it changes, not even marks."""
        replies = await self._command("EXAMINE" if read_only else "SELECT", words.mailbox_name(mailbox))
        self._protocol.state = "SELECTED"
        said = words.codes(replies)
        return Mailbox(
            uid_validity=_number(said.get("UIDVALIDITY", "")),
            uid_next=_number(said.get("UIDNEXT", "")),
            read_only=self._code == "READ-ONLY",
            mails=max(
                (_number(reply[0][2:-7].decode()) for reply in replies if reply[0].endswith(b" EXISTS")), default=0
            ),
        )

    async def mailboxes(self, pattern: str = "*") -> list[str]:
        """Return the names of the mailboxes there are, as people write them."""
        replies = await self._command("LIST", '""', words.mailbox_name(pattern))
        return words.listed(replies)

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The server's certificate as Python shows it, None without encryption."""
        found: dict[str, Any] | None = self._protocol.transport.get_extra_info("peercert")
        return found

    async def search(self, criteria: str) -> list[int]:
        """Return UIDs, sorted. Criteria are ASCII and no CHARSET is named, which Exchange and Yahoo refuse."""
        return words.searched(await self._command("SEARCH", criteria, uid=True))

    async def fetch(self, uids: Iterable[int], items: str) -> tuple[dict[int, dict[str, Any]], int]:
        """Return items by UID, and how many replies made no sense."""
        return words.fetched(await self._command("FETCH", words.uid_set(uids), items, uid=True))

    async def add_flags(self, uids: Iterable[int], flags: str) -> None:
        """Set flags, several with a space between."""
        await self._command("STORE", words.uid_set(uids), "+FLAGS.SILENT", f"({flags})", uid=True)

    async def move(self, uids: Iterable[int], mailbox: str) -> None:
        """Move mails to another mailbox, which is made if it isn't there; without MOVE by COPY (RFC 6851)."""
        wanted = list(uids)
        verb = "MOVE" if "MOVE" in self.capabilities else "COPY"
        try:
            await self._command(verb, words.uid_set(wanted), words.mailbox_name(mailbox), uid=True)
        except Refusal as refusal:
            if refusal.code != "TRYCREATE":
                raise
            await self._command("CREATE", words.mailbox_name(mailbox))
            await self._command(verb, words.uid_set(wanted), words.mailbox_name(mailbox), uid=True)
        if verb == "COPY":
            await self.add_flags(wanted, "\\Deleted")
            if "UIDPLUS" in self.capabilities:  # a plain EXPUNGE would take what others marked, too
                await self._command("EXPUNGE", words.uid_set(wanted), uid=True)

    @property
    def has_news(self) -> bool:
        """Whether the mailbox is said to have grown since `expect_news`."""
        return self._protocol.news.is_set()

    def expect_news(self) -> None:
        """Forget that the mailbox has grown: a sweep begins."""
        if not self._protocol.ended:
            self._protocol.news.clear()

    async def idle(self, seconds: float) -> None:
        """Return when the mailbox has grown since `expect_news`, at the latest after `seconds`; a mere hint.

        Ends with a round trip, so that a dead line is noticed.
        """
        if "IDLE" not in self.capabilities:
            await _within(min(seconds, _POLL_S), self._protocol.news)
            await self._command("NOOP")
        elif not self._protocol.news.is_set():
            try:
                await self._burning(self._idle(seconds))
            except Refusal:  # it promised too much
                self.capabilities -= {"IDLE"}

    async def _idle(self, seconds: float) -> None:
        protocol = self._protocol
        protocol.begin()
        command = asyncio.ensure_future(self._execute("IDLE"))
        command.add_done_callback(lambda _: protocol.idling.set())  # refused or lost: no use waiting for a yes
        try:
            await self._heard(protocol.idling.wait(), self._line.silence_s)
            if not command.done():
                await _within(seconds, protocol.news)
                protocol.send("DONE")
            protocol.heard_at = self._loop.time()
            await self._heard(command, self._line.done_s)
        finally:
            command.cancel()
            await asyncio.gather(command, return_exceptions=True)

    # --- how a command is run -----------------------------------------------------------------------------------------

    async def _command(self, name: str, *args: str, uid: bool = False, answers: Iterable[bytes] = ()) -> list[Reply]:
        """Run one command and return the untagged replies since it began."""
        self._protocol.begin()
        self._protocol.answers = list(answers)
        await self._burning(self._heard(self._execute(name, *args, uid=uid), self._line.silence_s))
        return self._protocol.replies

    async def _execute(self, name: str, *args: str, uid: bool = False) -> None:
        protocol = self._protocol
        if protocol.ended:
            raise ConnectionError(protocol.ended)
        command = Command(name, protocol.new_tag(), *args, prefix="UID" if uid else None, loop=self._loop)
        response = await protocol.execute(command)
        text = bytes(response.lines[-1])
        self._code, _ = words.code_of(text)
        if response.result.upper() != "OK":  # NO and BAD are return values to aioimaplib
            raise Refusal(name, self._code, words.for_people(protocol.challenge or text))

    async def _heard(self, work: Awaitable[T], seconds: float) -> T:
        """Await something for as long as the server isn't silent for more than `seconds`."""
        task = asyncio.ensure_future(work)
        try:
            async with asyncio.timeout(_LONGEST_S):
                while not task.done():
                    left = self._protocol.heard_at + seconds - self._loop.time()
                    if left <= 0:
                        raise SourceUnavailable(f"the server has been silent for {seconds:.0f} s")
                    await asyncio.wait({task}, timeout=left)
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _burning(self, work: Awaitable[T]) -> T:
        """Await something; after anything but a plain refusal the connection isn't used again."""
        try:
            with _in_words():
                return await work
        except Refusal:
            raise
        except BaseException:
            self._protocol.end("a command failed")
            raise


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, but not longer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@contextmanager
def _in_words() -> Iterator[None]:
    """Say what went wrong in a sentence for people, and which of the two errors of a source it is."""
    try:
        yield
    except (SourceRejected, SourceUnavailable):
        raise
    except ssl.SSLCertVerificationError as error:
        raise SourceRejected(f"the server's certificate is not trusted: {error.verify_message}") from error
    except Exception as error:
        raise SourceUnavailable(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    match error:
        case ssl.SSLError():
            text = f"TLS failed: {error.reason or type(error).__name__}"
        case TimeoutError():
            text = "the server didn't answer in time"
        case socket.gaierror():
            text = "the server's name is not known"
        case ConnectionError() if len(error.args) == 1:
            text = str(error.args[0])  # our own words
        case OSError():
            text = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else "no connection"
        case _:
            text = f"the conversation failed ({type(error).__name__})"
    return text
