"""`backup`: a copy of the store, made while the daemon runs."""

from __future__ import annotations

import asyncio
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy import make_url

from router.commandline import progress, show
from router.commandline.frame import Command, Invocation
from router.commandline.reach import require_store
from router.errors import NotFound
from router.store.backup import Backup, copy_sqlite, dump_command, dump_postgresql
from router.store.engine import open_store
from router.store.restored import marked

if TYPE_CHECKING:
    from config.load import Configuration

_MB = 1_000_000


@click.command(cls=Command, prints=True)
@click.option(
    "--to",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file to write, or a folder for it (default: beside an SQLite store, else the working directory).",
)
@click.pass_obj
def backup(invocation: Invocation, to: Path | None) -> None:
    """Copy the store to a file while the daemon runs.

    The copy is one consistent state. It is checked, never overwrites a file, and only you may read it. A PostgreSQL
    database is copied by pg_dump.
    """
    configuration = invocation.configuration()
    require_store(configuration, "there is nothing to back up")
    url = make_url(configuration.store.url)
    if url.drivername.startswith("sqlite"):
        source = Path(url.database or "").absolute()
        with progress.shown_later("Backing up") as tell:
            made = copy_sqlite(source, _target(to or source.parent, ".db"), tell)
    else:
        made = _dump(configuration, _target(to or Path(), ".dump"))
    _tell(invocation, configuration, made)


def _target(to: Path, ending: str) -> Path:
    """Return the file to write: a new name in a folder, by the time of day (UTC)."""
    name = f"signpost-{datetime.now(UTC):%Y%m%dT%H%M%SZ}{ending}"
    return (to / name if to.is_dir() else to).absolute()


def _dump(configuration: Configuration, to: Path) -> Backup:
    def tell(size: int) -> None:
        click.echo(f"Backing up: {size / _MB:,.0f} MB written", err=True)

    url = configuration.store.url_with_password()

    async def dump() -> Backup:
        store = open_store(url, read_only=True)
        await store.open()
        try:
            async with marked(store):
                return await asyncio.to_thread(dump_postgresql, url, to, tell)
        finally:
            await store.close()

    try:
        return asyncio.run(dump())
    except NotFound as error:
        how = shlex.join(dump_command(configuration.store.url, to))
        raise NotFound(f"{error}. Install it, or run this where it is:\n  {how}") from error


def _tell(invocation: Invocation, configuration: Configuration, made: Backup) -> None:
    if invocation.json:
        show.as_json({"file": str(made.path), "bytes": made.size, "messages": made.messages})
        return
    holds = "" if made.messages is None else f" with {made.messages:,} message{'s' * (made.messages != 1)}"
    click.echo(f"The store{holds} is in {made.path} ({made.size / _MB:,.1f} MB).")
    click.echo(f"Not in it: {configuration.path}, secrets, and mail in Maildirs. Keep the copy as safe as the store.")
