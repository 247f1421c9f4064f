"""How a transaction reaches SQLite or PostgreSQL.

SQLite has exactly one writing connection, used by one thread (the WAL-reset bug of SQLite < 3.51.3 needs two that
write or checkpoint at once); readers open the file read-only. PostgreSQL is used through asyncpg.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from router.errors import StoreBroken, StoreBusy
from router.store.lock import FileLock
from router.store.prepared import as_json, of_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    Draw = Callable[[], Sequence[Callable[[Connection], Any]]]

T = TypeVar("T")
_READERS = 4
_ENGINE: dict[str, Any] = {"hide_parameters": True, "json_serializer": as_json, "json_deserializer": of_json}
_CONNECT_S = 10.0


class Backend(Protocol):
    """One database, and how units of work run on it."""

    dialect: str
    commits: int  # how many may be begun at once; they run one after the other where there is one connection

    async def open(self) -> None:
        """Connect; raise `StoreBusy` if the database can't be reached or somebody else owns it."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...

    async def transact(self, draw: Draw) -> list[Any]:
        """Draw units, run them in one transaction and return their results after the commit is on disk."""
        ...

    async def transact_alone(self, work: Callable[[Connection], None]) -> None:
        """Run one unit that looks after its own transactions (a migration)."""
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a unit that only reads."""
        ...

    def hang_up(self) -> None:
        """Give up every connection: whoever waits for an answer on one is told that it is gone."""
        ...


class SqliteBackend:
    """An SQLite file: WAL, `synchronous=FULL`, foreign keys on, owned by one process at a time (a lock file)."""

    dialect = "sqlite"
    commits = 2  # the second waits in the writer's queue, so that no time passes between two commits

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        database = make_url(url).database
        self._read_only = read_only
        if not database or database == ":memory:":
            raise ValueError("an SQLite store needs a file: nothing accepted may be lost")
        self.path = Path(database).absolute()
        self._lock = FileLock(self.path.with_name(self.path.name + ".lock"))
        self._engine: Engine | None = None
        self._writing: Connection | None = None  # taken once: taking it for each transaction would double its cost
        self._reading: Engine | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")

    async def open(self) -> None:
        """Take the lock and connect; raise `StoreBusy` if another process owns the file."""
        if self._read_only:
            self._connect_reader()
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._lock.acquire():
            raise StoreBusy(f"{self.path} is in use by another Signpost process")
        await self._in_writer(self._connect)

    async def close(self) -> None:
        """Disconnect and release the lock."""
        await self._in_writer(self._disconnect)
        self._writer.shutdown()
        self._readers.shutdown()
        self._lock.release()

    async def transact(self, draw: Draw) -> list[Any]:
        """Draw and run units in one transaction in the writer thread."""
        return await self._in_writer(partial(self._transact, draw))

    async def transact_alone(self, work: Callable[[Connection], None]) -> None:
        """Run one unit on the writer's connection, in no transaction."""
        await self._in_writer(lambda: self._alone(work))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a unit on a read-only connection."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def hang_up(self) -> None:
        """Do nothing: a file has no line that could be cut."""

    async def _in_writer(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, function)

    def _connect(self) -> None:
        keep_private(self.path)
        self._engine = create_engine(f"sqlite:///{self.path}", poolclass=StaticPool, **_ENGINE)
        event.listen(self._engine, "connect", _prepare_writer)
        event.listen(self._engine, "begin", _begin_immediate)
        self._writing = self._engine.connect()
        self._connect_reader()

    def _connect_reader(self) -> None:
        uri = f"sqlite:///file:{self.path}?mode=ro&uri=true"
        self._reading = create_engine(uri, pool_size=_READERS, max_overflow=0, **_ENGINE)
        event.listen(self._reading, "connect", _prepare_reader)

    def _disconnect(self) -> None:
        if self._writing is not None:
            self._writing.close()
        for engine in (self._reading, self._engine):
            if engine is not None:
                engine.dispose()

    def _transact(self, draw: Draw) -> list[Any]:
        works = draw()
        if self._writing is None:
            raise StoreBroken("this store was opened for reading only")
        with self._writing.begin():
            return [work(self._writing) for work in works]

    def _alone(self, work: Callable[[Connection], None]) -> None:
        assert self._engine is not None
        with self._engine.connect() as connection:
            work(connection.execution_options(own_transactions=True))

    def _read(self, work: Callable[[Connection], T]) -> T:
        assert self._reading is not None
        with self._reading.connect() as connection:
            return work(connection)


class PostgresBackend:
    """A PostgreSQL database, shared with any number of other daemons."""

    dialect = "postgresql"
    commits = 1

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql+asyncpg")
        self._engine: AsyncEngine | None = None
        self._lines: WeakSet[Any] = WeakSet()  # the driver's connections

    async def open(self) -> None:
        """Connect; raise `StoreBusy` if the server can't be reached."""
        self._engine = create_async_engine(
            self._url, pool_size=6, max_overflow=4, pool_pre_ping=True, async_creator=self._dial, **_ENGINE
        )
        event.listen(self._engine.sync_engine, "connect", self._note_line)
        try:
            async with self._engine.connect():
                pass
        except (DBAPIError, OSError) as error:
            await self._engine.dispose()
            where = self._url.set(drivername="postgresql").render_as_string(hide_password=True)
            why = getattr(error, "orig", None) or error
            raise StoreBusy(f"{where} can't be reached: {why}") from error

    async def close(self) -> None:
        """Disconnect."""
        if self._engine is not None:
            await self._engine.dispose()

    async def transact(self, draw: Draw) -> list[Any]:
        """Draw and run units in one transaction."""
        works = draw()
        assert self._engine is not None
        async with self._engine.begin() as connection:
            return await connection.run_sync(lambda sync: [work(sync) for work in works])

    async def transact_alone(self, work: Callable[[Connection], None]) -> None:
        """Run one unit in a transaction of its own (DDL is transactional here)."""
        assert self._engine is not None
        async with self._engine.begin() as connection:
            await connection.run_sync(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a unit in a read-only transaction."""
        assert self._engine is not None
        async with self._engine.connect() as connection:
            await connection.execution_options(postgresql_readonly=True)
            return await connection.run_sync(work)

    def hang_up(self) -> None:
        """Cut every line to the server: one that was cut in between would be waited on for ever."""
        for line in list(self._lines):
            line.terminate()

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Any]:
        """Lend one of the driver's connections, in no transaction, for as long as the block runs."""
        assert self._engine is not None
        async with self._engine.connect() as connection:
            yield (await connection.get_raw_connection()).driver_connection

    async def _dial(self) -> Any:
        """Connect. The driver itself reads the address, as libpq would: sslmode, sslrootcert, several hosts."""
        address = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        return await asyncpg.connect(address, timeout=_CONNECT_S)

    def _note_line(self, connection: Any, _record: object) -> None:
        self._lines.add(connection.driver_connection)


def keep_private(path: Path) -> None:
    """Let only our own user read a file of ours: it holds what families wrote, and keys. SQLite's others follow it."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def _prepare_writer(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # NORMAL may lose the last commits at a power cut: not acceptable after a 2xx
        "foreign_keys=ON",
        "busy_timeout=5000",
        "journal_size_limit=67108864",
        "cache_size=-16000",
        "temp_store=MEMORY",  # the journal of a statement with many rows: as a file, it was made and removed each time
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _prepare_reader(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON").close()
    connection.execute("PRAGMA busy_timeout=5000").close()


def _begin_immediate(connection: Connection) -> None:
    if not connection.get_execution_options().get("own_transactions"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
