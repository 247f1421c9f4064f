"""The registry of models in the store: which versions there are, which one serves, and how to go back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from classifiers._artifact import unpack
from router.errors import BadArtifact, Conflict, NotFound, SignpostError
from router.failpoints import reach
from router.learning.rollback import was_left
from router.learning.train import Trained, trained
from router.learning.verdicts import Verdict
from router.store import artifacts, models, shadows
from router.store import model_events as events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from classifiers._artifact import Artifact
    from router.interfaces import Classifier, ClassifierType
    from router.plugins import Plugins
    from router.store.engine import Store
    from router.store.models import ModelRow

_STANDS_IN = "This is the bundled model; it serves because the champion can't be used."
_BUNDLED = "This is the bundled model; it serves until one that has learnt from the district's own messages passes."


async def ensure_champion(store: Store, provide: Callable[[], tuple[bytes, str]]) -> models.ModelRow:
    """Return the champion; where the registry is empty, register and promote the model that `provide` makes.

    `provide` (see `router.learning.bundled`) runs in a thread and is asked only when it is needed.
    """
    row = await store.read(models.champion)
    if row is not None:
        return row
    first = await asyncio.to_thread(_provided, provide, _BUNDLED)
    await keep_artifact(store, first)
    return await store.write(lambda connection: put(connection, first, store.clock.now(), to=models.CHAMPION))


async def stand_in(store: Store, provide: Callable[[], tuple[bytes, str]]) -> models.ModelRow:
    """Register the bundled model as a mere challenger, so that it can serve where the champion can't; return it.

    The champion stays champion: it may be sound for a program of another version, which other daemons run.
    """
    bundled = await asyncio.to_thread(_provided, provide, _STANDS_IN)
    await keep_artifact(store, bundled)

    def work(connection: Connection) -> ModelRow:
        row = put(connection, bundled, store.clock.now())
        events.add(connection, events.STOOD_IN, store.clock.now(), version=row.version, why=_STANDS_IN)
        return row

    return await store.write(work)


def _provided(provide: Callable[[], tuple[bytes, str]], sentence: str) -> Trained:
    data, sha256 = provide()
    return trained(unpack(data, sha256), Verdict(passed=True, sentence=sentence))


def stand_ins(connection: Connection) -> list[ModelRow]:
    """Return what serves in place of a champion that can't be used, in the order in which it is tried.

    Those that served before, the last one first; then the bundled model, if it was made for that.
    """
    version = events.last_version(connection, events.STOOD_IN)
    bundled = models.get(connection, version) if version else None
    return [*models.served_before(connection), *([bundled] if bundled else [])]


async def register(
    store: Store,
    model: Trained,
    *,
    promote: bool,
    shadow: bool = False,
    keep: int = 0,
    began_at: datetime | None = None,
) -> ModelRow:
    """Register a trained model, as a challenger or (the gate said no) as refused, and return it as it then stands.

    It is promoted if asked for, or with `shadow` answers beside the champion first, unless the gate refused it or left
    it to a person, the champion is no longer the one it was compared with, the very version was known before, or a
    person went back from one that had learnt the same (`router.learning.rollback`): a training must not undo what a
    person decided. Look at the `state` that comes back. Of all models the newest `keep` stay (0: all). `began_at` is
    when what it learnt from was read: the daemon counts from there until the next training.
    """
    to = (models.SHADOW if shadow else models.CHAMPION) if promote else ""

    def work(connection: Connection) -> ModelRow:
        if began_at is not None:
            events.add(connection, events.TRAINING, began_at, version=model.version, why="signpost train")
        return put(connection, model, store.clock.now(), to=to, keep=keep)

    await keep_artifact(store, model)
    row = await store.write(work)
    await tidy(store)
    return row


async def keep_artifact(store: Store, model: Trained) -> None:
    """Store a model's bytes, each piece in a unit of work of its own, so that nobody waits for all of them.

    Nobody sees the model before `put` registers it. What is left of one that never was is dropped by `tidy`.
    """
    version = model.version
    pieces = await store.read(lambda connection: list(artifacts.missing(connection, version, model.artifact)))
    try:
        for part, piece in pieces:
            await store.write(partial(artifacts.keep, version=version, part=part, content=piece))
    except SignpostError:
        await tidy(store)  # no room, say: messages need what there is
        raise
    reach("model_stored")


async def tidy(store: Store) -> None:
    """Drop the bytes of models that the registry doesn't know, a few pieces at a time; what can't be now is later."""

    def work(connection: Connection) -> int:
        alone(connection)  # or a daemon might be registering what is dropped
        return artifacts.forget_some(connection)

    with suppress(SignpostError):
        while await store.write(work):
            pass


async def find(store: Store, version: str) -> ModelRow:
    """Return a version by its name or an unambiguous beginning of it; raise `NotFound`."""
    row = await store.read(lambda connection: models.get(connection, version)) if version else None
    if row is None:
        raise NotFound(f"there is no model '{version}', or several versions begin so; see: signpost models list")
    return row


async def promote(store: Store, version: str, by: str = "") -> ModelRow:
    """Make a version (or an unambiguous beginning of one) the champion: what a person decides, whatever the gate said.

    Raise `NotFound` if there is no such version, `Conflict` if it serves already, `BadArtifact` if it is damaged.
    """
    row = await find(store, version)
    if row.state == models.CHAMPION:
        raise Conflict(f"the model {row.version} serves already")
    await check(store, row)
    return await store.write(lambda connection: make_champion(connection, row.version, store.clock.now(), by=by))


async def pin(store: Store, version: str, *, pinned: bool, by: str = "") -> ModelRow:
    """Keep a version for good, or no longer; raise `NotFound`."""
    row = await find(store, version)

    def work(connection: Connection) -> ModelRow:
        models.pin(connection, row.version, pinned=pinned)
        what = events.PINNED if pinned else events.UNPINNED
        events.add(connection, what, store.clock.now(), version=row.version, by=by)
        return _get(connection, row.version)

    return await store.write(work)


async def rollback(store: Store, by: str = "", why: str = "") -> ModelRow:
    """Make the version that served before the champion the champion again, and return it.

    The version left behind is `rolled_back`: another rollback goes further back, and only a person promotes it again.
    Raise `Conflict` if there is nothing to go back to, `BadArtifact` if that version is damaged.
    """
    row = await store.read(models.before_champion)
    if row is None:
        raise Conflict("there is nothing to go back to: no other model has served before")
    await check(store, row)
    now = store.clock.now()
    return await store.write(lambda connection: go_back(connection, row.version, now, by=by, why=why))


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
    data = await store.read(lambda connection: artifacts.read(connection, row.version))
    return await asyncio.to_thread(_load, data, row, types)


async def metadata(store: Store, row: ModelRow) -> Mapping[str, Any]:
    """Return what a version's artifact says of itself, without loading the model; raise `BadArtifact` if damaged."""
    data = await store.read(lambda connection: artifacts.read(connection, row.version))
    return (await asyncio.to_thread(_genuine, data, row)).meta


