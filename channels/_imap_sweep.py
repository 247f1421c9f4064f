"""Take everything in from an open mailbox: sizes first, then bytes in small batches, `accept`, and only then flags.

A mail that can't be taken never holds up the others: it is tried again by itself, for a while; then a notice goes to a
desk in its place and it stays in the mailbox, unread and flagged.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from channels._imap_batches import Doubts, Entry, batches, chunks, entries
from channels._imap_connection import Refusal
from channels._imap_notice import MOST_HEADER_BYTES, notice
from channels._imap_position import Position, arrived_at, notice_key, source_key
from router.aside import aside
from router.errors import Refused, SignpostError, StoreBroken, StoreBusy
from router.failpoints import reach
from router.records import Inbound, Medium

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from channels._imap_connection import Connection
    from router.interfaces import Accept, Context, Cursor

_SIZES_AT_ONCE = 200
_PASSING = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "OVERQUOTA"})  # RFC 5530: not about one mail


@dataclass(slots=True)
class _Outcome:
    """What became of a batch."""

    taken: set[int] = field(default_factory=set)
    noticed: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    busy: bool = False


class Sweep:
    """Sweeps one mailbox over one connection; `position` is where it stands."""

    def __init__(
        self,
        connection: Connection,
        accept: Accept,
        context: Context,
        *,
        cursor: Cursor,
        mailbox: str,
        username: str,
        move_to: str,
        position: Position,
        doubts: Doubts,
    ) -> None:
        self._connection = connection
        self._accept = accept
        self._context = context
        self._cursor = cursor
        self._mailbox = mailbox
        self._username = username
        self._move_to = move_to
        self._doubts = doubts
        self._log = structlog.get_logger().bind(channel=context.name)
        self._flags_refused = False
        self._saved: Position | None = None
        self.in_vain = 0  # sweeps, lately, that found nothing
        self.position = position

    async def run(self) -> bool:
        """Take in what waits; return False if some of it has to be tried again soon."""
        last = self.position.last
        found = [uid for uid in await self._connection.search(f"UID {last + 1}:*") if uid > last]  # * echoes the last
        pending = {*found, *self.position.left}
        self.in_vain = 0 if pending else self.in_vain + 1
        doubtful = sorted(pending & self._doubts.tries.keys(), key=self._doubts.order)
        self.position = self.position.leaving(doubtful)  # they come last, so the others will pass them
        for uids in chunks(sorted(pending.difference(doubtful)), _SIZES_AT_ONCE):
            for batch in batches(await self._entries(uids)):
                if not await self._take(batch):
                    return False
        for uid in doubtful:
            for entry in await self._doubtful_entry(uid):
                if not await self._take([entry]):
                    return False
        return not self.position.left

    async def _entries(self, uids: Sequence[int]) -> list[Entry]:
        """Return sizes and times of arrival, in order; what isn't in the mailbox any more is not waited for."""
        found, senseless = await self._fetch(uids, "(UID RFC822.SIZE INTERNALDATE)")
        missing = [uid for uid in uids if uid not in found]
        if senseless and len(uids) > 1:  # whose reply was it? Ask for each alone
            alone = [await self._entries([uid]) for uid in missing]
            return sorted([*entries(found), *(entry for each in alone for entry in each)], key=lambda entry: entry.uid)
        if missing and not senseless:
            self.position = self.position.without(missing)
            self._doubts.forget(missing)
        return entries(found) or [Entry(uid, 0, b"") for uid in missing if senseless]

    async def _doubtful_entry(self, uid: int) -> list[Entry]:
        return [Entry(uid, 0, b"")] if self._given_up(uid) else await self._entries([uid])

    def _given_up(self, uid: int) -> bool:
        """Return whether the server was asked for a mail often enough; what it hands out goes to `accept` once more."""
        return uid not in self._doubts.unstored and self._doubts.hopeless(uid, self._context.clock.now())

    async def _fetch(self, uids: Sequence[int], items: str) -> tuple[dict[int, dict[str, Any]], int]:
        """Fetch; a refusal that may be about one of these mails is a reply without sense."""
        self._doubts.fetching = tuple(uids)
        try:
            answer = await self._connection.fetch(uids, items)
        except Refusal as refusal:
            if refusal.code in _PASSING:
                self._doubts.fetching = ()
                raise
            answer = {}, 1
        self._doubts.fetching = ()
        return answer

    async def _take(self, batch: Sequence[Entry]) -> bool:
        """Take a batch in; return False if the store is busy."""
        hopeless = [entry for entry in batch if self._given_up(entry.uid)]
        large = [e for e in batch if e.size > self._context.max_message_bytes and e not in hopeless]
        outcome = _Outcome()
        await self._fetch_and_accept([e for e in batch if e not in hopeless and e not in large], outcome)
        for entry in hopeless:
            await self._notify(entry, b"", "the mail server doesn't hand it out properly", outcome)
        for entry in large:
            await self._notify(entry, await self._header(entry), self._too_large(entry.size), outcome)
        await self._settle(outcome)
        return not outcome.busy

    async def _fetch_and_accept(self, waiting: Sequence[Entry], outcome: _Outcome) -> None:
        if not waiting:
            return
        found, senseless = await self._fetch([entry.uid for entry in waiting], "(UID BODY.PEEK[])")
        bodies = {uid: body for uid, items in found.items() if isinstance(body := items.get("BODY[]"), bytes)}
        here = [entry for entry in waiting if entry.uid in bodies]
        results = await asyncio.gather(*(self._hand_over(e, bodies[e.uid]) for e in here), return_exceptions=True)
        for entry, result in zip(here, results, strict=True):
            await self._note(entry, bodies[entry.uid], result, outcome)
        missing = {entry.uid for entry in waiting if entry.uid not in bodies}
        if missing and len(waiting) == 1 and not found and not senseless:
            outcome.gone |= missing
        elif missing:
            self._doubts.add(missing, self._context.clock.now(), count=int(len(waiting) == 1))
            outcome.failed |= missing
            self._log.warning("mail_not_fetched", count=len(missing))

    # --- handing over -------------------------------------------------------------------------------------------------

    async def _hand_over(self, entry: Entry, original: bytes) -> None:
        key = await aside(partial(source_key, self._mailbox, self.position, entry.uid, entry.arrived), original)
        await self._accept(self._inbound(key, original, arrived_at(entry.arrived)))

    async def _note(self, entry: Entry, original: bytes, result: BaseException | None, outcome: _Outcome) -> None:
        if result is None:
            outcome.taken.add(entry.uid)
        elif isinstance(result, Refused):
            size = len(original)
            why = self._too_large(size) if size > self._context.max_message_bytes else str(result)
            await self._notify(entry, original[:MOST_HEADER_BYTES], why, outcome)
        elif isinstance(result, StoreBroken) or not isinstance(result, Exception):
            raise result
        elif not isinstance(result, SignpostError) and self._cannot_be_stored(entry.uid):
            await self._notify(entry, original[:MOST_HEADER_BYTES], "it could not be stored", outcome)
        else:
            self._leave(entry, result, outcome)

    def _cannot_be_stored(self, uid: int) -> bool:
        """Count an error that nobody meant; return whether there were enough of them."""
        now = self._context.clock.now()
        self._doubts.unstored.add(uid)
        self._doubts.add([uid], now, count=1)
        return self._doubts.hopeless(uid, now)

    def _leave(self, entry: Entry, error: Exception, outcome: _Outcome) -> None:
        """Leave a mail for later; the log names no more than the kind of error: its text may hold anything."""
        outcome.failed.add(entry.uid)
        outcome.busy = outcome.busy or isinstance(error, StoreBusy)
        self._log.warning("messages_left_for_later", count=1, error=type(error).__name__)

    async def _notify(self, entry: Entry, header: bytes, why: str, outcome: _Outcome) -> None:
        """Hand a notice over in place of a mail."""
        text = notice(
            header=header,
            why=why,
            mailbox=self._mailbox,
            username=self._username,
            uid=entry.uid,
            date=self._context.clock.now(),
        )
        try:
            key = notice_key(self._mailbox, self.position, entry.uid, entry.arrived)
            await self._accept(self._inbound(key, text, arrived_at(entry.arrived)))
        except Refused as error:  # nothing is left to say; it stays flagged
            self._log.error("message_refused", error=type(error).__name__)
        except StoreBroken:
            raise
        except Exception as error:
            self._leave(entry, error, outcome)
            return
        self._log.error("mail_left_in_mailbox", uid=entry.uid, why=why)
        outcome.noticed.add(entry.uid)

    def _inbound(self, key: str, original: bytes, arrived: str) -> Inbound:
        return Inbound(
            source_key=key,
            channel=self._context.name,
            medium=Medium.EMAIL,
            received_at=self._context.clock.now(),
            original=original,
            facts={"arrived_at": arrived} if arrived else {},  # of old mails it may be known that they were here before
        )

    def _too_large(self, size: int) -> str:
        mega = 1_048_576
        return f"it has {-(-size // mega)} MB, and at most {self._context.max_message_bytes // mega} MB are taken"

    async def _header(self, entry: Entry) -> bytes:
        found, _ = await self._fetch([entry.uid], f"(UID BODY.PEEK[HEADER]<0.{MOST_HEADER_BYTES}>)")
        values = [value for name, value in found.get(entry.uid, {}).items() if name.startswith("BODY[")]
        return next((value for value in values if isinstance(value, bytes)), b"")

    # --- afterwards ---------------------------------------------------------------------------------------------------

    async def _settle(self, outcome: _Outcome) -> None:
        """Tell the mailbox, then remember."""
        await self._flag(outcome.taken, "\\Seen")
        await self._flag(outcome.noticed, "\\Flagged")
        reach("flagged")
        if self._move_to and outcome.taken:
            await self._telling(self._connection.move(outcome.taken, self._move_to))
        settled = outcome.taken | outcome.noticed | outcome.gone
        self._doubts.forget(settled)
        await self._save(settled, outcome.failed)
        if settled:
            self._context.on_proof()

    async def _flag(self, uids: set[int], flag: str) -> None:
        if uids:
            await self._telling(self._connection.add_flags(uids, flag))

    async def _telling(self, telling: Any) -> None:
        """Change the mailbox; if it refuses, the mails were taken all the same, and the position knows."""
        try:
            await telling
        except Refusal as refusal:
            if not self._flags_refused:
                self._flags_refused = True
                self._log.warning("mailbox_not_changed", why=str(refusal))

    async def _save(self, settled: Iterable[int], failed: Iterable[int]) -> None:
        self.position = self.position.after(settled, failed, self._context.clock.now().date())
        if self.position != self._saved:
            self._saved = self.position
            with suppress(StoreBusy):  # then a restart reads some mails twice, and they are recognised
                await self._cursor.set(self.position.to_json())
