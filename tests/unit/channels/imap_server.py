"""A scripted IMAP server for what a real one can't be made to do: it obeys, until a test tells it to misbehave.

`server.instead["FETCH"] = [behaviour, …]` replaces its answers to the next commands of that name, one each. A behaviour
is an async function `(session, tag, arguments)`.
"""

from __future__ import annotations

import asyncio
import base64
import re
from contextlib import asynccontextmanager

CAPABILITIES = "IMAP4rev1 IDLE UIDPLUS MOVE SASL-IR AUTH=PLAIN AUTH=XOAUTH2"
_COMMAND = re.compile(r"(\S+) (UID )?(\S+) ?(.*)", re.DOTALL)


class FakeServer:
    """The mailbox and what was said about it. UIDs count from 1; `mails` may be changed at any time."""

    def __init__(self, *mails):
        self.mails = dict(enumerate(mails, start=1))
        self.flags = {}
        self.uid_validity = 7
        self.uid_next = None  # None: the highest UID and one
        self.capabilities = CAPABILITIES
        self.password, self.token = "secret", "good-token"
        self.instead = {}
        self.said = []  # every command line, by all clients
        self.sessions = []
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def serving(cls, *mails):
        """Serve for the length of a `with` block."""
        server = cls(*mails)
        listener = await asyncio.start_server(server._serve, "127.0.0.1", 0, limit=2**20)
        server.port = listener.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            listener.close()
            for session in server.sessions:
                session.hang_up()
            await asyncio.gather(*(session.over.wait() for session in server.sessions))

    def add(self, mail):
        """Deliver a mail and tell idling clients."""
        self.mails[max(self.mails, default=0) + 1] = mail
        for session in self.sessions:
            if session.idling:
                session.send(f"* {len(self.mails)} EXISTS")

    def count(self, name):
        """Return how many commands of that name came."""
        return sum(1 for line in self.said if f" {name}" in f" {line} ".replace("UID ", ""))

    async def _serve(self, reader, writer):
        session = Session(self, reader, writer)
        self.sessions.append(session)
        try:
            await session.run()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            session.hang_up()
            session.over.set()


class Session:
    """One client."""

    def __init__(self, server, reader, writer):
        self.server, self.reader, self.writer = server, reader, writer
        self.idling = False
        self.over = asyncio.Event()

    async def run(self):
        if not await self._instead("GREETING", "*", ""):
            self.send("* OK ready")
        while line := await self.line():
            self.server.said.append(line)
            tag, _, name, arguments = _COMMAND.fullmatch(line).groups()
            if not await self._instead(name, tag, arguments):
                await getattr(self, f"do_{name.lower()}")(tag, arguments)

    async def _instead(self, name, tag, arguments):
        """Do what a test asked for in place of the usual; return False if it asked for nothing."""
        waiting = self.server.instead.get(name)
        if not waiting:
            return False
        await waiting.pop(0)(self, tag, arguments)
        return True

    async def line(self):
        return (await self.reader.readline()).decode().rstrip("\r\n")

    def send(self, *lines):
        self.raw("".join(f"{line}\r\n" for line in lines).encode())

    def raw(self, data):
        self.writer.write(data)

    def hang_up(self):
        self.writer.transport.abort()

    # --- commands -----------------------------------------------------------------------------------------------------

    async def do_capability(self, tag, _arguments):
        self.send(f"* CAPABILITY {self.server.capabilities}", f"{tag} OK done")

    async def do_login(self, tag, arguments):
        good = arguments.endswith(f'"{self.server.password}"')
        self.send(f"{tag} OK in" if good else f"{tag} NO [AUTHENTICATIONFAILED] wrong")

    async def do_authenticate(self, tag, arguments):
        mechanism, _, response = arguments.partition(" ")
        if not response:
            self.send("+ ")
            response = await self.line()
        secret = {"PLAIN": f"\0{self.server.password}", "XOAUTH2": f"Bearer {self.server.token}\1"}[mechanism]
        if secret in base64.b64decode(response).decode():
            self.send(f"{tag} OK in")
            return
        if mechanism == "XOAUTH2":
            self.send("+ " + base64.b64encode(b'{"status":"400"}').decode())
            assert await self.line() == ""
        self.send(f"{tag} NO [AUTHENTICATIONFAILED] wrong")

    async def do_select(self, tag, _arguments):
        server = self.server
        uid_next = server.uid_next or max(server.mails, default=0) + 1
        self.send(f"* {len(server.mails)} EXISTS", f"* OK [UIDVALIDITY {server.uid_validity}] x")
        self.send(f"* OK [UIDNEXT {uid_next}] x", f"{tag} OK [READ-WRITE] in")

    async def do_search(self, tag, arguments):
        uids = sorted(self.server.mails)
        if match := re.fullmatch(r"UID (\d+):\*", arguments):
            uids = [uid for uid in uids if uid >= int(match[1])] or uids[-1:]  # RFC 3501: * is the last, in any order
        elif "UNSEEN" in arguments and "SINCE" not in arguments:  # everything here came lately
            uids = [uid for uid in uids if "\\Seen" not in self.server.flags.get(uid, "")]
        self.send("* SEARCH" + "".join(f" {uid}" for uid in uids), f"{tag} OK done")

    async def do_fetch(self, tag, arguments):
        wanted, items = arguments.split(" ", 1)
        for uid in self.among(wanted):
            self.raw(self.fetched(uid, items))
        self.send(f"{tag} OK done")

    def among(self, wanted):
        ranges = [part.split(":") for part in wanted.split(",")]
        return [uid for uid in sorted(self.server.mails) if any(int(r[0]) <= uid <= int(r[-1]) for r in ranges)]

    def fetched(self, uid, items):
        """Return the reply about one mail."""
        mail = self.server.mails[uid]
        if "SIZE" in items:
            when = '"22-Nov-2026 08:00:00 +0000"'
            return f"* {uid} FETCH (UID {uid} RFC822.SIZE {len(mail)} INTERNALDATE {when})\r\n".encode()
        if "HEADER" in items:
            mail = mail.partition(b"\r\n\r\n")[0]
            return b"* %d FETCH (UID %d BODY[HEADER]<0> {%d}\r\n%b)\r\n" % (uid, uid, len(mail), mail)
        return b"* %d FETCH (UID %d BODY[] {%d}\r\n%b)\r\n" % (uid, uid, len(mail), mail)

    async def do_store(self, tag, arguments):
        wanted, _, flags = arguments.split(" ", 2)
        for uid in self.among(wanted):
            self.server.flags[uid] = self.server.flags.get(uid, "") + flags.strip("()")
        self.send(f"{tag} OK done")

    async def do_idle(self, tag, _arguments):
        self.send("+ idling")
        self.idling = True
        done = await self.line()
        self.idling = False
        if done == "DONE":
            self.send(f"{tag} OK idled")

    async def do_noop(self, tag, _arguments):
        self.send(f"{tag} OK done")


# --- behaviours -------------------------------------------------------------------------------------------------------


def says(*lines):
    """Answer with these lines; {tag} stands for the tag."""

    async def behaviour(session, tag, _arguments):
        session.raw("".join(f"{line}\r\n" for line in lines).format(tag=tag).encode())

    return behaviour


async def hangs_up(session, _tag, _arguments):
    """Close the connection without a word."""
    session.hang_up()


async def is_silent(_session, _tag, _arguments):
    """Say nothing, and keep the connection."""