def _load(data: bytes, row: ModelRow, types: Plugins[ClassifierType]) -> tuple[Classifier, Mapping[str, Any]]:
    artifact = _genuine(data, row)
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


async def check(store: Store, row: ModelRow) -> None:
    """Raise `BadArtifact` if a version is damaged: before it is promoted."""
    data = await store.read(lambda connection: artifacts.read(connection, row.version))
    await asyncio.to_thread(_genuine, data, row)


def _genuine(data: bytes, row: ModelRow) -> Artifact:
    """Return the artifact of a version; a version is named after its bytes, so that no other can stand in for it."""
    artifact = unpack(data, row.sha256)
    if artifact.version != row.version:
        raise BadArtifact(f"what is registered as the model {row.version} is another one, {artifact.version}")
    return artifact


# --- units of work ----------------------------------------------------------------------------------------------------


def put(connection: Connection, model: Trained, now: datetime, *, to: str = "", keep: int = 0) -> ModelRow:
    """Register a model and let it become `to` (champion, shadow or nothing more) if it may; drop old ones."""
    alone(connection)
    verdict = model.verdict
    row = models.ModelRow(
        version=model.version,
        type=model.type,
        state=models.CHALLENGER if verdict.passed else models.REFUSED,
        created_at=now,
        parent=model.parent,
        fingerprint=model.fingerprint,
        sha256=model.sha256,
        metrics=dict(model.metrics),
        verdict=verdict.to_json(),
    )
    is_new = models.add(connection, row, model.artifact)
    if is_new:
        what = events.REGISTERED if verdict.passed else events.REFUSED
        events.add(connection, what, now, version=row.version, why=verdict.sentence)
    if verdict.passed and to:
        _become(connection, model, to, now, is_new=is_new)
    dropped = models.drop_old(connection, keep, model.version) if keep else []
    shadows.forget(connection, dropped)
    for version in dropped:
        events.add(connection, events.DROPPED, now, version=version, why=f"only {keep} are kept")
    return _get(connection, model.version)


