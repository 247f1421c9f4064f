"""The demo's pages about learning: corrections to confirm, versions of the model, retraining and going back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from router.errors import Conflict, Malformed, SignpostError
from router.store import models
from router.web.pages import sentence
from router.web.requests import check_origin, read_form

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from structlog.typing import FilteringBoundLogger

    from router.commands import Commands
    from router.demo.shown import Shown
    from router.interfaces import Progress
    from router.store.engine import Store
    from router.web.pages import Pages

_BY = "demo"
_REFRESH_S = 2


@dataclass(slots=True)
class Training:
    """The training under way or the last one; `said` is what came of it."""

    running: bool = False
    what: str = ""
    share: float = 0.0  # done so far, 0..1
    said: str = ""
    failed: bool = False

    def progress(self, what: str, share: float) -> None:
        """Note how far it is; may be called from any thread."""
        self.what, self.share = what, share


class Lessons:
    """Corrections and models."""

    def __init__(
        self,
        *,
        commands: Commands,
        store: Store,
        pages: Pages,
        shown: Shown,
        public_url: str,
        common: Mapping[str, Any],
        retrain: Callable[[Progress], Awaitable[str]],
        log: FilteringBoundLogger,
    ) -> None:
        self._commands = commands
        self._store = store
        self._pages = pages
        self._shown = shown
        self._public_url = public_url
        self._common = common
        self._retrain = retrain
        self._log = log
        self._training = Training()
        self._task: asyncio.Task[None] | None = None

    def posts(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """Return what answers the buttons."""
        return {
            "/demo/corrections/confirm": self.confirm,
            "/demo/corrections/withdraw": self.withdraw,
            "/demo/models/retrain": self.retrain,
            "/demo/models/rollback": self.roll_back,
        }

    async def stop(self, _application: web.Application) -> None:
        """Don't wait for a training that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def corrections(self, _request: web.Request) -> web.StreamResponse:
        """List what people said, newest first."""
        views = await self._commands.run("corrections_list", {})
        found = [self._shown.correction(view) for view in views]
        return self._pages.response("demo_corrections.html", corrections=found, **self._common)

    async def confirm(self, request: web.Request) -> web.StreamResponse:
        """Let a correction become training data."""
        return await self._settle(request, "corrections_confirm")

    async def withdraw(self, request: web.Request) -> web.StreamResponse:
        """Keep a correction out of training."""
        return await self._settle(request, "corrections_withdraw")

    async def _settle(self, request: web.Request, command: str) -> web.StreamResponse:
        check_origin(request, self._public_url, strict=True)
        number = (await read_form(request)).get("correction", "")
        if not (number.isascii() and number.isdecimal() and len(number) < 16):
            raise Malformed("that is no correction's number")
        await self._commands.run(command, {"ids": [int(number)], "by": _BY})
        return _see_other("/demo/corrections")

    async def models(self, _request: web.Request) -> web.StreamResponse:
        """List the versions of the model, and how the training goes."""
        rows = await self._store.read(models.listing)
        views = await self._commands.run("corrections_list", {"state": "confirmed"})
        return self._pages.response(
            "demo_models.html",
            models=[self._shown.model(row) for row in rows],
            confirmed=len(views),
            can_go_back=any(row.state == models.RETIRED and row.promoted_at is not None for row in rows),
            training=self._training,
            refresh_s=_REFRESH_S if self._training.running else 0,
            **self._common,
        )

    async def retrain(self, request: web.Request) -> web.StreamResponse:
        """Start training, unless it is under way; the page then shows how it goes."""
        check_origin(request, self._public_url, strict=True)
        if not self._training.running:
            self._training = Training(running=True, what="starting")
            self._task = asyncio.create_task(self._train(self._training), name="demo-training")
        return _see_other("/demo/models")

    async def _train(self, training: Training) -> None:
        try:
            training.said = sentence(await self._retrain(training.progress))
        except SignpostError as error:
            training.said, training.failed = sentence(str(error)), True
        except Exception:
            self._log.exception("demo_training_failed")
            training.said, training.failed = "The training failed; the log says why.", True
        finally:
            training.running = False

    async def roll_back(self, request: web.Request) -> web.StreamResponse:
        """Go back to the model before."""
        check_origin(request, self._public_url, strict=True)
        if self._training.running:
            raise Conflict("a training is under way; wait until it is done")
        back = await self._commands.run("models_rollback", {})
        self._training = Training(said=f"Version {back['version'][:16]} serves again.")
        return _see_other("/demo/models")


def _see_other(location: str) -> web.Response:
    return web.Response(status=303, headers={"Location": location})
