"""The control socket: how a command reaches the running daemon. One JSON line to ask, one to answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import make_url

from router import errors
from router.errors import SignpostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from structlog.typing import FilteringBoundLogger

    Run = Callable[[str, dict[str, Any]], Awaitable[Any]]

_LONGEST_LINE = 16 * 1_048_576
_LONGEST_PATH = 100  # sun_path has room for 107 bytes


def socket_path(store_url: str) -> Path:
    """Return where the daemon that owns a store listens: beside an SQLite file, else in the run-time directory.

    Where that path would be too long for a socket (unix(7)), in a folder of this user's own.
    """
    url = make_url(store_url)
    if url.drivername.startswith("sqlite") and url.database:
        path = Path(url.database).absolute()
        path = path.with_name(path.name + ".sock")
        if len(os.fsencode(path)) <= _LONGEST_PATH:
            return path
        store_url = str(path)
    given = os.environ.get("RUNTIME_DIRECTORY") or os.environ.get("XDG_RUNTIME_DIR")
    path = (Path(given) if given else _own_folder()) / _name(store_url)
    if given and len(os.fsencode(path)) > _LONGEST_PATH:
        return _own_folder() / _name(f"{given} {store_url}")
    return path


def _name(whose: str) -> str:
    return f"signpost-{hashlib.sha256(whose.encode()).hexdigest()[:16]}.sock"


def _own_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"signpost-{os.geteuid()}"


def claim_folder(folder: Path) -> None:
    """Make a folder that only this user may enter; raise `SignpostError` if somebody else has made it.

    Its name can be guessed, and anybody may write beside it: a socket of somebody else's would be believed.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise SignpostError(f"{folder} isn't this user's own folder: remove it, or set XDG_RUNTIME_DIR to another")
    folder.chmod(0o700)


@asynccontextmanager
async def serve(path: Path, run: Run, log: FilteringBoundLogger) -> AsyncIterator[None]:
    """Answer commands while the block runs: `run` runs one. Only the daemon's own user can connect."""
    _make_room(path)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            writer.write(json.dumps(await _outcome(run, line, log)).encode() + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError):
            pass  # the command went away, or said something absurd
        finally:
            writer.close()

    previous = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(answer, path, limit=_LONGEST_LINE)
    finally:
        os.umask(previous)
    made = _identity(path)
    try:
        yield
    finally:
        server.close()
        _remove(path, made)


def _make_room(path: Path) -> None:
    """Remove the socket of a daemon that was killed; the lock of an SQLite store keeps a second living one out."""
    if path.parent == _own_folder():
        claim_folder(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


def _remove(path: Path, made: tuple[int, int] | None) -> None:
    """Remove the socket we made: on PostgreSQL another daemon may have taken its name over."""
    if _identity(path) == made:
        path.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


async def _outcome(run: Run, line: bytes, log: FilteringBoundLogger) -> dict[str, Any]:
    try:
        asked = json.loads(line)
        log.info("command", command=str(asked["command"]))
        return {"result": await run(asked["command"], asked["arguments"])}
    except SignpostError as error:
        return {"error": {"kind": type(error).__name__, "message": str(error)}}
    except Exception as error:
        log.exception("command_failed")
        return {"error": {"kind": "SignpostError", "message": f"{type(error).__name__}: {error}"}}


async def ask(path: Path, command: str, arguments: dict[str, Any]) -> Any:
    """Ask the daemon and return its answer.

    Raises `ConnectionError` or `FileNotFoundError` if no daemon listens, else the `SignpostError` that it answered.
    """
    if path.parent == _own_folder():
        claim_folder(path.parent)
    reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST_LINE)
    try:
        writer.write(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise ConnectionResetError("the daemon closed the connection")
    answered = json.loads(line)
    if "error" in answered:
        kind = getattr(errors, answered["error"]["kind"], SignpostError)
        raise kind(answered["error"]["message"])
    return answered["result"]