def _become(connection: Connection, model: Trained, to: str, now: datetime, *, is_new: bool) -> None:
    """Let a model that passed serve, or answer beside the champion, or keep why it doesn't."""
    if why_not := _why_not(connection, model, is_new=is_new):
        if is_new:
            events.add(connection, events.NOT_PROMOTED, now, version=model.version, why=why_not)
    elif to == models.SHADOW:
        models.begin_shadow(connection, model.version)
        events.add(connection, events.SHADOWED, now, version=model.version)
    else:
        _serve(connection, model.version, now, by="", why="the gate passed it")


def _why_not(connection: Connection, model: Trained, *, is_new: bool) -> str:
    """Return why a model that passed is to be no more than a challenger, "" if nothing speaks against it."""
    champion, verdict = models.champion(connection), model.verdict
    if (champion.version if champion else "") not in {model.parent, verdict.instead_of or model.parent}:
        return "it wasn't compared with the model that serves now"
    if not is_new:
        return "it was known before"
    if champion and was_left(model, champion.metrics, models.left(connection)):
        return "it has learnt what a model had learnt that was gone back from, and little else"
    return "the gate leaves it to a person" if verdict.waits else ""


def _serve(connection: Connection, version: str, now: datetime, by: str, why: str) -> None:
    models.promote(connection, version, now)
    events.add(connection, events.PROMOTED, now, version=version, by=by, why=why)


def make_champion(connection: Connection, version: str, now: datetime, *, by: str = "", why: str = "") -> ModelRow:
    """Make a version the champion."""
    alone(connection)
    _serve(connection, version, now, by, why)
    return _get(connection, version)


def go_back(connection: Connection, to: str, now: datetime, *, by: str = "", why: str = "") -> ModelRow:
    """Go back from the champion to the version that served before; raise `Conflict` if that isn't `to` any more."""
    alone(connection)
    row, left = models.before_champion(connection), models.champion_version(connection)
    if row is None or row.version != to:
        raise Conflict("somebody else promoted or rolled back a model at the same moment; look again")
    models.promote(connection, to, now, leaving=models.ROLLED_BACK)
    events.add(connection, events.ROLLED_BACK, now, version=left, by=by, why=why)
    events.add(connection, events.RETURNED, now, version=to, by=by, why=f"after {left}")
    return _get(connection, to)


def _get(connection: Connection, version: str) -> ModelRow:
    row = models.get(connection, version)
    if row is None:
        raise NotFound(f"there is no model '{version}'")
    return row


def alone(connection: Connection) -> None:
    """Keep two daemons from promoting at once, before anything is read; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE models IN SHARE ROW EXCLUSIVE MODE"))
