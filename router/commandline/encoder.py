"""`encoder`: the sentence encoders of the optional extra `embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from classifiers._embed import HOW_TO_INSTALL, NoEncoder, about, lacking, open_encoder
from router.commandline import progress, show
from router.commandline.frame import CommandGroup, Invocation
from router.encoders import FOLDER, KNOWN, fetch, known


@click.group(cls=CommandGroup)
def encoder() -> None:
    """List the sentence encoders, or fetch one."""


@encoder.command("list", prints=True)
@click.pass_obj
def encoder_list(invocation: Invocation) -> None:
    """List the encoders that can be fetched, and those in var/encoders."""
    rows = [*map(_offered, KNOWN), *(_present(folder) for folder in _folders() if folder.name not in KNOWN)]
    if invocation.json:
        show.as_json(rows)
        return
    columns = ["name", "encoder", "languages", ">MB", "licence", "here"]
    shown = ([r["name"], r["title"], r["languages"], r["megabytes"], r["licence"], r["folder"]] for r in rows)
    show.table(columns, shown)


def _offered(name: str) -> dict[str, Any]:
    each = KNOWN[name]
    return {
        "name": name,
        "title": each.title,
        "languages": each.languages,
        "megabytes": round(each.size / 1e6),
        "licence": each.licence,
        "address": each.address,
        **_here(FOLDER / name),
    }


def _present(folder: Path) -> dict[str, Any]:
    unknown = {"title": about(folder).name, "languages": "", "megabytes": None, "licence": "", "address": ""}
    return {"name": folder.name, **unknown, **_here(folder)}


def _here(folder: Path) -> dict[str, Any]:
    try:
        return {"folder": str(folder), "sha256": about(folder).sha256}
    except NoEncoder:
        return {"folder": "", "sha256": ""}


def _folders() -> list[Path]:
    if not FOLDER.is_dir():
        return []
    return sorted(folder for folder in FOLDER.iterdir() if not folder.name.startswith(".") and _here(folder)["folder"])


@encoder.command("fetch", prints=True)
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder to make (default: var/encoders/NAME).",
)
@click.option("--from", "address", default="", metavar="URL", help="Where the files are, if not at their usual place.")
@click.pass_obj
def encoder_fetch(invocation: Invocation, name: str, into: Path | None, address: str) -> None:
    """Download an encoder (see `encoder list`), checked by its SHA-256.

    It is used once the configuration names its folder and a model has been trained with it: `signpost train`.
    """
    folder = into or FOLDER / name
    with progress.shown(f"Fetching {known(name).title}") as tell:
        facts = fetch(known(name), folder, tell, address)
    is_ready = not lacking(folder)
    if is_ready:
        open_encoder(folder)
    if invocation.json:
        show.as_json({"name": name, "folder": str(folder), "sha256": facts.sha256, "proven": is_ready})
        return
    click.echo(f"The encoder is in {folder}. To use it, set `encoder: {folder}` under `classifier`, then:")
    click.echo("  signpost train")
    if not is_ready:
        click.echo(f"First {HOW_TO_INSTALL}.")
