"""Fixtures of the tests that watch messages from the wire to the desk: a daemon, its mail server, the two ledgers."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager

import pytest

from classifiers.linear import CLASSIFIER
from router.learning.bundled import bundled, is_cached
from router.testing_smtp import smtp_server
from tests.acceptance.daemon import Daemon, free_port
from tests.acceptance.district import FALLBACK, Collector, district
from tests.acceptance.ledger import Ledger


@contextmanager
def training_alone(cache):
    """Wait until no other process of this run may be training the bundled model."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def model_cache(cache):
    """Settings that let all daemons of the session share one bundled model: it is trained once at most, before them."""
    settings = CLASSIFIER.settings()
    if is_cached(CLASSIFIER, settings):
        return {}
    with training_alone(cache):
        bundled(CLASSIFIER, settings, lambda _what, _share: None, cache_dir=cache)
    return {"SIGNPOST_CACHE": str(cache)}


@pytest.fixture
async def daemons(model_cache):
    """Return a function that makes a daemon in a folder; all of them end with the test."""
    made = []

    def make(folder, configuration, **env):
        made.append(Daemon(folder, configuration, model_cache | env))
        return made[-1]

    yield make
    for daemon in made:
        await daemon.close()


@pytest.fixture
def collector(tmp_path):
    """Everything that comes out."""
    return Collector(tmp_path)


@pytest.fixture
def ledger():
    """Everything that goes in."""
    return Ledger("a1", FALLBACK)


@pytest.fixture
async def relay(collector):
    """The mail server that takes our mail."""
    async with smtp_server(port=free_port()) as server:
        yield collector.add(server)


@pytest.fixture
async def daemon(daemons, tmp_path, relay):
    """A running daemon of the usual district."""
    made = daemons(tmp_path, district(tmp_path, relay.port))
    await made.start()
    return made
