"""Backup and restore as the page tells it, beside a daemon that goes on working."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.district import district, steer
from tests.acceptance.senders import by_form
from tests.contract.test_store_backup import pg_programs  # noqa: F401  pytest finds the fixture by its name here

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "backup.md"
LETTERS = 10


def commands_of_the_page():
    """Return what the page says to type: how to back up, and how to restore."""
    text = PAGE.read_text()
    [backup] = re.findall(r"^```\nsignpost (backup .*)\n```$", text, re.MULTILINE)
    [restore] = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return backup.split(), restore


@pytest.fixture
def folder(tmp_path):
    """The working directory of the daemon, with its store in var/."""
    (tmp_path / "var").mkdir()
    return tmp_path


@pytest.fixture
def configuration(folder, relay):
    """A district whose store's path is relative, as in the configuration that is shipped."""
    return district(folder, relay.port, store={"url": "sqlite:///var/signpost.db"})


async def write(daemon, what):
    """Send some messages that a rule decides; return their references."""
    fields = [{"email": "ana@home.example", "message": f"{steer('transportation')} {what} {n}"} for n in range(LETTERS)]
    return [await by_form(daemon.url, each) for each in fields]


async def test_a_backup_is_restored_as_the_page_says(daemons, folder, configuration, collector):
    """What was accepted before the backup is there afterwards, by its reference, and arrives; what came later isn't."""
    backup, restore = commands_of_the_page()
    daemon = daemons(folder, configuration)
    await daemon.start()
    kept = await write(daemon, "early")
    writing = asyncio.create_task(write(daemon, "meanwhile"))
    said = await daemon.ask(*backup)
    await writing
    lost = await write(daemon, "late")
    await daemon.kill()  # the worst case: what it hadn't moved into the file lies beside it
    assert (folder / "var" / "signpost.db-wal").stat().st_size

    assert LETTERS <= said["messages"] <= 2 * LETTERS
    assert said["bytes"] == (folder / "signpost-backup.db").stat().st_size
    subprocess.run(restore, shell=True, cwd=folder, check=True)  # noqa: ASYNC221 -- nothing else runs now
    await daemon.start()
    ledger = await daemon.settled()
    assert ledger["messages"]["received"] == ledger["messages"]["routed"] == said["messages"]
    assert {mail["X-Signpost-Message"] for mail in collector.at("buses@maple.example")} >= set(kept)
    for reference, status in ((kept[0], 0), (kept[-1], 0), (lost[0], 1), (lost[-1], 1)):
        assert (await daemon.command("messages", "show", reference)).status == status
    assert (await by_form(daemon.url, {"email": "ana@home.example", "message": "and on it goes"})) not in kept + lost


async def test_a_backup_is_made_where_no_daemon_runs(daemons, folder, configuration):
    """The default name is beside the store and says when; what isn't in the copy is said."""
    daemon = daemons(folder, configuration)
    before = await daemon.command("backup")
    assert (before.status, "there is no store yet" in before.err) == (1, True)
    await daemon.start()
    await write(daemon, "only")
    await daemon.stop()
    done = await daemon.command("backup")
    assert done.status == 0, done.err
    [made] = (folder / "var").glob("signpost-*.db")
    assert f"The store with {LETTERS} messages is in {made}" in done.out
    assert "Not in it: " in done.out
    again = await daemon.command("backup", "--to", made)
    assert (again.status, "never overwrites" in again.err) == (1, True)


async def test_where_there_is_no_pg_dump_the_command_is_told(daemons, folder, configuration, postgres_url):
    """For a PostgreSQL store the command is printed, ready to be typed elsewhere; the answer is no."""
    daemon = daemons(folder, configuration | {"store": {"url": postgres_url.replace(":@", "@")}}, PATH=str(folder))
    await daemon.start()
    await daemon.stop()
    done = await daemon.command("backup", "--to", "store.dump")
    assert done.status == 1
    assert f"pg_dump --format=custom --file={folder}/store.dump '--dbname=postgresql://" in done.err
    assert not (folder / "store.dump").exists()


async def test_a_database_is_backed_up_by_pg_dump(daemons, folder, configuration, postgres_url, pg_programs):  # noqa: F811
    """For a PostgreSQL store `signpost backup` makes a dump while the daemon runs, in the working directory."""
    daemon = daemons(folder, configuration | {"store": {"url": postgres_url.replace(":@", "@")}})
    await daemon.start()
    await write(daemon, "only")
    done = await daemon.command("backup")
    assert done.status == 0, done.err
    [made] = folder.glob("signpost-*.dump")
    listing = [pg_programs / "pg_restore", "--list", made]
    listed = await asyncio.to_thread(subprocess.run, listing, capture_output=True, text=True, check=True)
    assert "TABLE DATA public messages" in listed.stdout
    assert f"The store is in {made} (" in done.out
