"""The registry of models in the store: which versions there are, which one serves, and how to go back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from classifiers._artifact import unpack
from router.errors import BadArtifact, Conflict, NotFound, SignpostError
from router.learning.gate import Verdict
from router.learning.train import Trained, trained
from router.store import models

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from classifiers._artifact import Artifact
    from router.interfaces import Classifier, ClassifierType
    from router.plugins import Plugins
    from router.store.engine import Store
    from router.store.models import ModelRow

_BUNDLED = "This is the bundled model; it serves until one that has learnt from the district's own messages passes."


async def ensure_champion(store: Store, provide: Callable[[], tuple[bytes, str]]) -> models.ModelRow:
    """Return the champion; where the registry is empty, register and promote the model that `provide` makes.

    `provide` (see `router.learning.bundled`) runs in a thread and is asked only when it is needed.
    """
    row = await store.read(models.champion)
    if row is not None:
        return row
    data, sha256 = await asyncio.to_thread(provide)
    first = trained(unpack(data, sha256), Verdict(passed=True, sentence=_BUNDLED))
    return await store.write(lambda connection: _put(connection, first, store.clock.now(), promote=True))


async def register(store: Store, model: Trained, *, promote: bool) -> ModelRow:
    """Register a trained model, as a challenger or (the gate said no) as refused, and return it as it then stands.

    It is promoted if asked for, unless the gate refused it, the champion is no longer the one it was compared with,
    the very version was known before, or a person went back from one that learnt from the same data: with nothing new
    learnt, a training must not undo what a person decided. Look at the `state` that comes back.
    """
    return await store.write(
        lambda connection: _put(connection, model, store.clock.now(), promote=promote and model.verdict.passed)
    )


async def promote(store: Store, version: str) -> ModelRow:
    """Make a version (or an unambiguous beginning of one) the champion: what a person decides, whatever the gate said.

    Raise `NotFound` if there is no such version, `Conflict` if it serves already, `BadArtifact` if it is damaged.
    """
    row = await store.read(lambda connection: models.get(connection, version)) if version else None
    if row is None:
        raise NotFound(f"there is no model '{version}', or several versions begin so; see: signpost models list")
    if row.state == models.CHAMPION:
        raise Conflict(f"the model {row.version} serves already")
    await _check(store, row)
    return await store.write(lambda connection: _promote(connection, row.version, store.clock.now()))


async def rollback(store: Store) -> ModelRow:
    """Make the version that served before the champion the champion again, and return it.

    The version left behind is `rolled_back`: another rollback goes further back, and only a person promotes it again.
    Raise `Conflict` if there is nothing to go back to, `BadArtifact` if that version is damaged.
    """
    row = await store.read(models.before_champion)
    if row is None:
        raise Conflict("there is nothing to go back to: no other model has served before")
    await _check(store, row)
    return await store.write(lambda connection: _roll_back(connection, row.version, store.clock.now()))


async def load_champion(store: Store, types: Plugins[ClassifierType]) -> tuple[Classifier, Mapping[str, Any]] | None:
    """Return the champion, ready to serve, and its metadata; None if there is none. Raise `BadArtifact` if unfit."""
    row = await store.read(models.champion)
    return None if row is None else await load_version(store, row, types)


async def load_version(
    store: Store, row: ModelRow, types: Plugins[ClassifierType]
) -> tuple[Classifier, Mapping[str, Any]]:
    """Return one version ready to serve with its metadata; raise `BadArtifact` if it is unfit.

    Unfit is what doesn't match the registered SHA-256, isn't an artifact, is of a type that isn't installed, or
    can't be loaded by it.
    """
    data = await store.read(lambda connection: models.artifact(connection, row.version))
    return await asyncio.to_thread(_load, data, row, types)


def _load(data: bytes, row: ModelRow, types: Plugins[ClassifierType]) -> tuple[Classifier, Mapping[str, Any]]:
    artifact = unpack(data, row.sha256)
    try:
        return opened(types, artifact)
    except SignpostError as error:
        raise BadArtifact(f"the model {row.version} can't be loaded: {error}") from error
    except Exception as error:  # a third party's classifier: whatever it raises, this model can't serve
        raise BadArtifact(f"the model {row.version} can't be loaded: {type(error).__name__}: {error}") from error


def opened(types: Plugins[ClassifierType], artifact: Artifact) -> tuple[Classifier, Mapping[str, Any]]:
    """Return an artifact's model and the metadata that hold for it on this machine; raise `SignpostError` if unfit.

    With `reduced` in the metadata it serves without a part it was trained with: a sentence says what is missing.
    """
    classifier = types.get(artifact.type).load(artifact)
    return classifier, {**artifact.meta, **getattr(classifier, "instead", {})}


async def _check(store: Store, row: ModelRow) -> None:
    """Refuse a damaged version before it is promoted."""
    data = await store.read(lambda connection: models.artifact(connection, row.version))
    await asyncio.to_thread(unpack, data, row.sha256)


# --- units of work ----------------------------------------------------------------------------------------------------


def _put(connection: Connection, model: Trained, now: datetime, *, promote: bool) -> ModelRow:
    _alone(connection)
    row = models.ModelRow(
        version=model.version,
        type=model.type,
        state=models.CHALLENGER if model.verdict.passed else models.REFUSED,
        created_at=now,
        parent=model.parent,
        fingerprint=model.fingerprint,
        sha256=model.sha256,
        metrics=dict(model.metrics),
        verdict=model.verdict.to_json(),
    )
    is_new = models.add(connection, row, model.artifact)
    champion = models.champion(connection)
    if champion is None:
        may_serve = not model.parent
    else:
        nothing_learnt = not is_new or models.was_left(connection, model.fingerprint)
        may_serve = champion.version == model.parent and not nothing_learnt
    if promote and may_serve:
        models.promote(connection, model.version, now)
    return _get(connection, model.version)


def _promote(connection: Connection, version: str, now: datetime) -> ModelRow:
    _alone(connection)
    models.promote(connection, version, now)
    return _get(connection, version)


def _roll_back(connection: Connection, version: str, now: datetime) -> ModelRow:
    _alone(connection)
    row = models.before_champion(connection)
    if row is None or row.version != version:
        raise Conflict("somebody else promoted or rolled back a model at the same moment; look again")
    models.promote(connection, version, now, leaving=models.ROLLED_BACK)
    return _get(connection, version)


def _get(connection: Connection, version: str) -> ModelRow:
    row = models.get(connection, version)
    if row is None:
        raise NotFound(f"there is no model '{version}'")
    return row


def _alone(connection: Connection) -> None:
    """Keep two daemons from promoting at once; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE models IN SHARE ROW EXCLUSIVE MODE"))
