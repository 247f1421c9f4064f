"""The store: units of work, group commit, one writer. The same for SQLite and PostgreSQL.

A unit of work is a plain function of a SQLAlchemy `Connection`. `write` runs it in a transaction shared with every
other unit that waits at that moment, so throughput rises under load and latency doesn't; `write_together` also makes
one unit of equal ones; `read` runs it on a connection that can't write. A unit may run twice (when another unit of the
same commit failed), so it must have no effect outside its connection.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from router.errors import SignpostError, StoreBroken, StoreBusy
from router.interfaces import Clock, SystemClock
from router.store import ending, indexes, migrate
from router.store.backends import Backend, PostgresBackend, SqliteBackend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import Connection

    Together = Callable[[Connection, Sequence[Any]], Sequence[Any]]

T = TypeVar("T")
Item = TypeVar("Item")
_MOST_UNITS = 256  # in one commit: bounds how long the others wait
# SQLSTATE classes (PostgreSQL manual, appendix A): the server can't be reached, doesn't let us in, has no room, is
# being shut down, or fails itself; 25006 comes from a standby, after a failover.
_NO_SERVER = frozenset({"08", "28", "3D", "53", "57", "58"})
_READ_ONLY = "25006"
_ROLLED_BACK = "40"  # a deadlock or the like: the same may do at the next try
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_TURNS = 2  # of the event loop before a commit begins: what is being read just then comes along with it
_MOST_WAITING = 20_000  # units; beyond it the store is busy, and sources refuse before accepting


@dataclass(slots=True, eq=False)
class _Write:
    """What waits for a commit: its share of a unit of work, and who waits for the result."""

    work: Together
    item: Any
    outcome: asyncio.Future[Any]


class _Group:
    """The writes of one commit, drawn when it begins; those of the same work are one unit."""

    def __init__(self, draw: Callable[[], list[_Write]]) -> None:
        self._draw = draw
        self.writes: list[_Write] = []
        self._units: dict[Together, list[_Write]] = {}

    def runs(self) -> list[Callable[[Connection], Sequence[Any]]]:
        """Draw the writes and return the units of work."""
        self.writes = self._draw()
        for write in self.writes:
            self._units.setdefault(write.work, []).append(write)
        units = [partial(_run, work, [write.item for write in writes]) for work, writes in self._units.items()]
        return [_begin, *units, _finish]

    def halves(self) -> list[_Group]:
        """Return two groups of the same writes, which don't share a failure."""
        middle = len(self.writes) // 2
        return [_Group(partial(list, half)) for half in (self.writes[:middle], self.writes[middle:])]

    def resolve(self, results: Sequence[Sequence[Any]]) -> None:
        """Give everybody their result."""
        for writes, answers in zip(self._units.values(), results[1:-1], strict=True):
            for write, answer in zip(writes, answers, strict=True):
                if not write.outcome.done():
                    write.outcome.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Tell everybody that nothing of theirs is stored."""
        for write in self.writes:
            if not write.outcome.done():
                write.outcome.set_exception(error)


class Store:
    """Everything Signpost remembers. Open before use, close afterwards."""

    def __init__(self, backend: Backend, clock: Clock | None = None, *, read_only: bool = False) -> None:
        self.clock: Clock = clock or SystemClock()
        self._backend = backend
        self._read_only = read_only
        self._waiting: deque[_Write] = deque()
        self._commits: set[asyncio.Task[None]] = set()
        self._drawn = True  # what was last begun has drawn its writes: what comes now needs another commit
        self._open = False

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._backend.dialect

    async def open(self) -> None:
        """Connect and bring the schema up to date; raise `StoreBusy` or `StoreBroken` if that can't be done."""
        try:
            await self._backend.open()
            if not self._read_only:
                await self._backend.transact_alone(migrate.upgrade)
                await self._build_indexes()
        except BaseException as error:
            await self._backend.close()
            _raise(error)
        self._open = not self._read_only

    async def _build_indexes(self) -> None:
        if isinstance(self._backend, PostgresBackend):
            async with self._backend.line() as line:
                await indexes.build(line)

    async def close(self) -> None:
        """Commit what waits, then disconnect."""
        while self._commits:
            await asyncio.wait(self._commits)
        self._open = False
        await self._backend.close()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a unit of work and return its result after it is on disk.

        Raises what the unit raises (then nothing of it is stored), `StoreBusy` when the store can't take it now,
        `StoreBroken` when it is not open.
        """
        result: T = await self._written(partial(_alone, work), None)
        return result

    def write_together(self, work: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item) -> Awaitable[T]:
        """Run `work` on this item and every other that waits for the same `work`; return this item's result.

        `work` returns one result per item, in order, and is cheaper for many at once: it needs few statements. Raises
        what `write` raises; an item that makes `work` fail doesn't spoil the others.
        """
        return self._written(work, item)

    def _written(self, work: Together, item: Any) -> asyncio.Future[Any]:
        if not self._open:
            raise StoreBroken("the store is not open")
        if len(self._waiting) >= _MOST_WAITING:
            raise StoreBusy("too many writes are waiting")
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(work, item, outcome))
        self._begin()
        return outcome

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a unit of work that only reads; raise what it raises, `StoreBusy` or `StoreBroken`."""
        try:
            return await self._backend.read(work)
        except Exception as error:
            _raise(error)

    def line(self) -> AbstractAsyncContextManager[Any]:
        """Lend a connection of PostgreSQL's driver (asyncpg) for what isn't a unit of work, such as LISTEN."""
        assert isinstance(self._backend, PostgresBackend)
        return self._backend.line()

    def hang_up(self) -> None:
        """Give up every connection to the database; what waits for an answer on one fails with `StoreBusy`."""
        self._backend.hang_up()

    def _begin(self) -> None:
        """Begin a commit if there is need for one: the next may queue while one runs, and draws what waits by then."""
        if self._waiting and self._drawn and len(self._commits) < self._backend.commits:
            self._drawn = False
            commit = asyncio.create_task(self._gather(_Group(self._draw)), name="commit")
            self._commits.add(commit)
            commit.add_done_callback(self._ended)

    def _draw(self) -> list[_Write]:
        """Take what waits, up to a limit; in whatever thread the commit runs."""
        self._drawn = True  # first: what is appended from here on begins another commit, or is still taken by this one
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_UNITS))]

    def _ended(self, commit: asyncio.Task[None]) -> None:
        self._commits.discard(commit)
        self._begin()

    async def _gather(self, group: _Group) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        await self._commit(group)

    async def _commit(self, group: _Group) -> None:
        try:
            results = await self._backend.transact(group.runs)
        except Exception as error:
            if len(group.writes) > 1 and not _whole_store(error):  # one spoilt it for all: halve until it is alone
                for half in group.halves():
                    await self._commit(half)
            else:
                group.fail(_translate(error))
        else:
            group.resolve(results)


