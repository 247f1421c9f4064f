"""A model's bytes: in pieces, apart from the row that changes, and gone when the registry has dropped the model."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from random import Random

import numpy as np
from sqlalchemy import delete, func, select

from classifiers._artifact import Artifact
from router.learning import registry
from router.learning.train import trained
from router.learning.verdicts import Verdict
from router.store import artifacts, models, tables
from router.store.model_tables import model_artifacts
from tests.contract.store_helpers import opened

LARGE = 3 * artifacts.PART + 17


def model(seed, size=LARGE):
    """Return something to register, of about that many bytes."""
    array = np.frombuffer(Random(seed).randbytes(size), dtype="u1")
    return trained(Artifact("linear", {"noise": array}, {"fingerprint": str(seed)}), Verdict(passed=True, sentence="."))


async def pieces(store, version=None):
    """Return how many pieces are stored, of one version or of all."""
    counted = select(func.count()).select_from(model_artifacts)
    return await store.read(
        lambda c: c.execute(counted.where(model_artifacts.c.version == version) if version else counted).scalar()
    )


async def test_what_is_read_is_what_was_registered(store):
    """Its bytes are in pieces of a megabyte, and the same when they are put together."""
    made = model(1)
    await registry.register(store, made, promote=True)
    assert await store.read(lambda c: artifacts.read(c, made.version)) == made.artifact
    assert await pieces(store) == 4


async def test_nobody_sees_a_model_before_all_of_it_is_there(store):
    """Its pieces alone are no model; registered with some of them lost, it is whole all the same."""
    made = model(2)
    await registry.keep_artifact(store, made)
    assert await store.read(models.listing) == []
    lost = delete(model_artifacts).where(model_artifacts.c.part == 1)
    await store.write(lambda c: c.execute(lost) and None)
    row = await store.write(lambda c: registry.put(c, made, store.clock.now(), to=models.CHAMPION))
    assert row.state == models.CHAMPION
    assert await store.read(lambda c: artifacts.read(c, made.version)) == made.artifact


async def test_what_was_never_registered_is_dropped_with_the_next_registration(store):
    """A daemon that died over a registration leaves nothing behind for good, nor does a model that is dropped."""
    first, orphan, last = model(3), model(4, 20 * artifacts.PART), model(5)
    await registry.register(store, first, promote=True)
    await registry.keep_artifact(store, orphan)
    assert await pieces(store) == 25
    await store.write(lambda c: c.execute(delete(tables.models).where(tables.models.c.version == first.version)) and 0)
    await registry.register(store, last, promote=True)
    assert await pieces(store) == await pieces(store, last.version) == 4


async def test_a_promotion_does_not_write_the_model_again(sqlite_url):
    """Who becomes champion, and who was it, are two rows of a few hundred bytes."""
    first, second = model(6, 8 * artifacts.PART), model(7, 8 * artifacts.PART)
    async with opened(sqlite_url) as store:
        await registry.register(store, first, promote=True)
        await registry.register(store, replace(second, parent=first.version), promote=False)
    async with opened(sqlite_url) as store:  # with an empty log: SQLite removes it with the last connection
        await registry.promote(store, second.version)
        written = os.stat(sqlite_url.removeprefix("sqlite:///") + "-wal").st_size  # noqa: PTH116  no waiting in it
        assert 0 < written < artifacts.PART // 2


async def test_two_daemons_that_start_on_an_empty_database_stumbled_over_each_other(postgres_url):
    """Both store the bundled model; while the first one's piece isn't committed yet, the second waits and goes on."""
    made = model(8)
    async with opened(postgres_url) as one, opened(postgres_url) as other:
        async with one.line() as line:
            beginning = line.transaction()
            await beginning.start()
            piece = made.artifact[: artifacts.PART]
            await line.execute("INSERT INTO model_artifacts VALUES ($1, 0, $2)", made.version, piece)
            starting = asyncio.create_task(registry.ensure_champion(other, lambda: (made.artifact, made.sha256)))
            async with asyncio.timeout(60):
                waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
                while not await line.fetchval(waits):
                    await asyncio.wait([starting], timeout=0.01)
            await beginning.commit()
        first, second = await asyncio.gather(
            starting, registry.ensure_champion(one, lambda: (made.artifact, made.sha256))
        )
        assert first.version == second.version == await one.read(models.champion_version) == made.version
        assert await other.read(lambda c: artifacts.read(c, made.version)) == made.artifact
