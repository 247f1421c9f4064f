"""Fixtures of the torture tests: those of the acceptance tests."""

from __future__ import annotations

import pytest

from tests.acceptance.fixtures import (  # noqa: F401  pytest finds fixtures by their names here
    collector,
    daemons,
    ledger,
    model_cache,
    relay,
)
from tests.integration.dovecot import Dovecot


@pytest.fixture
def dovecot():
    """A mail server with an empty account."""
    with Dovecot.make() as server:
        yield server
