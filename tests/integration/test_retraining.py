"""A training in a process of its own: the same model as anywhere, under limits, behind everything else, never left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from classifiers._artifact import Artifact, unpack
from router.errors import SignpostError
from router.learning import registry
from router.learning.lessons import Rules
from router.learning.order import Order
from router.learning.retrain import train_apart
from router.learning.train import train, trained
from router.learning.verdicts import Verdict
from router.plugins import classifier_types
from router.records import Department
from router.store import models
from router.store.engine import open_store
from router.testing import until
from tests.unit.router.commandline import WORDS, write_rows

PATIENCE_S = 240.0
SETTINGS = {"augment": False, "folds": 2}
DEPARTMENTS = tuple(Department(id=label, name=label, covers=(label,)) for label in WORDS)


@pytest.fixture
def rows(tmp_path):
    """A file of labelled messages."""
    return str(write_rows(tmp_path / "rows.jsonl", count=60))


@pytest.fixture
async def order(store_url, rows):
    """An order to learn from the file alone, for a store without a champion."""
    store = open_store(store_url)
    await store.open()
    await store.close()
    return Order(
        store_url=store_url,
        classifier="linear",
        settings=SETTINGS,
        departments=DEPARTMENTS,
        fallback="office",
        target_error=0.05,
        rules=Rules(),
        files=(rows,),
        corpus=False,
        memory=4 << 30,
    )


def here(rows, champion=None):
    """Train in this process."""
    kind = classifier_types().get("linear")
    settings = kind.settings.model_validate(SETTINGS)
    return train(
        kind, settings, DEPARTMENTS, "office", progress=lambda _w, _s: None, files=[rows], no_corpus=True,
        champion=champion
    )  # fmt: skip


def children():
    """Return the processes that this one has started and that train."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in pids if b"retrain_child" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_it_makes_the_model_that_this_process_would_make(order, rows):
    """Byte for byte, on either kind of store; and no process is left."""
    apart = await train_apart(order, PATIENCE_S)
    same = here(rows)
    assert (apart.version, apart.verdict, apart.parent) == (same.version, same.verdict, "")
    assert apart.artifact == same.artifact
    assert children() == []


async def test_a_person_hears_how_far_it_is_and_what_helped(order):
    """The end is told last; a daemon hears nothing, and needs no lines for it."""
    told, unheard = [], []
    model = await train_apart(replace(order, by_hand=True, compare=True), PATIENCE_S, lambda *step: told.append(step))
    assert told[0][1] == 0.0
    assert told[-1] == ("done", 1.0)
    assert [each["source"] for each in model.metrics["sources"]] == [f"file {order.files[0]}"]
    await train_apart(order, PATIENCE_S, lambda *step: unheard.append(step))
    assert unheard == []


async def test_it_is_compared_with_the_champion_of_the_store(order, rows):
    """Read by the process itself; its parent hands over no model."""
    store = open_store(order.store_url)
    await store.open()
    first = here(rows)
    await registry.register(store, first, promote=True)
    await store.close()
    apart = await train_apart(order, PATIENCE_S)
    artifact = unpack(first.artifact)
    champion = classifier_types().get("linear").load(artifact), artifact.meta
    assert (apart.parent, apart.verdict) == (first.version, here(rows, champion).verdict)


async def test_a_champion_that_cannot_be_used_stopped_every_training(order, rows):
    """The bundled model serves in its place: it is compared with that, passes, and becomes champion in its place."""
    store = open_store(order.store_url)
    await store.open()
    try:
        foreign = trained(Artifact("telepathy", {}, {}), Verdict(passed=True, sentence="Yes."))
        unusable = await registry.register(store, foreign, promote=True)
        first = here(rows)
        stands_in = await registry.stand_in(store, lambda: (first.artifact, first.sha256))
        more = replace(order, files=(str(write_rows(Path(rows).with_name("more.jsonl"), count=80)),))
        apart = await train_apart(more, PATIENCE_S)
        assert (apart.parent, apart.verdict.instead_of) == (stands_in.version, unusable.version)
        assert apart.verdict.passed
        row = await registry.register(store, apart, promote=True)
        assert row.state == models.CHAMPION
    finally:
        await store.close()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
