"""A daemon as in the acceptance tests, under a service manager of our own."""

from __future__ import annotations

import pytest

from tests.acceptance.fixtures import (  # noqa: F401  pytest finds fixtures by their names here
    collector,
    daemons,
    model_cache,
    relay,
)
from tests.deploy.service_manager import listening


@pytest.fixture
def manager(tmp_path):
    """A service manager that listens at `tmp_path / "notify"`."""
    with listening(str(tmp_path / "notify")) as made:
        yield made
