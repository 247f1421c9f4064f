"""A copy of the store while it is in use: one consistent state, checked, and either complete or not there at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from router.errors import Conflict, NotFound, SignpostError, StoreBroken
from router.store.restored import BACKUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.interfaces import Progress

_STEP = 1024  # pages copied between two looks at the clock, 4 MB: nothing else waits for them
_BUSY_S, _TELL_S = 30.0, 2.0
_MARGIN = 16_777_216  # bytes that must stay free for others
_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A finished copy; `size` in bytes. `messages` is how many it holds, None where only its maker could tell."""

    path: Path
    size: int
    messages: int | None = None


def copy_sqlite(source: Path, to: Path, progress: Progress) -> Backup:
    """Copy an SQLite store to a file that only we may read, and check the copy. No writer waits for it.

    What is copied is the state at the beginning, whatever is committed meanwhile: the reading transaction that stays
    open on our own connection keeps `sqlite3_backup_step` from starting again (sqlite.org/backup.html). Raises
    `Conflict` if `to` is there, `StoreBroken` if the store is damaged, `SignpostError` for whatever else prevents it.
    """
    with _growing(to) as growing:
        try:
            began = datetime.now(UTC)
            _copy_pages(source, growing, progress)
            _mark(growing, began)
            progress("checking the copy", 1.0)
            messages = _checked(growing)
        except sqlite3.Error as error:
            raise _in_words(error, source, to) from error
    return Backup(path=to, size=to.stat().st_size, messages=messages)


def dump_command(url: str, to: Path | str) -> list[str]:
    """Return the command that copies a PostgreSQL database, without its password."""
    address = make_url(url).set(drivername="postgresql")._replace(password=None)  # to `set`, None is "as it is"
    return ["pg_dump", "--format=custom", f"--file={to}", f"--dbname={address.render_as_string()}"]


def dump_postgresql(url: str, to: Path, tell: Callable[[int], None]) -> Backup:
    """Copy a PostgreSQL database by `pg_dump`, one consistent state, to a file that only we may read.

    `tell` is called every two seconds with how many bytes are written. Raises `Conflict` if `to` is there, `NotFound`
    if there is no `pg_dump`, `SignpostError` with what it said if it failed.
    """
    program = shutil.which("pg_dump")
    if program is None:
        raise NotFound("pg_dump isn't installed here (Debian: postgresql-client)")
    with _growing(to) as growing:
        command = [program, *dump_command(url, growing)[1:], "--no-password"]
        status, said = _run(command, make_url(url).password, lambda: tell(growing.stat().st_size))
        if status:
            raise SignpostError(f"pg_dump failed: {said.strip() or f'status {status}'}")
    return Backup(path=to, size=to.stat().st_size)


def _run(command: list[str], password: object, tell: Callable[[], None]) -> tuple[int, str]:
    """Run a command, and return its status and its complaints. Others can read its words, but not its environment."""
    env = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:  # noqa: S603  our own command
        try:
            said = None
            while said is None:
                try:
                    _, said = running.communicate(timeout=_TELL_S)
                except subprocess.TimeoutExpired:
                    tell()
        except BaseException:
            running.kill()
            raise
    return running.returncode, said


@contextmanager
def _growing(to: Path) -> Iterator[Path]:
    """Yield an empty private file beside `to`; when the block has ended well, it is on disk under that name."""
    if to.exists() or to.is_symlink():
        raise _is_there(to)
    try:
        number, name = tempfile.mkstemp(dir=to.parent, prefix=".signpost-backup-")
    except OSError as error:
        raise SignpostError(f"nothing can be written to {to.parent}: {error.strerror}") from error
    os.close(number)
    growing = Path(name)
    try:
        yield growing
        _sync(growing)
        _put_in_place(growing, to)
        _sync(to.parent)
    finally:
        growing.unlink(missing_ok=True)


def _put_in_place(growing: Path, to: Path) -> None:
    """Give the file its name, unless somebody else has taken it meanwhile."""
    try:
        to.hardlink_to(growing)
    except FileExistsError as error:
        raise _is_there(to) from error
    except OSError:  # a file system without links
        if to.exists():
            raise _is_there(to) from None
        growing.rename(to)


def _is_there(to: Path) -> Conflict:
    return Conflict(f"{to} is there already, and a backup never overwrites anything: choose another name")


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _reading(path: Path, *options: str) -> sqlite3.Connection:
    address = "?".join([path.absolute().as_uri(), "&".join(["mode=ro", *options])])
    return sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None)


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + _MARGIN:
        raise SignpostError(
            f"the backup needs {size / _MB:,.0f} MB, and {folder} has room for {free / _MB:,.0f} MB: "
            "choose another place with --to"
        )


def _copy_pages(source: Path, growing: Path, progress: Progress) -> None:
    with closing(_reading(source)) as store, closing(sqlite3.connect(growing, isolation_level=None)) as copy:
        store.execute("BEGIN")
        (pages,), (page_size,) = (store.execute(f"PRAGMA {each}").fetchone() for each in ("page_count", "page_size"))
        _check_room(growing.parent, pages * page_size)
        for pragma in ("journal_mode=OFF", "synchronous=OFF"):  # half a copy is thrown away, a whole one is synced
            copy.execute(f"PRAGMA {pragma}").close()

        def tell(_status: int, remaining: int, total: int) -> None:
            done = total - remaining
            progress(f"{done * page_size / _MB:,.0f} of {total * page_size / _MB:,.0f} MB", done / max(total, 1))

        store.backup(copy, pages=_STEP, progress=tell)


def _mark(growing: Path, began: datetime) -> None:
    """Let the copy say what it is: whoever starts on it then knows that there was something after it."""
    with closing(sqlite3.connect(growing, isolation_level=None)) as copy:
        if copy.execute("SELECT 1 FROM sqlite_schema WHERE name = 'marks'").fetchone():
            at = began.isoformat(" ", "microseconds").removesuffix("+00:00")  # as the column's type writes it
            copy.execute("INSERT OR REPLACE INTO marks (name, at) VALUES (?, ?)", (BACKUP, at))


def _checked(growing: Path) -> int:
    """Check every page and index of the copy, which nobody else has open, and return how many messages it holds."""
    with closing(_reading(growing, "immutable=1")) as copy:
        (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise StoreBroken(f"the copy isn't sound, so nothing was kept: the store's file is damaged ({verdict})")
        (messages,) = copy.execute("SELECT count(*) FROM messages").fetchone()
        return int(messages)


def _in_words(error: sqlite3.Error, source: Path, to: Path) -> SignpostError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte; extended codes say more
    if code == sqlite3.SQLITE_FULL:
        return SignpostError(f"{to.parent} is full, and nothing was kept: choose another place with --to")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreBroken(f"the store's file is damaged ({error}); nothing was copied: keep the backups you have")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return SignpostError(f"{source} can't be read ({error}): run this as the user that runs the daemon")
    return SignpostError(f"the store can't be copied: {error}")
