"""The page of the configuration in force, read-only: what is set, what it is for, and what a reload would change."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from router.console.roles import Action
from router.console.routes import Route
from router.console.shown import differences
from router.errors import ConfigError
from router.files import content
from router.secrets import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from aiohttp import web

    from router.console.console import Console
    from router.console.routes import Visit
    from router.console.shown import Group

    Read = Callable[[], Sequence[Group]]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a reload would say now: the file's problems in sentences, or which settings it would change."""

    problems: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


class Running:
    """The configuration in force, and its files: the first is its own, the others those that it names.

    `standing` is what the daemon says of its last reload, `reread` what reads the files again (in a thread; raises
    `ConfigError`); both None where this daemon doesn't reload.
    """

    def __init__(
        self,
        files: Sequence[Path],
        groups: Sequence[Group],
        *,
        standing: Callable[[], Mapping[str, Any] | None],
        reread: Callable[[], Read | None],
    ) -> None:
        self.path = str(files[0])
        self.groups = groups
        self.standing = standing
        self._files = files
        self._reread = reread
        self._said = ""
        self._outlook = Outlook()

    async def outlook(self) -> Outlook | None:
        """Return what a reload would say, None where there is none. Files that say the same aren't read again."""
        read = self._reread()
        return await asyncio.to_thread(self._look, read) if read else None

    def _look(self, read: Read) -> Outlook:
        said = content(self._files)
        if said != self._said:
            self._outlook, self._said = self._outlook_of(read), said
        return self._outlook

    def _outlook_of(self, read: Read) -> Outlook:
        try:
            return Outlook(changes=tuple(differences(self.groups, read())))
        except ConfigError as error:
            return Outlook(problems=tuple(without_secrets(str(problem)) for problem in error.problems))


async def show(console: Console, visit: Visit) -> web.StreamResponse:
    """Show every section, and how the file stands to it."""
    running = console.running
    standing = running.standing()
    since = console.when(datetime.fromisoformat(standing["since"])) if standing else ""
    refused_at = standing["refused_at"] if standing else None
    return console.page(
        visit,
        "settings.html",
        file=running.path,
        groups=running.groups,
        since=since,
        outlook=await running.outlook(),
        refused=console.when(datetime.fromisoformat(refused_at)) if refused_at else "",
        problems=[without_secrets(each) for each in standing["problems"]] if standing else [],
    )


ROUTES = (Route(path="/settings", action=Action.SETTINGS, page=show, noted="settings"),)
