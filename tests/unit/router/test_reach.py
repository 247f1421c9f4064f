"""Whether there is a store: a database that no daemon has used is none, whatever it is kept in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import make_url

from config.load import load
from router.cli import run
from router.commandline.reach import look, store_exists
from router.store import models
from router.store.engine import open_store
from tests.unit.router.commandline import write_district


@pytest.fixture
def district(tmp_path, monkeypatch, store_url):
    """The configuration of a district whose store, of either kind, is still empty."""
    monkeypatch.chdir(tmp_path)
    path = write_district(tmp_path)
    path.write_text(path.read_text().replace("sqlite:///var/signpost.db", store_url.replace("postgres:@", "postgres@")))
    url = make_url(store_url)
    if url.drivername == "sqlite":
        Path(url.database).touch()
    return load(path)


async def _has_champion(store):
    return await store.read(models.champion) is not None


def test_the_first_start_failed_on_a_fresh_database(district):
    """What looks for a model before the daemon has made the tables finds no store, and no fault."""
    assert not store_exists(district)
    assert look(district, _has_champion, "none") == "none"


def test_a_command_made_the_store_that_only_the_daemon_makes(district, capsys):
    """On an empty database a command says that there is no store yet, and leaves it empty."""
    assert run(["status", "--config", str(district.path)]) == 1
    assert "there is no store yet" in capsys.readouterr().err
    assert not store_exists(district)


def test_a_store_that_a_daemon_has_made_is_there(district, store_url):
    """From then on commands look into it."""

    async def first_start():
        store = open_store(store_url)
        await store.open()
        await store.close()

    asyncio.run(first_start())

    assert store_exists(district)
    assert look(district, _has_champion, "none") is False
