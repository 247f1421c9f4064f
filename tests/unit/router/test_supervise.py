"""The daemon's tasks: who ends, who is ended, and who takes the daemon along."""

from __future__ import annotations

import asyncio

import pytest

from router.errors import StoreBroken
from router.supervise import Tasks
from router.testing import until, within


async def forever():
    """Go on."""
    await asyncio.Event().wait()


async def at_once():
    """End."""


async def breaks():
    """Die."""
    raise StoreBroken("the disk is gone")


async def test_a_task_that_dies_is_the_daemons_fault():
    """Its error can be waited for; one that ends, or is cancelled, is none."""
    tasks = Tasks()
    tasks.start("short", at_once())
    tasks.start("cancelled", forever()).cancel()
    await until(lambda: not tasks.running())
    assert not tasks.fault.done()
    tasks.start("broken", breaks())
    tasks.start("broken too", breaks())
    with pytest.raises(StoreBroken):
        await within(tasks.fault)


async def test_tasks_are_known_by_name_while_they_run():
    """And all of them end together."""
    tasks = Tasks()
    one = tasks.start("one", forever())
    two = tasks.start("two", forever())
    assert tasks.running() == {one, two}
    assert tasks.running("two", "three") == {two}
    await within(tasks.cancel())
    assert one.cancelled()
    assert two.cancelled()
    assert not tasks.running()
