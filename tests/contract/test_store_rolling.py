"""A schema changes while daemons of the version before work: they go on, or it waits, or they say why they end."""

from __future__ import annotations

import ast
import asyncio
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from router.errors import StoreBroken, StoreBusy
from router.store import messages, migrate
from router.store.engine import open_store
from router.upkeep import Heartbeat, every
from tests.contract.store_helpers import accept, decide, inbound

ADDS = """
    op.add_column("messages", sa.Column("mood", sa.String(8), nullable=False, server_default="calm"))
    op.add_column("deliveries", sa.Column("weight", sa.Integer(), nullable=True))
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
"""
TAKES = """
    op.drop_column("decisions", "tags")
"""
PAGE = '''
"""A migration of a later version."""
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
{contracts}

def upgrade():{does}
'''


@pytest.fixture
def later(monkeypatch, tmp_path):
    """Return what opens a store with a later version's migrations, as that version's daemon does when it starts."""
    folder, present = tmp_path / "later", migrate.HEAD
    shutil.copytree(migrate._SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))

    async def start(url, does, *, contracts=""):
        page = PAGE.format(revision="9998", before=present, contracts=contracts, does=does)
        (folder / "versions" / "9998_later.py").write_text(page)
        with monkeypatch.context() as patched:
            patched.setattr(migrate, "_SCRIPTS", folder)
            patched.setattr(migrate, "HEAD", "9998")
            store = open_store(url)
            await store.open()
        await store.close()

    return start


async def whole_life(store, key):
    """Take a message from its arrival to its deliveries."""
    receipt = await accept(store, inbound(key, key.encode()))
    [leased] = await store.write(lambda c: messages.lease_undecided(c, "d1", 1))
    assert await decide(store, receipt.message_id, leased.fence) is not None


async def test_what_only_adds_disturbs_nobody(store_url, later):
    """A daemon of the version before takes in and decides while the schema grows, and can be started again after it."""
    store = open_store(store_url)
    await store.open()
    for n in range(3):
        await whole_life(store, f"before {n}")
    if store.dialect == "sqlite":  # one daemon owns the file: the other version starts after it
        await store.close()
        await later(store_url, ADDS)
    else:
        await asyncio.gather(later(store_url, ADDS), *(accept(store, inbound(f"k{n}")) for n in range(20)))
        [leased] = [await store.write(lambda c: messages.lease_undecided(c, "d1", 50))]
        assert len(leased) == 20
        for n in range(3):
            await whole_life(store, f"after {n}")
        await store.close()
    again = open_store(store_url)
    await again.open()
    await whole_life(again, "again")
    assert await again.read(migrate.revision) == "9998"
    await again.close()


async def test_what_takes_away_waits_until_nobody_runs(postgres_url, later, log):
    """It names how many still run, and changes nothing; when they have left it goes ahead, and keeps older ones out."""
    store = open_store(postgres_url)
    await store.open()
    heartbeat = Heartbeat(store, "d1", log)
    await heartbeat.register()
    with pytest.raises(StoreBusy, match=r"1 daemon of an earlier version still run.*stop them all"):
        await later(postgres_url, TAKES, contracts="contracts = True")
    assert await store.read(migrate.revision) == migrate.HEAD
    await whole_life(store, "still at work")
    await heartbeat.leave()
    await store.close()

    await later(postgres_url, TAKES, contracts="contracts = True")
    with pytest.raises(StoreBroken, match=r"newer Signpost .schema 9998.*install the same version"):
        await open_store(postgres_url).open()


async def test_a_long_look_at_the_tables_held_everybody_up(postgres_url, later, monkeypatch):
    """While a backup reads a table the schema waits a moment only, and says so: daemons would stand behind it."""
    monkeypatch.setattr(migrate, "_LOCKED_MS", 100)
    store = open_store(postgres_url)
    await store.open()
    async with store.line() as backup, backup.transaction():
        await backup.execute("LOCK TABLE messages IN ACCESS SHARE MODE")
        with pytest.raises(StoreBusy, match="such as a backup"):
            await later(postgres_url, ADDS)
        await whole_life(store, "meanwhile")
    await later(postgres_url, ADDS)
    await store.close()


async def test_who_slept_through_it_ends_with_a_sentence(postgres_url, later, log):
    """A daemon that was frozen, and so was taken for dead, doesn't come back to tables that it no longer knows."""
    store = open_store(postgres_url)
    await store.open()
    heartbeat = Heartbeat(store, "d1", log)
    await heartbeat.register()
    over = text("UPDATE daemons SET expires_at = now() - interval '1 second'")
    await store.write(lambda c: c.execute(over) and None)
    await later(postgres_url, TAKES, contracts="contracts = True")

    async with asyncio.timeout(60):
        with pytest.raises(StoreBroken, match="can't use it any more"):
            await every(0.0, heartbeat.beat, log, "heartbeat")
    await store.close()


def test_whoever_takes_something_away_says_so():
    """Each migration that drops, renames or alters a table or a column declares `contracts`."""
    for file in sorted((Path(migrate.__file__).parent / "migrations" / "versions").glob("*.py")):
        tree = ast.parse(file.read_text())
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        names = {call.attr for call in calls if isinstance(call, ast.Attribute)}
        takes = {name for name in names if name.startswith(("drop_table", "drop_column", "alter_column", "rename_"))}
        says = any(isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "contracts" for n in tree.body)
        assert says == bool(takes), file.name
