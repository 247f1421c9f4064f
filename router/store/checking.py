"""What `signpost check --connect` does with the store: can it be used, is there room, does its clock agree with ours.

It only reads, so that it may be done beside the running daemon, and makes nothing where there is no store yet.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, make_url, select, text

from router.errors import StoreBroken, StoreBusy
from router.findings import Checking, Finding, failed, fine, remark
from router.store import migrate
from router.store.engine import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    from router.interfaces import Clock

_FULL, _LITTLE = 100_000_000, 1_000_000_000  # octets free
_NETWORKED = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "fuse.s3fs", "9p", "afs", "ceph"})
_OLDEST = 13  # major version of PostgreSQL that its makers still mend (postgresql.org/support/versioning)
_CLOCK_REMARK, _CLOCK_FAILED = timedelta(seconds=2), timedelta(minutes=5)
# SQLSTATE (PostgreSQL manual, appendix A) → what is wrong, how to mend it
_REFUSED = {
    "28P01": ("The database refuses the user name or the password.", "correct the user in url and the password"),
    "28000": ("The database lets this user in from here by no way.", "make the role, and allow it in pg_hba.conf"),
    "3D000": ("The server has no database of this name.", "make it (createdb), or correct its name in url"),
    "53300": ("The database server has too many connections.", "raise max_connections, or close others"),
    "57P03": ("The database server is just starting or stopping.", "check again in a minute"),
}


async def check_store(url: str, *, daemon_runs: bool, clock: Clock) -> Checking:
    """Yield what is fine and what isn't; `url` may hold the password and is never shown."""
    if url.startswith("sqlite"):
        path = _path(url)
        yield f"looking at {path}"
        for found in await asyncio.to_thread(list, _place(path, daemon_runs=daemon_runs)):
            yield found
        if not path.exists():
            return
    else:
        yield f"connecting to {_shown(url)}"
    store = open_store(url, read_only=True)
    try:
        await store.open()
        before = clock.now()
        facts = await store.read(_facts)
        for found in _judged(facts, before + (clock.now() - before) / 2, daemon_runs=daemon_runs):
            yield found
    except (StoreBusy, StoreBroken) as error:
        yield _unusable(url, error)
    finally:
        await store.close()


def _path(url: str) -> Path:
    return Path(make_url(url).database or "").absolute()


def _shown(url: str) -> str:
    return make_url(url).set(password=None).render_as_string()


# --- an SQLite file ---------------------------------------------------------------------------------------------------


def _place(path: Path, *, daemon_runs: bool) -> Iterator[Finding]:
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        yield failed(f"{path} can't be made: {folder} isn't a folder.", "correct store.url")
        return
    closed = [each for each in (folder, path) if each.exists() and not os.access(each, os.W_OK)]
    if closed:
        mend = "let the user that runs Signpost write there (chown), or check as that user"
        yield failed(f"{closed[-1]} can't be written to by this user.", mend)
    elif path.exists():
        beside = ", and looked at read-only beside the running daemon" if daemon_runs else ""
        yield fine(f"{path} is there{beside}.")
    else:
        yield fine(f"There is no store yet: the first start makes {path}.")
    yield from _owner(path)
    yield from _room(folder)
    kind = _file_system(folder)
    if kind in _NETWORKED:
        mend = "have it on a disk of this machine, or use PostgreSQL"
        yield failed(f"{path} lies on a network file system ({kind}), where SQLite's locks can't be trusted.", mend)


def _owner(path: Path) -> Iterator[Finding]:
    if path.is_file() and (owner := path.stat().st_uid) != os.geteuid():
        yield remark(
            f"{path} belongs to another user (number {owner}) than the one who checks.",
            "check as the user that runs the daemon: what is well for one may be closed to the other",
        )