class TestEnds:
    """Whatever ends a training, a sentence says so and nothing of it is left."""

    async def test_a_training_that_takes_too_long(self, order):
        with pytest.raises(SignpostError, match=r"took longer than .* of learning\.retrain_within"):
            await train_apart(order, 0.05)
        assert children() == []

    async def test_a_training_that_wants_too_much_memory(self, order):
        with pytest.raises(SignpostError, match=r"more memory than the 64 MiB of learning\.retrain_memory"):
            await train_apart(replace(order, memory=64 << 20), PATIENCE_S)
        assert children() == []

    async def test_a_training_that_is_killed(self, order):
        """As the kernel does where memory runs out."""
        training = asyncio.create_task(train_apart(order, PATIENCE_S))
        await until(children)
        os.kill(children()[0], signal.SIGKILL)
        with pytest.raises(SignpostError, match="ended by signal 9"):
            await training
        assert children() == []

    async def test_a_training_whose_daemon_stops(self, order):
        training = asyncio.create_task(train_apart(order, PATIENCE_S))
        await until(children)
        training.cancel()
        with pytest.raises(asyncio.CancelledError):
            await training
        assert children() == []

    async def test_a_training_that_has_nothing_to_learn_from(self, order):
        with pytest.raises(SignpostError, match="there is nothing to learn from"):
            await train_apart(replace(order, files=()), PATIENCE_S)

    async def test_a_training_that_would_forget_the_files_of_the_champion(self, order, rows):
        """Nothing else remembers them, and the gate couldn't see the loss."""
        store = open_store(order.store_url)
        await store.open()
        await registry.register(store, here(rows), promote=True)
        await store.close()
        with pytest.raises(SignpostError, match=r"name them in learning\.data"):
            await train_apart(replace(order, files=(), corpus=True), PATIENCE_S)


def test_it_ends_when_its_daemon_is_gone(tmp_path):
    """The daemon was killed: standard input ends, and so does it, without an answer and whatever it was doing."""
    order = Order(
        store_url=f"sqlite:///{tmp_path}/signpost.db",
        classifier="linear",
        settings={},
        departments=(),
        fallback="office",
        target_error=0.05,
        rules=Rules(),
        memory=4 << 30,
    )

    async def make():
        store = open_store(order.store_url)
        await store.open()
        await store.close()

    asyncio.run(make())
    command = [sys.executable, "-P", "-m", "router.learning.retrain_child"]
    done = subprocess.run(command, input=order.line(), capture_output=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_it_stands_behind_everything_else_under_a_limit():
    """Idle scheduling, the first to go where memory runs out, no more data than allowed, no core file."""
    program = """
import json, os, resource
from router.learning.retrain_child import stand_back
stand_back(512 << 20)
try:
    bytearray(600 << 20)
    fits = True
except MemoryError:
    fits = False
print(json.dumps({
    "policy": os.sched_getscheduler(0), "nice": os.nice(0), "fits": fits, "some": len(bytearray(64 << 20)),
    "score": open("/proc/self/oom_score_adj").read().strip(), "core": resource.getrlimit(resource.RLIMIT_CORE),
}))
"""
    said = json.loads(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout)
    assert said == {
        "policy": os.SCHED_IDLE, "nice": 19, "fits": False, "some": 64 << 20, "score": "1000", "core": [0, 0]
    }  # fmt: skip


def test_what_a_person_waits_for_lets_routing_go_first_and_ends():
    """Idle scheduling would never end on a busy machine: it is nice instead, under the same limit of memory."""
    program = """
import json, os, resource
from router.learning.retrain_child import stand_back
stand_back(512 << 20, waited_for=True)
print(json.dumps([os.sched_getscheduler(0), os.nice(0), resource.getrlimit(resource.RLIMIT_DATA)[0]]))
"""
    policy, nice, data = json.loads(
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout
    )
    assert (policy, nice, data) == (os.SCHED_OTHER, min(19, os.nice(0) + 10), 512 << 20)


def test_an_order_goes_through_a_line_and_shows_no_password():
    """What is read back is what was written; the address of the store isn't shown."""
    order = Order(
        store_url="postgresql://signpost:hunter2@db/signpost",
        classifier="linear",
        settings={"c": 1.0},
        departments=DEPARTMENTS,
        fallback="office",
        target_error=0.05,
        rules=Rules(person=3),
        files=("a.jsonl",),
        memory=1 << 30,
    )
    assert Order.of(order.line()) == order
    assert order.line().endswith(b"\n")
    assert "hunter2" not in repr(order)