def _begin(connection: Connection) -> Sequence[Any]:
    ending.begin(connection)
    return ()


def _finish(connection: Connection) -> Sequence[Any]:
    ending.finish(connection)
    return ()


def _alone(work: Callable[[Connection], T], connection: Connection, _items: Sequence[None]) -> list[T]:
    return [work(connection)]


def _run(work: Together, items: list[Any], connection: Connection) -> Sequence[Any]:
    answers = work(connection, items)
    if len(answers) != len(items):  # noticed before the commit: nobody may take another's answer for theirs
        raise RuntimeError(f"{len(items)} units of work gave {len(answers)} results")
    return answers


def _whole_store(error: BaseException) -> bool:
    """Return whether the store itself failed (disk full, connection lost), so that trying again alone is no use."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, OSError | NoConnection)
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError) or _damaged(error):
        return True
    state = _state(error)
    return state[:2] in _NO_SERVER or state == _READ_ONLY


def _state(error: DBAPIError) -> str:
    """Return the SQLSTATE, "08" (a matter of the connection) where PostgreSQL's driver knows none, "" for SQLite."""
    return getattr(error.orig, "sqlstate", "") or ("08" if hasattr(error.orig, "sqlstate") else "")


def _damaged(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGED  # the low byte; extended codes say more


def _translate(error: Exception) -> Exception:
    if isinstance(error, DBAPIError) and _damaged(error):
        return StoreBroken(
            f"the store's file is damaged or isn't an SQLite database ({error.orig}); nothing in it was changed: "
            "put a backup in its place, or name another file in store.url"
        )
    if _whole_store(error) or (isinstance(error, DBAPIError) and _state(error).startswith(_ROLLED_BACK)):
        return StoreBusy(f"the store can't be used now: {type(error).__name__}: {getattr(error, 'orig', error)}")
    return error


def _raise(error: BaseException) -> NoReturn:
    """Raise an error as what it means to us."""
    meant = _translate(error) if isinstance(error, Exception) else error
    if meant is error:
        raise error
    raise meant from error


def open_store(url: str, clock: Clock | None = None, *, read_only: bool = False) -> Store:
    """Return the store for a URL (`sqlite:///path` or `postgresql://…`); it still has to be opened.

    A `read_only` store may be opened beside the daemon that owns the file.
    """
    if url.startswith("sqlite:"):
        return Store(SqliteBackend(url, read_only=read_only), clock, read_only=read_only)
    if url.startswith(("postgresql:", "postgresql+asyncpg:")):
        return Store(PostgresBackend(url), clock, read_only=read_only)
    raise SignpostError("store.url must start with sqlite:/// or postgresql://")
