"""Which versions of a model are kept: what was refused goes before what was good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.learning import registry
from router.store import models


@pytest.fixture
def put(live, make):
    """Register a version, passed or refused, a minute after the last one, and return its name."""

    async def registered(remark, *, passed=True, promote=False, keep=0):
        live.clock.advance(60.0)
        champion = await live.store.read(models.champion_version)
        model = make(remark, champion, passed=passed)
        return (await registry.register(live.store, model, promote=promote, keep=keep)).version

    return registered


async def kept(store):
    """Return the versions there are."""
    return {row.version for row in await store.read(models.listing)}


async def test_good_versions_were_dropped_before_refused_ones(live, put):
    """Three are kept beside those that serve or served: the refused ones go first, the oldest of them before."""
    served = [await put(name, promote=True) for name in ("one", "two")]
    good = await put("good")
    refused = [await put(f"bad {number}", passed=False) for number in range(3)]
    newest = await put("newest", keep=3)
    assert await kept(live.store) == {*served, good, *refused[2:], newest}


async def test_the_newest_stays_though_it_was_refused(live, put):
    """Whoever hears of the refusal can look at it; with the next training it goes."""
    served = [await put(name, promote=True) for name in ("one", "two")]
    good = [await put(f"good {number}") for number in range(2)]
    refused = await put("bad", passed=False, keep=2)
    assert await kept(live.store) == {*served, good[1], refused}
    newest = await put("newest", keep=2)
    assert await kept(live.store) == {*served, good[1], newest}


async def test_what_was_gone_back_from_was_forgotten_and_came_back(live, put, make):
    """However many trainings come after it, it is known, and what has learnt the same doesn't take its place."""
    first, left = [await put(name, promote=True) for name in ("one", "two")]
    await registry.rollback(live.store)
    for number in range(5):
        await put(f"other {number}", keep=3)
    assert {first, left} < await kept(live.store)
    again = make("two again", first, fingerprint="data two")
    assert (await registry.register(live.store, again, promote=True, keep=3)).state == models.CHALLENGER


async def test_what_a_challenger_is_compared_with_was_dropped(live, put, make):
    """A stand-in for a champion that can't be used, which is no champion itself: the trial goes on."""
    champion, stand_in = await put("one", promote=True), await put("stand-in")
    tried = make("two", stand_in)
    tried = replace(tried, verdict=replace(tried.verdict, instead_of=champion))
    shadow = await registry.register(live.store, tried, promote=True, shadow=True)
    assert shadow.state == models.SHADOW
    for number in range(5):
        await put(f"bad {number}", passed=False, keep=3)
    assert {champion, stand_in, shadow.version} < await kept(live.store)