def _room(path: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(path).free
    if free < _FULL:
        yield failed(
            f"Only {free / 1e6:.0f} MB are free on the store's disk.", "make room, before messages are refused"
        )
    elif free < _LITTLE:
        yield remark(f"Only {free / 1e6:.0f} MB are free on the store's disk.", "make room soon")


def _file_system(path: Path) -> str:
    """Return the type of file system a path is on, by the longest mount point above it; "" where Linux can't tell."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:  # proc(5): … the fifth field is the mount point, the type follows a lone hyphen
        point = line.split()[4].replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, line.partition(" - ")[2].split()[0]
    return kind


# --- what is in it ----------------------------------------------------------------------------------------------------


def _facts(connection: Connection) -> dict[str, Any]:
    revision = migrate.revision(connection)
    fits = revision <= migrate.HEAD or migrate.fits(connection)
    facts: dict[str, Any] = {"revision": revision, "fits": fits, "dialect": connection.dialect.name}
    if connection.dialect.name == "postgresql":
        asked = {name: connection.execute(text(f"SHOW {name}")).scalar() for name in ("server_version_num", "fsync")}
        facts |= asked | {
            "now": connection.execute(select(func.clock_timestamp())).scalar(),
            "standby": connection.execute(select(func.pg_is_in_recovery())).scalar(),
            "may_make": connection.execute(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar(),
            "commit": connection.execute(text("SHOW synchronous_commit")).scalar(),
        }
    return facts


def _judged(facts: dict[str, Any], now: datetime, *, daemon_runs: bool) -> Iterator[Finding]:
    yield _schema(facts["revision"], fits=facts["fits"], daemon_runs=daemon_runs)
    if facts["dialect"] != "postgresql":
        return
    version = int(facts["server_version_num"]) // 10_000
    yield fine(f"The database answers: PostgreSQL {version}.")
    if version < _OLDEST:
        yield remark(f"PostgreSQL {version} isn't maintained any more.", "plan to go to a newer one")
    if facts["standby"]:
        yield failed("The database is a standby, which only reads.", "name the primary in store.url")
    elif not facts["may_make"]:
        yield failed(
            "This user may make no tables in the database.", "GRANT CREATE ON SCHEMA public, or make the user its owner"
        )
    if facts["fsync"] == "off" or facts["commit"] == "off":
        which = "fsync" if facts["fsync"] == "off" else "synchronous_commit"
        yield remark(
            f"The database says yes before a message is on disk ({which} is off): a power cut may lose messages.",
            f"set {which} = on",
        )
    yield from _clock(facts["now"], now)


def _schema(revision: str, *, fits: bool, daemon_runs: bool) -> Finding:
    if not revision:
        return fine("No tables are there yet: the first start makes them.")
    if revision > migrate.HEAD and fits:
        newer = (
            f"The store was brought up to date by a newer Signpost (schema {revision}), which this one can live with."
        )
        return remark(newer, "install that version here, too")
    if revision > migrate.HEAD:
        return failed(
            f"The store was written by a newer Signpost (schema {revision}; this one knows {migrate.HEAD}).",
            "install that version or a newer one, or go back to a backup",
        )
    if revision < migrate.HEAD:
        when = (
            "the daemon is of another version than this command"
            if daemon_runs
            else "the next start brings it up to date"
        )
        return remark(f"The store's schema is {revision}, and this version's is {migrate.HEAD}: {when}.")
    return fine(f"Its schema ({revision}) is this version's.")


def _clock(theirs: datetime, ours: datetime) -> Iterator[Finding]:
    off = abs(theirs - ours)
    if off <= _CLOCK_REMARK:
        return
    what = f"This machine's clock and the database's differ by {off.total_seconds():.0f} s."
    mend = "let both keep time by NTP (timedatectl set-ntp true)"
    yield failed(what, mend) if off > _CLOCK_FAILED else remark(what, mend)


# --- why it can't be used ---------------------------------------------------------------------------------------------


def _unusable(url: str, error: Exception) -> Finding:
    if isinstance(error, StoreBroken):
        return failed(
            "The store's file is damaged, or isn't an SQLite database.",
            "put a backup in its place, or name another file in store.url",
        )
    place = make_url(url)
    where = f"{place.host}, port {place.port or 5432}" if place.host else "the database"
    for cause in _causes(error):
        known = _REFUSED.get(getattr(cause, "sqlstate", None) or "")
        if known:
            return failed(*known)
        if isinstance(cause, socket.gaierror):
            return failed(
                f"There is no host named {place.host}, or no name server answers.", "correct store.url, or DNS"
            )
        if isinstance(cause, ConnectionRefusedError):
            return failed(
                f"Nothing listens on {where}: the connection was refused.", "start PostgreSQL, or correct url"
            )
        if isinstance(cause, FileNotFoundError):
            return failed("There is no socket of PostgreSQL where url says.", "start PostgreSQL, or correct url")
    return failed(f"The store can't be used: {_last(error)}.", "look at the database's own log")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        original = getattr(error, "orig", None)
        error = original if isinstance(original, BaseException) else error.__cause__


def _last(error: Exception) -> str:
    words = " ".join(str(list(_causes(error))[-1]).split())
    return words[:200].rstrip(".") or type(error).__name__
