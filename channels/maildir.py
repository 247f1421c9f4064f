"""Maildir folders on this machine, in and out: mail in one of them is taken in, departments' mail is put into others.

One block of settings serves both: as a sink, a destination's `to` is the name of a Maildir below `path`; as a source,
`mailbox` names the Maildir below `path` that is read (left out, nothing is).
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import uuid4

import structlog
from pydantic import AfterValidator, Field

from channels._check_maildir import check_maildirs
from channels._failures import failure
from channels._forward import compose, is_address
from router.acknowledging import Acknowledging
from router.errors import Permanent, Refused, SourceUnavailable, StoreBroken, StoreBusy, TooLarge
from router.interfaces import Accept, Channel, Context
from router.records import Inbound, Medium
from router.settings import Duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.findings import Checking
    from router.interfaces import CheckContext
    from router.records import Forward

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FOLDERS = ("tmp", "new", "cur")
_NAME_WORDS = "letters, digits, dot, hyphen and underscore (at most 64), and neither tmp, new, cur nor INBOX"
_AT_ONCE = 16  # messages handed over together, so that they share a commit


def check_address(to: str) -> str:
    """Return a sentence if `to` can't be the name of a Maildir, else ""."""
    fit = _NAME.fullmatch(to) and ".." not in to and to not in {*_FOLDERS, "INBOX"}
    return "" if fit else f"must be the name of a Maildir: {_NAME_WORDS}"


def _check_mailbox(value: str) -> str:
    if value not in {"", "INBOX"} and check_address(value):
        raise ValueError(f"must be INBOX, or {_NAME_WORDS}")
    return value


def _check_from(value: str) -> str:
    if not is_address(value):
        raise ValueError("must be one e-mail address")
    return value


class MaildirSettings(Acknowledging):
    """A folder of this machine that holds Maildirs."""

    path: str = Field(min_length=1, description="The folder that holds the Maildirs; made if it isn't there.")
    mailbox: Annotated[str, AfterValidator(_check_mailbox)] = Field(
        "",
        description="The Maildir below `path` to take messages from; INBOX is `path` itself. Left out, nothing is "
        "taken in and the channel only delivers.",
    )
    start: Literal["new", "all"] = Field(
        "new",
        description="What is taken in. new: what lies in the Maildir's new/. all: the first time, what was read "
        "before (cur/), too.",
    )
    poll: Duration = Field(parse_duration("1s"), description="How often to look for new messages.")
    from_address: Annotated[str, AfterValidator(_check_from)] = Field(
        "signpost@localhost", alias="from", description="The sender's address in delivered mail."
    )

    @property
    def reads(self) -> bool:
        """Whether messages are taken in at all."""
        return bool(self.mailbox)


# --- out --------------------------------------------------------------------------------------------------------------


class MaildirSink:
    """Delivers by tmp, fsync, rename, fsync; a retry writes the same file name, so that there is only one copy."""

    concurrency = 4

    def __init__(self, settings: MaildirSettings, context: Context) -> None:
        self._base = _base(settings, context)
        self._sender = settings.from_address

    async def send(self, forward: Forward) -> str:
        """Put the mail into the Maildir named by the destination and return its file name."""
        to = forward.delivery.to
        if check_address(to):
            raise Permanent("the destination is no name of a Maildir")
        try:
            return await asyncio.to_thread(self._put, forward, to)
        except OSError as error:
            raise failure(error) from error

    def _put(self, forward: Forward, to: str) -> str:
        folder = self._base / to
        make_maildir(folder)
        name = "signpost." + hashlib.sha256(forward.mail_id.encode("utf-8", "replace")).hexdigest()[:32]
        if forward.delivery.attempts > 1 and _was_read(folder, name):
            return name
        recipient = f"{to}@{self._sender.rpartition('@')[2]}"
        _write(folder, name, compose(forward, sender=self._sender, recipient=recipient))
        return name

    async def aclose(self) -> None:
        """Nothing is kept open."""


def make_maildir(folder: Path) -> None:
    """Make the three folders of a Maildir unless they are there, for this user only."""
    if all((folder / name).is_dir() for name in _FOLDERS):
        return
    for name in _FOLDERS:
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    _sync(folder)
    _sync(folder.parent)


def _was_read(folder: Path, name: str) -> bool:
    """Tell whether an earlier attempt arrived and a reader moved it on, with flags behind the name."""
    with os.scandir(folder / "cur") as entries:
        return any(entry.name.partition(":")[0] == name for entry in entries)


def _write(folder: Path, name: str, mail: bytes) -> None:
    temporary = folder / "tmp" / f"{name}.{uuid4().hex}"
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(mail)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / "new" / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync(folder / "new")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- in ---------------------------------------------------------------------------------------------------------------


