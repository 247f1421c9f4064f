"""What commands ask about models: the registry, and why a stored message went where it went."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers._text import prepare, readings
from router.errors import NotFound, SignpostError
from router.failpoints import reach
from router.ids import normalise
from router.learning import registry
from router.learning.shadow import counted
from router.learning.train import trained_elsewhere
from router.routing.explain import Asked, explanation
from router.routing.schools import Schools
from router.routing.urgent import urgency
from router.serving import thresholds
from router.store import decisions, messages, models, shadows
from router.store import model_events as events
from router.views import when

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlalchemy import Connection, Row

    from router.commands import Commands
    from router.interfaces import ClassifierType
    from router.learning.train import Trained
    from router.plugins import Plugins
    from router.records import Decision, Department, Message, Prediction
    from router.store.engine import Store
    from router.store.models import ModelRow

_A_PERSON = "a person"  # by whom, where it isn't said


async def _nothing_to_refresh() -> None:
    """Stand in for a daemon's `Serving.refresh` where no daemon runs."""


class ModelCommands:
    """The commands' side of the registry. `refresh` makes a running daemon serve the champion at once."""

    def __init__(
        self,
        store: Store,
        types: Plugins[ClassifierType],
        *,
        departments: Sequence[Department],
        fallback: str,
        target_error: float,
        schools: Callable[[], Schools] = lambda: Schools(()),
        refresh: Callable[[], Awaitable[object]] = _nothing_to_refresh,
        keep: int = 0,
    ) -> None:
        self._store = store
        self._types = types
        self._departments = departments
        self._fallback = fallback
        self._target_error = target_error
        self._schools = schools
        self._refresh = refresh
        self._keep = keep

    def offer(self, commands: Commands) -> None:
        """Add these commands to the others."""
        commands.add("models_list", self.models_list)
        commands.add("models_show", self.models_show)
        commands.add("models_promote", self.models_promote)
        commands.add("models_rollback", self.models_rollback)
        commands.add("models_register", self.models_register)
        commands.add("models_shadow", self.models_shadow)
        commands.add("models_pin", self.models_pin)
        commands.add("explain", self.explain)

    async def models_list(self) -> list[dict[str, Any]]:
        """Return every version, newest first, with its headline figures."""
        return [_headline(row) for row in await self._store.read(models.listing)]

    async def models_show(self, version: str = "") -> dict[str, Any]:
        """Return everything about one version (or a beginning of one) but the model itself; "" means the champion."""
        row = await self._store.read(lambda c: models.get(c, version) if version else models.champion(c))
        if row is None:
            raise NotFound(
                f"there is no model '{version}', or several versions begin so; see: signpost models list"
                if version
                else "no model has been registered yet"
            )
        history = await self._store.read(lambda c: events.listing(c, row.version))
        return model_view(row) | {"history": [_event(each) for each in history]}

    async def models_promote(self, version: str, by: str = _A_PERSON) -> dict[str, Any]:
        """Make a version the champion, whatever the gate said: a person decides."""
        row = await registry.promote(self._store, version, by or _A_PERSON)
        reach("promoted")
        await self._refresh()
        return _headline(row)

    async def models_rollback(self, by: str = _A_PERSON, why: str = "") -> dict[str, Any]:
        """Go back to the version that served before."""
        row = await registry.rollback(self._store, by or _A_PERSON, why)
        await self._refresh()
        return _headline(row)

    async def models_pin(self, version: str, pinned: bool, by: str = "") -> dict[str, Any]:
        """Keep a version for good, or no longer."""
        return _headline(await registry.pin(self._store, version, pinned=pinned, by=by))

    async def models_shadow(self, version: str = "", limit: int = 50) -> dict[str, Any]:
        """Return how a challenger (the one that is being tried, if none is named) compares on live messages."""
        row = await registry.find(self._store, version) if version else await self._store.read(models.shadow)
        if row is None:
            raise NotFound("no challenger is being tried now; for a former one: signpost models shadow VERSION")
        counts = await self._store.read(lambda c: counted(c, row.version, self._departments))
        rows = await self._store.read(lambda c: shadows.differences(c, row.version, limit))
        return {
            "version": row.version,
            "state": row.state,
            "champion": row.parent,
            **asdict(counts),
            "differences": [_difference(each) for each in rows],
        }

    async def models_register(
        self,
        path: str,
        sha256: str,
        verdict: dict[str, Any],
        parent: str,
        *,
        promote: bool = True,
        shadow: bool = False,
        began_at: str = "",
    ) -> dict[str, Any]:
        """Register the artifact in a file; with `promote` it serves from now on if the gate passed it.

        With `shadow` it answers beside the champion first. `began_at` is when what it learnt from was read.
        """
        model = await asyncio.to_thread(_read, Path(path), sha256, verdict, parent)
        began = datetime.fromisoformat(began_at) if began_at else None
        row = await registry.register(
            self._store, model, promote=promote, shadow=shadow, keep=self._keep, began_at=began
        )
        await self._refresh()
        return _headline(row)

    async def explain(self, message_id: str) -> dict[str, Any]:
        """Return why a stored message went where it went, with the words of the model that was asked about it."""
        message, history = await self._store.read(partial(_decided, given=message_id))
        prediction = next((each.prediction for each in reversed(history) if each.prediction), None)
        asked = await self._asked(message, prediction.model) if prediction else None
        return await asyncio.to_thread(self._explanation, message, history[-1], prediction, asked)

    def _explanation(
        self, message: Message, decision: Decision, prediction: Prediction | None, asked: Asked | None
    ) -> dict[str, Any]:
        schools = self._schools()
        view = explanation(
            message,
            decision,
            prediction,
            departments=self._departments,
            fallback=self._fallback,
            schools=schools.known,
            seen=schools.look(message),
            asked=asked,
        )
        classifier = asked.classifier if asked else None
        return view | {"urgency": urgency(message.content, message.medium.value, classifier, readings)}

    async def _asked(self, message: Message, version: str) -> Asked | None:
        row = await self._store.read(lambda c: models.get(c, version)) if version else None
        if row is None:
            return None
        classifier, meta = await registry.load_version(self._store, row, self._types)
        limits = thresholds(meta, self._target_error)
        return Asked.about(classifier, limits, prepare(message.content, message.medium.value), self._departments)


