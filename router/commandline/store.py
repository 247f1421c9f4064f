"""`store`: move it from SQLite to PostgreSQL; say that it comes out of a backup."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from router.commandline import progress, show
from router.commandline.frame import CommandGroup, Invocation
from router.commandline.reach import require_store
from router.errors import SignpostError
from router.store import copying, restored
from router.store.engine import open_store
from router.views import when

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.store.copying import Copied


@click.group(cls=CommandGroup)
def store() -> None:
    """Move the store from SQLite to PostgreSQL, or say that it was restored."""


@store.command("copy", prints=True)
@click.argument("source", metavar="sqlite:///FILE")
@click.argument("target", metavar="postgresql://USER@HOST/DATABASE")
@click.option("--password-env", default="", metavar="NAME", help="The environment variable with the password.")
@click.option("--password-file", default="", metavar="FILE", help="The file with the password.")
@click.pass_obj
def store_copy(invocation: Invocation, source: str, target: str, password_env: str, password_file: str) -> None:
    """Copy an SQLite store into an empty PostgreSQL database, and compare every value.

    Stop the daemon first. All of it is one transaction: a copy that is cut short leaves the database empty, and can
    simply be begun again. The file stays as it is.
    """
    if not source.startswith("sqlite:") or not target.startswith("postgresql:"):
        raise click.UsageError("a store is copied from sqlite:///FILE to postgresql://USER@HOST/DATABASE")
    url = _with_password(target, password_env, password_file)
    with progress.shown("Copying the store") as tell:
        copied = asyncio.run(copying.copy(_known(source), url, tell))
    if invocation.json:
        show.as_json(copying.as_json(copied))
        return
    _tell(copied, target)


@store.command("restored", prints=True)
@click.option(
    "--of",
    type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]),
    metavar="TIME",
    help="The moment that the backup is of, in UTC (default: the last that the store knows of).",
)
@click.pass_obj
def store_restored(invocation: Invocation, of: datetime | None) -> None:
    """Say that the store comes out of a backup, before a daemon starts on it.

    A backup made by `signpost backup` says so by itself. One that was made otherwise (a snapshot, pg_dump) doesn't,
    and the numbers of mails that were sent since then would be given again.
    """
    configuration = invocation.configuration(secrets=True)
    require_store(configuration, "restore it first")
    at = asyncio.run(_say_restored(configuration.store.url_with_password(), of.replace(tzinfo=UTC) if of else None))
    if invocation.json:
        show.as_json({"of": at.isoformat()})
        return
    click.echo(f"The store is taken for that of {when(at)}: the next daemon that starts on it allows for that.")


async def _say_restored(url: str, of: datetime | None) -> datetime:
    opened = open_store(url)
    await opened.open()
    try:
        return await opened.write(lambda c: restored.say(c, of, opened.clock.now()))
    finally:
        await opened.close()


def _known(url: str) -> str:
    """Return an address as the configuration would take it; raise `SignpostError`."""
    return _with_password(url, "", "")


def _with_password(url: str, env: str, file: str) -> str:
    from config.schema import Store  # noqa: PLC0415  as in `Invocation.configuration`

    given = {"url": url} | ({"password_env": env} if env else {}) | ({"password_file": file} if file else {})
    try:
        return Store.model_validate(given).url_with_password()
    except ValidationError as error:  # its own text holds the values
        said = "; ".join(f"{each['loc'][-1] if each['loc'] else 'address'}: {each['msg']}" for each in error.errors())
        raise SignpostError(said) from None


def _tell(copied: Mapping[str, Copied], target: str) -> None:
    rows = [(name, f"{each.rows:,}", each.sha256[:16]) for name, each in copied.items() if each.rows]
    show.table(["table", ">rows", "sha256 of all values"], rows, empty="The store was empty.")
    click.echo("\nEvery value was compared. Now set store.url, check the connection, and start the daemons:")
    click.echo(f"  store: {{url: {target}}}    # the password by password_env or password_file")
    click.echo("Start none on the file again: keep it as a backup.")
