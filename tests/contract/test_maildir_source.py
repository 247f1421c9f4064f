"""The Maildir source: every file is taken in once, and moved only after it is on disk."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from channels.maildir import CHANNEL, MaildirSettings, MaildirSource
from router.errors import Malformed, SourceUnavailable, StoreBroken, StoreBusy
from router.records import Inbound, Medium, Receipt
from router.testing import running_source, until
from router.testing_sinks import sample_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAIL = b"From: ana@example.org\nSubject: Bus 12\n\nIt was late.\n"


class Intake:
    """Records what is handed over; `failures` are raised first."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.taken: list[Inbound] = []
        self.calls = 0
        self.before: Callable[[Inbound], None] = lambda _inbound: None

    async def accept(self, inbound: Inbound) -> Receipt:
        self.calls += 1
        self.before(inbound)
        if self.failures:
            raise self.failures.pop(0)
        duplicate = inbound.source_key in [known.source_key for known in self.taken]
        if not duplicate:
            self.taken.append(inbound)
        return Receipt(message_id=f"m{len(self.taken)}", duplicate=duplicate)


def source_of(base: Path, *, limit: int = 1_000_000, **changes: Any) -> MaildirSource:
    values = {"path": str(base), "mailbox": "INBOX", "poll": "5ms"} | changes
    return MaildirSource(MaildirSettings.model_validate(values), sample_context(max_message_bytes=limit))


def put(base: Path, name: str, mail: bytes = MAIL, folder: str = "new") -> Path:
    (base / folder).mkdir(parents=True, exist_ok=True)
    temporary = base / f"{name}.tmp"
    temporary.write_bytes(mail)
    return temporary.rename(base / folder / name)


def listing(base: Path, folder: str) -> list[str]:
    return sorted(file.name for file in (base / folder).glob("*"))


async def test_a_file_is_taken_in_and_moved(tmp_path: Path):
    """A file in new/ becomes a message with its bytes as they are, and lies in cur/ as seen."""
    intake = Intake()
    async with running_source(source_of(tmp_path), intake.accept):
        await until((tmp_path / "new").is_dir)
        put(tmp_path, "1.host")
        await until(lambda: listing(tmp_path, "cur"))
    (inbound,) = intake.taken
    assert (inbound.original, inbound.medium, inbound.channel) == (MAIL, Medium.EMAIL, "sink")
    assert inbound.received_at.tzinfo is not None
    assert (listing(tmp_path, "new"), listing(tmp_path, "cur")) == ([], ["1.host:2,S"])


async def test_it_is_moved_only_after_it_was_accepted(tmp_path: Path):
    """While `accept` runs, the file still lies in new/."""
    intake, seen = Intake(), []
    file = put(tmp_path, "1.host")
    intake.before = lambda _inbound: seen.append(file.exists())
    async with running_source(source_of(tmp_path), intake.accept):
        await until(lambda: not file.exists())
    assert seen == [True]


async def test_a_crash_between_accepting_and_moving_makes_no_copy(tmp_path: Path):
    """The same file has the same key after a restart, so the intake recognises it."""
    put(tmp_path, "1.host")
    first, second = Intake(), Intake()
    async with running_source(source_of(tmp_path), first.accept):
        await until(lambda: first.taken and listing(tmp_path, "cur"))
    (tmp_path / "cur" / "1.host:2,S").rename(tmp_path / "new" / "1.host")
    async with running_source(source_of(tmp_path), second.accept):
        await until(lambda: second.taken)
    assert first.taken[0].source_key == second.taken[0].source_key


async def test_a_name_used_twice_is_two_messages(tmp_path: Path):
    """A program that reuses a file name loses nothing: the key covers the bytes, and both files stay in cur/."""
    intake = Intake()
    async with running_source(source_of(tmp_path), intake.accept):
        for mail in (MAIL, MAIL + b"Again.\n"):
            count = len(intake.taken)
            put(tmp_path, "mail", mail)
            await until(lambda count=count: len(intake.taken) > count and not listing(tmp_path, "new"))
    assert len({inbound.source_key for inbound in intake.taken}) == 2
    assert len(listing(tmp_path, "cur")) == 2


@pytest.mark.parametrize("failure", [StoreBusy("full"), RuntimeError("bug")])
async def test_a_failing_store_leaves_the_file(tmp_path: Path, failure: Exception):
    """What couldn't be stored stays in new/ and is tried again; the others go on."""
    for number in range(40):
        put(tmp_path, f"{number}.host", MAIL + b"%d\n" % number)
    intake = Intake(failure, failure)
    async with running_source(source_of(tmp_path), intake.accept):
        await until(lambda: not listing(tmp_path, "new"))
    assert len(intake.taken) == 40
    assert intake.calls == 42


