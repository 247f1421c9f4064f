"""Texts are looked through where that costs the others least."""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter

import pytest

from router.records import Content
from router.routing.turns import LONG, one_by_one


@pytest.mark.parametrize(("length", "here"), [(LONG, True), (LONG + 1, False)])
async def test_only_a_long_text_goes_to_a_thread(length, here):
    """A thread costs more than a few words; a hostile text of 20,000 characters would keep everybody waiting."""
    content = Content(subject="s", text="t" * (length - 2), html_text="h")
    [thread] = await one_by_one(lambda _content: threading.current_thread(), [content], lambda content: content)
    assert (thread is threading.current_thread()) is here


async def test_others_have_their_turn_in_between():
    """Whoever waits isn't kept until all texts have been looked through, and the answers are in order."""
    others, seen = [], []

    async def other():
        while True:
            others.append(len(seen))
            await asyncio.sleep(0)

    def work(number):
        until = perf_counter() + 0.002
        while perf_counter() < until:
            pass
        seen.append(number)
        return -number

    task = asyncio.create_task(other())
    answers = await one_by_one(work, range(10), lambda _number: Content())
    task.cancel()
    assert answers == [-number for number in range(10)]
    assert set(range(1, 10)) <= set(others)
