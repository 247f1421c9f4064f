"""How commands print: tables and sentences for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NO_TERMINAL_WIDTH = 200  # columns: what reads a pipe doesn't want lines folded


def as_json(value: Any) -> None:
    """Print a JSON value."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "Nothing.") -> None:
    """Print rows under columns; a column whose name begins with `>` is set to the right. `empty` if there is no row."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in columns:
        shown.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell(value)) for value in row))
    if not shown.row_count:
        click.echo(empty)
        return
    _console().print(shown)


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names with their values, one a line; those without a value are left out."""
    known = [(name, cell(value)) for name, value in pairs if value not in (None, "", [], ())]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        click.echo(f"{name.ljust(width)}  {value}")


def heading(text: str) -> None:
    """Print a heading."""
    click.echo(f"\n{text}")


def cell(value: Any) -> str:
    """Return a value as people read it on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(" ".join(str(value).split()))


def plain(text: str) -> str:
    """Return text that can't command a terminal: what a stranger wrote is shown, never obeyed."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text.replace("\t", " "))


def percent(share: float | None) -> str:
    """Return a share as a percentage, "" if it isn't known."""
    return "" if share is None else f"{share:.1%}"


def age(seconds: float) -> str:
    """Return how long ago something was, roughly."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _console() -> Console:
    width = None if sys.stdout.isatty() else _NO_TERMINAL_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)
