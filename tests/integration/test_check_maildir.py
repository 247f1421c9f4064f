"""`check --connect` with Maildirs: can they be made and written, and do mails wait."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from channels.maildir import CHANNEL, make_maildir
from router.findings import Level
from router.testing_checks import CheckContract, failures, findings

SHARED = Path("/dev/shm")


def _is_another_file_system(path, than):
    return path.is_dir() and path.stat().st_dev != than.stat().st_dev


class TestMaildirCheck(CheckContract):
    """The suite."""

    channel = CHANNEL

    def good(self, folder):
        return {"path": str(folder / "desks")}

    def bad(self, folder):
        (folder / "file").touch()
        return {"path": str(folder / "file" / "desks")}


async def test_nothing_is_made(tmp_path):
    """A folder that isn't there yet is fine, and still isn't there afterwards."""
    path = tmp_path / "var" / "desks"
    found = await findings(CHANNEL, {"path": str(path)}, destinations=("office",))
    assert [finding.what for finding in found] == [f"{path} isn't there yet and will be made."]
    assert list(tmp_path.iterdir()) == []


async def test_a_mailbox_with_mail(tmp_path):
    """What waits is counted, and nothing is left behind in the Maildir."""
    make_maildir(tmp_path / "in")
    (tmp_path / "in" / "new" / "1.a.b").write_bytes(b"\r\n")
    found = await findings(CHANNEL, {"path": str(tmp_path), "mailbox": "in"})
    assert [finding.what for finding in found] == [
        f"{tmp_path} is there and can be written to.",
        f"{tmp_path / 'in'} has 1 mail to take in.",
    ]
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["1.a.b"]


async def test_a_mailbox_that_is_not_there(tmp_path):
    """Reading from a Maildir that nobody has made yet is mostly a wrong name."""
    found = await findings(CHANNEL, {"path": str(tmp_path), "mailbox": "inn"})
    assert found[-1].level is Level.REMARK
    assert f"There is no Maildir at {tmp_path / 'inn'} yet" in found[-1].what


async def test_a_file_where_the_folder_should_be(tmp_path):
    """As the path, and as a destination."""
    (tmp_path / "office").touch()
    (found,) = failures(await findings(CHANNEL, {"path": str(tmp_path / "office")}))
    assert f"{tmp_path / 'office'} isn't a folder" in found.what
    (found,) = failures(await findings(CHANNEL, {"path": str(tmp_path)}, destinations=("office",)))
    assert found.what == f"{tmp_path / 'office'} is a file, not a folder."


async def test_a_folder_that_cannot_be_written():
    """A file system that takes nothing."""
    (found,) = failures(await findings(CHANNEL, {"path": "/proc/signpost"}))
    assert found.what.startswith("/proc/signpost can't be used")
    assert "chown" in found.mend


async def test_two_file_systems(tmp_path):
    """A Maildir whose new/ is elsewhere can't be delivered to."""
    if not _is_another_file_system(SHARED, tmp_path):
        pytest.skip("there is no second file system to write to")
    make_maildir(tmp_path / "office")
    (tmp_path / "office" / "new").rmdir()
    with tempfile.TemporaryDirectory(dir=SHARED) as other:
        (tmp_path / "office" / "new").symlink_to(other)
        (found,) = failures(await findings(CHANNEL, {"path": str(tmp_path)}, destinations=("office",)))
    assert "different file systems" in found.what
