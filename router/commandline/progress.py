"""Progress of what takes longer than a moment: a bar on a terminal, else a plain line now and then."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.interfaces import Progress

_PAUSE_S, _MOMENT_S = 3.0, 2.0


@contextmanager
def shown(what: str) -> Iterator[Progress]:
    """Show progress on standard error while the block runs."""
    with _bar(what) if sys.stderr.isatty() else _lines(what) as progress:
        yield progress


@contextmanager
def shown_later(what: str) -> Iterator[Progress]:
    """Show progress likewise, but only of what takes longer than two seconds."""
    began = time.monotonic()
    told: Progress | None = None
    with ExitStack() as stack:

        def progress(doing: str, share: float) -> None:
            nonlocal told
            if told is None and time.monotonic() - began >= _MOMENT_S:
                told = stack.enter_context(shown(what))
            if told is not None:
                told(doing, share)

        yield progress


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415  as above
    from rich.progress import Progress as Bar  # noqa: PLC0415  as above

    click.echo(f"{what}…", err=True)
    columns = (BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda doing, share: bar.update(task, description=doing, completed=share)


@contextmanager
def _lines(what: str) -> Iterator[Progress]:
    said_at, said = float("-inf"), ""

    def progress(doing: str, share: float) -> None:
        nonlocal said_at, said
        now = time.monotonic()
        if doing != said and (share >= 1.0 or now - said_at >= _PAUSE_S):
            said_at, said = now, doing
            click.echo(f"{what}: {doing} ({share:.0%})", err=True)

    yield progress
