"""Reload: read the configuration again when asked to or when its files change, and use all of it or nothing."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from router.errors import ConfigError, SignpostError
from router.records import Notice
from router.supervise import try_to_tell
from router.views import when

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from router.files import FileWatch
    from router.interfaces import Clock
    from router.notify import Notify

T = TypeVar("T")

_LOOK_S = 2.0
_SHOWN = 20  # problems in a log line or an alert


class Reloads(Generic[T]):
    """Does one reload at a time, and remembers how the last one ended.

    `read` reads the configuration (in a thread; raises `ConfigError`), `apply` makes the daemon follow it and returns
    what changed, or raises and leaves everything as it was. `watch` looks at the files that `read` reads.
    """

    def __init__(
        self,
        read: Callable[[], T],
        apply: Callable[[T], Awaitable[dict[str, Any]]],
        watch: FileWatch,
        *,
        tell: Callable[[str, Notice], Awaitable[None]],
        notify: Notify,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._read = read
        self._apply = apply
        self._watch = watch
        self._tell = tell
        self._notify = notify
        self._clock = clock
        self._log = log
        self._asked = asyncio.Event()
        self._alone = asyncio.Lock()
        self._since = clock.now()
        self._refused_at: datetime | None = None
        self._problems: list[str] = []

    def ask(self) -> None:
        """Have the configuration read again soon; to ask several times at once is to ask once."""
        self._asked.set()

    async def run(self) -> None:
        """Reload for ever, when asked to and when a file has changed."""
        while True:
            if await self._is_asked():
                await self.now("signal")
            elif await asyncio.to_thread(self._watch.changed):
                await self.now("file")

    async def now(self, by: str = "command") -> dict[str, Any]:
        """Reload and return the outcome: `applied` with what changed, or the `problems` (`invalid`: of the file)."""
        async with self._alone:
            self._asked.clear()
            self._notify.reloading()
            try:
                return await self._reload(by)
            finally:
                self._notify.ready(self.sentence())

    def view(self) -> dict[str, Any]:
        """Return which configuration is in force, and what is wrong with a newer one."""
        refused_at = when(self._refused_at) if self._refused_at else None
        return {"since": when(self._since), "refused_at": refused_at, "problems": list(self._problems)}

    def sentence(self) -> str:
        """Return the same in words."""
        running = f"runs the configuration of {when(self._since)}"
        if self._refused_at is None:
            return running
        return f"{running}; the file of {when(self._refused_at)} has {_problems(self._problems)}"

    async def _is_asked(self) -> bool:
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._asked.wait()
        except TimeoutError:
            return False
        return True

    async def _reload(self, by: str) -> dict[str, Any]:
        try:
            await asyncio.to_thread(self._watch.note)  # before it is read: what changes meanwhile is read once more
            changed = await self._apply(await asyncio.to_thread(self._read))
        except ConfigError as error:
            return await self._refuse([str(problem) for problem in error.problems], by, invalid=True)
        except SignpostError as error:
            return await self._refuse([str(error)], by, invalid=False)
        except Exception as error:
            self._log.exception("reload_failed")
            return await self._refuse([f"{type(error).__name__}: see the log"], by, invalid=False)
        self._since, self._refused_at, self._problems = self._clock.now(), None, []
        self._log.info("configuration_reloaded", by=by, **changed)
        return {"applied": True, "invalid": False, "problems": [], **changed}

    async def _refuse(self, problems: list[str], by: str, *, invalid: bool) -> dict[str, Any]:
        told, self._problems, self._refused_at = self._problems, problems, self._clock.now()
        self._log.error("configuration_refused", by=by, problems=len(problems), lines=problems[:_SHOWN])
        if problems != told:
            kind = sha256("\n".join(problems).encode()).hexdigest()[:16]
            await try_to_tell(self._tell, f"configuration:{kind}", self._notice(problems), self._log)
        return {"applied": False, "invalid": invalid, "problems": problems}

    def _notice(self, problems: list[str]) -> Notice:
        lines = [f"Signpost {self.sentence()}:", "", *(f"  {problem}" for problem in problems[:_SHOWN]), ""]
        lines += ["All goes on as before. Mend the file: then it is read again.", ""]
        subject = f"The changed configuration is not used: {_problems(problems)}"
        return Notice(subject=subject, text="\n".join(lines))


def _problems(problems: list[str]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
