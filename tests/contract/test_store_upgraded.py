"""A store that an earlier Signpost wrote in, with corrections and models, is brought up to date and goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from random import Random

from sqlalchemy import text

from router.learning.lessons import Rules, gather
from router.records import CorrectionState
from router.store import artifacts, corrections, migrate, model_events, models, shadows
from router.store.engine import open_store
from tests.contract.store_helpers import NOW, written_by

MESSAGE = "0WE3MXMK4J3E"
ROWS = (
    f"""INSERT INTO messages (id, channel, medium, source_key, received_at, state, sha256, facts, content, decision_id)
        VALUES ('{MESSAGE}', 'mail', 'email', 'k', :now, 'routed', 'x', '{{}}', '{{"text": "lunch"}}', 2)""",
    *(
        f"""INSERT INTO decisions (id, message_id, department, reason, model, urgent, suggestions, decided_at)
        VALUES ({id_}, '{MESSAGE}', '{desk}', '{reason}', '{model}', '', '[]', :now)"""
        for id_, desk, reason, model in ((1, "buses", "model", "two"), (2, "meals", "correction", ""))
    ),
    f"""INSERT INTO corrections (id, message_id, from_department, to_department, "by", via, model, state, at, note,
        decision_id, new_decision_id, confirmed_by, confirmed_via, settled_at)
        VALUES (1, '{MESSAGE}', 'buses', 'meals', 'lee', 'command', 'two', 'confirmed', :now, '',
        1, 2, 'jo', 'command', :now)""",
    *(
        f"""INSERT INTO models (version, type, state, created_at, promoted_at, parent, fingerprint, sha256, metrics,
        verdict, artifact, since_decision)
        VALUES ('{version}', 'linear', '{state}', :at{number}, :at{number}, '', 'f', 's', '{{}}', '{{}}', '', 0)"""
        for number, (version, state) in enumerate((("one", "retired"), ("two", "retired"), ("three", "champion")))
    ),
    """INSERT INTO shadows (challenger, decision_id, before, after, before_confidence, after_confidence, alarm_lost)
        VALUES ('three', 1, 'buses', 'meals', 0.9, 0.9, false)""",
)


def _as_before(connection):
    """Store a corrected message and three models in the schema of 0007."""
    at = {f"at{number}": f"2026-03-0{number + 1} 14:00:00+00:00" for number in range(3)}
    typed = "TIMESTAMPTZ" if connection.dialect.name == "postgresql" else "TEXT"
    for row in ROWS:
        statement = row
        for name in ("now", *at):
            statement = statement.replace(f":{name}", f"CAST('{at.get(name, NOW.isoformat(sep=' '))}' AS {typed})")
        connection.execute(text(statement))


async def test_corrections_and_models_of_0007_go_on(store_url, monkeypatch):
    """What was said is learnt from, the trial is counted, and a rollback goes back to what served last."""
    await written_by("0007", store_url, monkeypatch, _as_before)
    store = open_store(store_url)
    await store.open()
    [said] = await store.read(lambda c: corrections.in_state(c, None, 9))
    lessons = await store.read(lambda c: gather(c, Rules(), NOW))
    served = await store.read(models.served_before)
    counts = await store.read(lambda c: shadows.counts(c, "three", {"buses", "meals"}))
    settled = await store.read(lambda c: model_events.settled_since(c, None, NOW + timedelta(days=1)))
    again = await store.write(lambda c: corrections.settle(c, 1, CorrectionState.WITHDRAWN, NOW, "jo"))
    await store.close()
    assert (said.confirmed_by, said.client) == ("jo", "")
    assert [lesson.to_department for lesson in lessons.rows] == ["meals"]
    assert [row.version for row in served] == ["two", "one"]
    assert (counts.n, counts.judged, counts.better) == (1, 1, 1)
    assert settled == (1, 1)
    assert again.state is CorrectionState.WITHDRAWN


SIZES = {"small": 12, "even": 2 * artifacts.PART, "large": 2 * artifacts.PART + 5, "empty": 0}


def bytes_of(version):
    """Return what a version consists of."""
    return Random(version).randbytes(SIZES[version])


def _models_of_0009(connection):
    """Store models as they were before their bytes stood apart."""
    statement = text(
        "INSERT INTO models (version, type, state, created_at, parent, fingerprint, sha256, metrics, verdict, "
        "artifact, pinned) VALUES (:version, 'linear', 'retired', CURRENT_TIMESTAMP, '', 'f', 's', '{}', '{}', "
        ":artifact, true)"
    )
    for version in SIZES:
        connection.execute(statement, {"version": version, "artifact": bytes_of(version)})


async def kept(store):
    """Return the versions in the registry, and of each its bytes."""
    rows = await store.read(models.listing)
    assert all(row.pinned for row in rows)
    return {row.version: await store.read(lambda c, row=row: artifacts.read(c, row.version)) for row in rows}


async def test_models_of_0009_keep_their_bytes(store_url, monkeypatch):
    """Whatever their size, they are the same in pieces."""
    await written_by("0009", store_url, monkeypatch, _models_of_0009)
    store = open_store(store_url)
    await store.open()
    found = await kept(store)
    await store.close()
    assert found == {version: bytes_of(version) for version in SIZES}


DYING = """
import asyncio, os, signal, sys
from router.store import migrate
from router.store.engine import open_store

run = migrate._run

def die_before_the_end(connection):
    run(connection)
    os.kill(os.getpid(), signal.SIGKILL)

migrate._run = die_before_the_end
asyncio.run(open_store(sys.argv[1]).open())
"""


async def test_killed_while_the_models_are_moved(store_url, monkeypatch):
    """The schema is the old one, with every byte; the next start moves them all."""
    await written_by("0009", store_url, monkeypatch, _models_of_0009)
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", DYING, store_url, env={**os.environ})
    assert await child.wait() == -signal.SIGKILL

    def as_it_was(connection):
        sizes = connection.execute(text("SELECT version, length(artifact) FROM models")).all()
        return migrate.revision(connection), dict(sizes)

    beside = open_store(store_url, read_only=True)
    await beside.open()
    assert await beside.read(as_it_was) == ("0009", SIZES)
    await beside.close()
    store = open_store(store_url)
    await store.open()
    assert await kept(store) == {version: bytes_of(version) for version in SIZES}
    await store.close()