class MaildirSource:
    """Takes the files of new/ in and moves each to cur/ once it is on disk: flag S (seen), or F if it was refused."""

    def __init__(self, settings: MaildirSettings, context: Context) -> None:
        self._context = context
        self._folder = _inbox(settings, context)
        self._all = settings.start == "all"
        self._poll_s = settings.poll.total_seconds()
        self._log = structlog.get_logger().bind(channel=context.name)
        self._taken: set[str] = set()  # handed over, yet still lying there
        self._reported: set[str] = set()  # can't be read or moved: said once

    async def run(self, accept: Accept) -> None:
        """Take messages in until cancelled; raise `SourceUnavailable` if the folder can't be used."""
        try:
            await asyncio.to_thread(make_maildir, self._folder)
            while True:
                await self._pass(accept)
                self._context.on_proof()
                await asyncio.sleep(self._poll_s)
        except OSError as error:
            raise SourceUnavailable(f"the Maildir can't be read: {error.strerror}") from error

    async def _pass(self, accept: Accept) -> None:
        files, left = await asyncio.to_thread(self._waiting), 0
        for start in range(0, len(files), _AT_ONCE):
            batch = files[start : start + _AT_ONCE]
            results = await asyncio.gather(*(self._take(file, accept) for file in batch), return_exceptions=True)
            left += self._count_failures(results)
            if any(isinstance(result, StoreBusy) for result in results):
                return  # the next pass finds them again
        if self._all and not left:
            await asyncio.to_thread(self._mark.touch)

    def _count_failures(self, results: list[BaseException | None]) -> int:
        failures = [result for result in results if result is not None]
        for result in failures:
            if isinstance(result, StoreBroken) or not isinstance(result, Exception):
                raise result
        if failures:
            self._log.warning("messages_left_for_later", count=len(failures), error=type(failures[0]).__name__)
        return len(failures)

    @property
    def _mark(self) -> Path:
        return self._folder / f".signpost-{self._context.name}"  # there once cur/ has been taken in

    def _waiting(self) -> list[Path]:
        folders = ["new", "cur"] if self._all and not self._mark.exists() else ["new"]
        files = [Path(entry) for name in folders for entry in self._entries(name)]
        return [file for file in files if _key(file) not in self._taken]

    def _entries(self, name: str) -> Iterator[str]:
        with os.scandir(self._folder / name) as entries:
            yield from sorted(entry.path for entry in entries if not entry.name.startswith("."))

    async def _take(self, file: Path, accept: Accept) -> None:
        try:
            original = await asyncio.to_thread(_read, file, self._context.max_message_bytes)
        except FileNotFoundError:
            return None  # somebody else took it
        except OSError as error:
            return self._report(file, error)
        except TooLarge as error:
            return await self._refused(file, error)
        try:
            await accept(self._inbound(file, original))
        except Refused as error:
            return await self._refused(file, error)
        return await self._done(file, "S")

    async def _refused(self, file: Path, error: Refused) -> None:
        self._log.error("message_refused", error=type(error).__name__)
        await self._done(file, "F")

    async def _done(self, file: Path, flag: str) -> None:
        """Move a file of new/ on; one of cur/ stays as its reader left it."""
        self._taken.add(_key(file))
        if file.parent.name == "new":
            await self._move(file, flag)

    async def _move(self, file: Path, flag: str) -> None:
        try:
            await asyncio.to_thread(_to_cur, file, flag)
        except FileNotFoundError:
            pass  # somebody else moved it
        except OSError as error:
            self._report(file, error)
            return
        self._taken.discard(_key(file))

    def _inbound(self, file: Path, original: bytes) -> Inbound:
        # A name alone could be used twice by a careless program; the same name with the same bytes is the same mail.
        digest = hashlib.sha256(original).hexdigest()[:32]
        return Inbound(
            source_key=f"{file.name.partition(':')[0]}:{digest}",
            channel=self._context.name,
            medium=Medium.EMAIL,
            received_at=self._context.clock.now(),
            original=original,
        )

    def _report(self, file: Path, error: OSError) -> None:
        if file.name not in self._reported:
            self._reported.add(file.name)
            self._log.error("file_left_in_maildir", error=errno.errorcode.get(error.errno or 0, type(error).__name__))


def _key(file: Path) -> str:
    return f"{file.parent.name}/{file.name.partition(':')[0]}"


def _read(file: Path, limit: int) -> bytes:
    """Return a plain file's bytes; raise `TooLarge` beyond `limit`, OSError for anything that isn't a plain file."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would make us wait for its writer
    with os.fdopen(handle, "rb") as stream:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        original = b"" if found.st_size > limit else stream.read(limit + 1)
    if found.st_size > limit or len(original) > limit:
        raise TooLarge(f"the message is larger than {limit} bytes")
    return original


def _to_cur(file: Path, flag: str) -> None:
    base, _, info = file.name.partition(":")
    flags = "".join(sorted({*info.removeprefix("2,"), flag}))
    target = file.parent.parent / "cur" / f"{base}:2,{flags}"
    if target.exists():  # another message of that name: both stay
        target = target.with_name(f"{base}.{uuid4().hex[:8]}:2,{flags}")
    file.rename(target)


def _base(settings: MaildirSettings, context: Context) -> Path:
    return (context.base_dir or Path()) / settings.path


def _inbox(settings: MaildirSettings, context: Context) -> Path:
    return _base(settings, context) / ("" if settings.mailbox in {"", "INBOX"} else settings.mailbox)


def _check(settings: MaildirSettings, context: CheckContext) -> Checking:
    return check_maildirs(_base(settings, context), _inbox(settings, context) if settings.reads else None, context)


CHANNEL = Channel(
    summary="Maildir folders on this machine, to take mail from and to put mail into.",
    settings=MaildirSettings,
    source=MaildirSource,
    sink=MaildirSink,
    check_address=check_address,
    reads=lambda settings, _address: settings.reads,
    takes_in=lambda settings: settings.reads,
    check=_check,
    polls=lambda settings: settings.poll if settings.reads else None,
)