def _read(path: Path, sha256: str, verdict: dict[str, Any], parent: str) -> Trained:
    try:
        return trained_elsewhere(path.read_bytes(), sha256, verdict, parent)
    except OSError as error:
        raise SignpostError(f"the trained model can't be read: {error.strerror or error}") from error


def _decided(connection: Connection, given: str) -> tuple[Message, list[Decision]]:
    """Return a message and its decisions, the one in force last."""
    message_id = normalise(given) or given
    message = messages.get(connection, message_id)
    if message is None:
        raise NotFound(f"there is no message '{given}'")
    present = decisions.in_force(connection, message_id)
    if present is None:
        state, why = messages.state_of(connection, message_id), messages.detail_of(connection, message_id)
        raise NotFound(f"message {message_id} has no decision: it is {state.value}" + (f" ({why})" if why else ""))
    return message, [*(each for each in decisions.history(connection, message_id) if each.id != present.id), present]


def model_view(row: ModelRow) -> dict[str, Any]:
    """Return a version as a JSON value."""
    return {
        "version": row.version,
        "type": row.type,
        "state": row.state,
        "created_at": when(row.created_at),
        "promoted_at": when(row.promoted_at) if row.promoted_at else None,
        "parent": row.parent,
        "fingerprint": row.fingerprint,
        "sha256": row.sha256,
        "metrics": row.metrics,
        "verdict": row.verdict,
        "pinned": row.pinned,
    }


def _event(row: Row[Any]) -> dict[str, Any]:
    return {"at": when(row.at), "what": row.what, "by": row.by, "why": row.why}


def _difference(row: Row[Any]) -> dict[str, Any]:
    return {
        "message_id": row.message_id,
        "decided_at": when(row.decided_at),
        "before": row.before,
        "before_confidence": round(row.before_confidence, 4),
        "after": row.after,
        "after_confidence": round(row.after_confidence, 4),
        "alarm_lost": row.alarm_lost,
    }


def _headline(row: ModelRow) -> dict[str, Any]:
    view = model_view(row)
    held_out = view.pop("metrics").get("held_out", {})
    verdict = view.pop("verdict")
    figures = {name: held_out.get(name) for name in ("accuracy", "coverage", "selective_accuracy", "target_error")}
    return {**view, **figures, "passed": verdict.get("passed"), "sentence": verdict.get("sentence", "")}