async def test_a_broken_store_stops_it(tmp_path: Path):
    """`StoreBroken` gets out."""
    put(tmp_path, "1.host")
    with pytest.raises(StoreBroken):
        await asyncio.wait_for(source_of(tmp_path).run(Intake(StoreBroken("corrupt")).accept), 10)
    assert listing(tmp_path, "new") == ["1.host"]


async def test_a_refused_message_is_flagged(tmp_path: Path):
    """A message that is refused for good, or too large, lies in cur/ flagged, where a person sees it."""
    put(tmp_path, "1.refused")
    put(tmp_path, "2.large", b"x" * 5000)
    intake = Intake(Malformed("no"))
    async with running_source(source_of(tmp_path, limit=1000), intake.accept):
        await until(lambda: not listing(tmp_path, "new"))
    assert listing(tmp_path, "cur") == ["1.refused:2,F", "2.large:2,F"]
    assert intake.taken == []


async def test_odd_files_stop_nothing(tmp_path: Path):
    """A folder, a pipe, a link and a hidden file in new/ are left alone, and the mail behind them comes in."""
    put(tmp_path, "9.host")
    (tmp_path / "new" / "1.folder").mkdir()
    os.mkfifo(tmp_path / "new" / "2.pipe")
    (tmp_path / "new" / "3.link").symlink_to(tmp_path / "secret")
    (tmp_path / "new" / ".hidden").write_bytes(MAIL)
    intake = Intake()
    async with running_source(source_of(tmp_path), intake.accept):
        await until(lambda: listing(tmp_path, "cur"))
        put(tmp_path, "10.host", MAIL + b"second\n")
        await until(lambda: len(listing(tmp_path, "cur")) == 2)
    assert len(intake.taken) == 2
    assert listing(tmp_path, "new") == [".hidden", "1.folder", "2.pipe", "3.link"]


async def test_a_file_that_vanishes_is_no_trouble(tmp_path: Path):
    """Another reader may take a file while it is being accepted."""
    file = put(tmp_path, "1.host")
    put(tmp_path, "2.host", MAIL + b"second\n")
    intake = Intake()
    intake.before = lambda inbound: file.unlink(missing_ok=True)
    async with running_source(source_of(tmp_path), intake.accept):
        await until(lambda: len(intake.taken) >= 1 and not listing(tmp_path, "new"))
    assert "2.host:2,S" in listing(tmp_path, "cur")


async def test_old_mail_is_taken_once_if_asked_for(tmp_path: Path):
    """`start: all` takes cur/ the first time, leaves it as it was, and never again, not after a restart either."""
    for name in ("1.host:2,S", "2.host:2,RS"):
        put(tmp_path, name, MAIL + name.encode(), "cur")
    first, second, third = Intake(), Intake(), Intake()
    async with running_source(source_of(tmp_path), first.accept):
        await until((tmp_path / "new").is_dir)
        put(tmp_path, "3.host")
        await until(lambda: first.taken)
    assert len(first.taken) == 1
    async with running_source(source_of(tmp_path, start="all"), second.accept):
        await until((tmp_path / ".signpost-sink").exists)
    assert len(second.taken) == 3
    async with running_source(source_of(tmp_path, start="all"), third.accept):
        put(tmp_path, "4.host")
        await until(lambda: third.taken and not listing(tmp_path, "new"))
    assert [inbound.source_key[:6] for inbound in third.taken] == ["4.host"]
    assert listing(tmp_path, "cur")[:2] == ["1.host:2,S", "2.host:2,RS"]


async def test_it_proves_that_it_polls(tmp_path: Path):
    """Every completed look is reported, so that a silent channel is noticed."""
    proofs: list[None] = []
    settings = MaildirSettings.model_validate({"path": str(tmp_path), "mailbox": "in", "poll": "5ms"})
    source = MaildirSource(settings, sample_context(on_proof=lambda: proofs.append(None)))
    async with running_source(source, Intake().accept):
        await until(lambda: len(proofs) >= 3)
    assert (tmp_path / "in" / "new").is_dir()


async def test_a_folder_that_can_t_be_used_is_said(tmp_path: Path):
    """A path that is a file raises `SourceUnavailable`, which is run again later."""
    (tmp_path / "in").write_text("no folder")
    with pytest.raises(SourceUnavailable):
        await asyncio.wait_for(source_of(tmp_path, mailbox="in").run(Intake().accept), 10)


def test_without_a_mailbox_nothing_is_taken_in():
    """A channel that only delivers isn't a source."""
    assert not CHANNEL.takes_in(MaildirSettings(path="x"))
    assert CHANNEL.takes_in(MaildirSettings(path="x", mailbox="INBOX"))
    with pytest.raises(ValueError, match="INBOX"):
        MaildirSettings(path="x", mailbox="../elsewhere")
