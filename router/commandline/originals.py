"""`signpost messages export`: the original of a message, byte for byte, into a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from router.commandline import show
from router.commandline.frame import Command, Invocation
from router.commandline.reach import look
from router.errors import NotFound, SignpostError
from router.store import messages

if TYPE_CHECKING:
    from router.store.engine import Store


@click.command("export", cls=Command, prints=True)
@click.argument("message_id", metavar="ID")
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Where to write it; a file that is there stays as it is.",
)
@click.pass_obj
def messages_export(invocation: Invocation, message_id: str, target: Path) -> None:
    """Write the original of a message, byte for byte, to a file that only you may read.

    It is a mail (.eml) with all its files, whatever way it came by.
    """

    async def read(store: Store) -> bytes | None:
        return (await store.read(lambda c: messages.originals_of(c, [message_id]))).get(message_id)

    original = look(invocation.configuration(secrets=True), read, None)
    if original is None:
        raise NotFound(f"there is no message {message_id}")
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(original)
    except OSError as error:
        raise SignpostError(f"{target} can't be written: {error.strerror}") from error
    if invocation.json:
        show.as_json({"message_id": message_id, "file": str(target), "bytes": len(original)})
        return
    click.echo(f"{len(original)} bytes written to {target}.")
