"""Bringing a store up to date is cut short at each of its statements: the old schema or the new, with every row."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal

import pytest
from sqlalchemy import make_url, text

from router.records import CorrectionState
from router.store import corrections, migrate
from router.store.engine import open_store
from tests.contract.cut_short import forks, open_and_die
from tests.contract.store_helpers import written_by
from tests.contract.test_store_upgraded import _as_before

OLD = "0007"
ROWS = {"messages": 1, "decisions": 2, "corrections": 1, "models": 3, "shadows": 1}


@pytest.fixture
def copy_of(store_url, request):
    """A function that makes a copy of the store, and one that throws it away."""
    if store_url.startswith("sqlite"):
        path = make_url(store_url).database

        def copy():
            shutil.copy(path, f"{path}-copy")
            return f"sqlite:///{path}-copy"

        def drop():
            for left in request.getfixturevalue("tmp_path").glob("*-copy*"):
                left.unlink()
    else:
        postgres, old = request.getfixturevalue("postgres"), make_url(store_url).database
        name = f"t{secrets.token_hex(6)}"

        def copy():
            postgres.psql(f"CREATE DATABASE {name} TEMPLATE {old}")
            return postgres.get_uri(database=name)

        def drop():
            postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")

    return copy, drop


async def seen(url, *, read_only):
    """Open a store and return its schema and how many rows its tables have."""

    def look(connection):
        counts = {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar() for name in ROWS}
        return migrate.revision(connection), counts

    store = open_store(url, read_only=read_only)
    await store.open()
    try:
        if not read_only:
            [said] = await store.read(lambda c: corrections.in_state(c, None, 9))
            assert said.state is CorrectionState.CONFIRMED
        return await store.read(look)
    finally:
        await store.close()


@pytest.mark.case("D06")
async def test_a_migration_is_cut_short(store_url, copy_of, monkeypatch, rng, rounds, tally):
    """Killed before the 1st, 2nd, 3rd … statement: nothing is half done, and the next start does it all."""
    await written_by(OLD, store_url, monkeypatch, _as_before)
    copy, drop = copy_of
    context, step = forks(), rounds(quick=0, long=1)
    nth, found = rng.randint(0, 6), []
    while True:
        url = copy()
        process = context.Process(target=open_and_die, args=(url, nth))
        process.start()
        await asyncio.to_thread(process.join)
        assert process.exitcode in (0, -signal.SIGKILL)
        schema, rows = await seen(url, read_only=True)
        assert schema in ((OLD, migrate.HEAD) if process.exitcode else (migrate.HEAD,))  # it says some more at the end
        assert rows == ROWS
        assert await seen(url, read_only=False) == (migrate.HEAD, ROWS)
        drop()
        if not process.exitcode:
            break
        found.append(schema)
        nth += step or rng.randint(4, 9)
    tally(faults=len(found), lost_rows=0)
    assert found.count(OLD) >= 3
