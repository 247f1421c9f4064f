"""The model registry: versions, their figures, and which one serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update

from router.store import artifacts
from router.store.model_events import PROMOTED, RETURNED
from router.store.model_tables import model_events
from router.store.tables import decisions, models

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

CHAMPION, CHALLENGER, REFUSED, RETIRED = "champion", "challenger", "refused", "retired"
ROLLED_BACK = "rolled_back"  # a person, or the watch over its corrections, went back from it
SHADOW = "shadow"  # a challenger that answers beside the champion, and sends nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One version. `fingerprint` names the data it learnt from, `parent` the champion it was compared with.

    `since_decision` is the last decision that was made before it was promoted, or became a shadow.
    """

    version: str
    type: str
    state: str
    created_at: datetime
    promoted_at: datetime | None = None
    parent: str = ""
    fingerprint: str
    sha256: str
    metrics: dict[str, Any] = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)
    pinned: bool = False
    since_decision: int | None = None


def add(connection: Connection, row: ModelRow, artifact: bytes) -> bool:
    """Register a version; False if the very same one is there already.

    Its bytes are best stored before (`router.store.artifacts`), piece by piece: what is missing is stored here.
    """
    if connection.execute(select(models.c.version).where(models.c.version == row.version)).first() is not None:
        return False
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    connection.execute(insert(models), values)
    for part, piece in artifacts.missing(connection, row.version, artifact):
        artifacts.keep(connection, row.version, part, piece)
    return True


def promote(connection: Connection, version: str, now: datetime, *, leaving: str = RETIRED) -> None:
    """Make a version the champion; the present champion retires, or ends in the state `leaving`."""
    connection.execute(update(models).where(models.c.state == CHAMPION).values(state=leaving))
    values = {"state": CHAMPION, "promoted_at": now, "since_decision": _last_decision()}
    connection.execute(update(models).where(models.c.version == version).values(values))


def _last_decision() -> Any:
    return select(func.coalesce(func.max(decisions.c.id), 0)).scalar_subquery()


def champion(connection: Connection) -> ModelRow | None:
    """Return the version that serves, None if there is none yet."""
    return _one(connection, models.c.state == CHAMPION)


def champion_version(connection: Connection) -> str:
    """Return the name of the version that serves, "" if there is none yet; cheap enough to be asked all the time."""
    return connection.execute(select(models.c.version).where(models.c.state == CHAMPION)).scalar() or ""


def before_champion(connection: Connection) -> ModelRow | None:
    """Return the version that served before the champion: what a rollback goes back to."""
    return next(iter(served_before(connection, 1)), None)


def served_before(connection: Connection, most: int = 5) -> list[ModelRow]:
    """Return the versions that served before the champion, the last one first.

    By the order of what happened: a clock may have been ahead. Of what an earlier Signpost promoted only the time is
    known.
    """
    its = (model_events.c.version == models.c.version, model_events.c.what.in_((PROMOTED, RETURNED)))
    number = select(func.coalesce(func.max(model_events.c.id), 0)).where(*its).scalar_subquery()
    rows = connection.execute(
        select(models)
        .where(models.c.state == RETIRED, models.c.promoted_at.is_not(None))
        .order_by(number.desc(), models.c.promoted_at.desc())
        .limit(most)
    )
    return [ModelRow(**row._mapping) for row in rows]


def shadow(connection: Connection) -> ModelRow | None:
    """Return the challenger that answers beside the champion, None if there is none."""
    return _one(connection, models.c.state == SHADOW)


def begin_shadow(connection: Connection, version: str) -> None:
    """Let a challenger answer beside the champion; one that does so already is a mere challenger again."""
    connection.execute(update(models).where(models.c.state == SHADOW).values(state=CHALLENGER))
    values = {"state": SHADOW, "since_decision": _last_decision()}
    connection.execute(update(models).where(models.c.version == version).values(values))


def end_shadow(connection: Connection, version: str) -> bool:
    """Let a shadow be a mere challenger again; False if it is no shadow any more."""
    is_shadow = (models.c.version == version, models.c.state == SHADOW)
    return connection.execute(update(models).where(*is_shadow).values(state=CHALLENGER)).rowcount == 1


def pin(connection: Connection, version: str, *, pinned: bool) -> None:
    """Keep a version for good, or no longer."""
    connection.execute(update(models).where(models.c.version == version).values(pinned=pinned))


def drop_old(connection: Connection, keep: int, newest: str) -> list[str]:
    """Drop versions beyond so many, refused ones before others and then the oldest; return their names.

    Their bytes are forgotten afterwards, piece by piece (`artifacts.forget_some`).

    The newest stays even if it was refused: somebody will want to see why. Those that serve, have served just before,
    were the best, answer beside the champion (with what they are compared with) or are pinned are never dropped. Nor
    is what was gone back from: else nobody would know any more that it mustn't come back.
    """
    best = next(iter(best_first(connection)), None)  # what challengers are compared with, too
    spared = {newest} | {row.version for row in (before_champion(connection), best) if row}
    spared |= {tried.parent} if (tried := shadow(connection)) else set()
    rows = connection.execute(
        select(models.c.version, models.c.state, models.c.pinned).order_by(models.c.created_at.desc())
    ).all()
    spared |= {row.version for row in rows if row.state in (CHAMPION, SHADOW, ROLLED_BACK) or row.pinned}
    surplus = sum(row.version not in spared for row in rows[keep:])
    others = [row for row in reversed(rows) if row.version not in spared]
    old = [row.version for row in sorted(others, key=lambda row: row.state != REFUSED)[:surplus]]
    connection.execute(delete(models).where(models.c.version.in_(old)))
    return old


def waiting(connection: Connection) -> list[ModelRow]:
    """Return challengers of the champion that a person has to judge, the newest first."""
    serves = champion_version(connection)
    found = select(models).where(models.c.state == CHALLENGER).order_by(models.c.created_at.desc())
    rows = (ModelRow(**row._mapping) for row in connection.execute(found))
    return [row for row in rows if row.verdict.get("waits") and serves in {row.parent, row.verdict.get("instead_of")}]


def doubted(connection: Connection) -> tuple[str, tuple[str, ...]]:
    """Return the last model that was compared with another, and the keys of the words that it was refused with."""
    last = select(models).where(models.c.parent != "").order_by(models.c.created_at.desc()).limit(1)
    row = connection.execute(last).first()
    return ("", ()) if row is None else (row.version, tuple(row.verdict.get("doubted", ())))


def left(connection: Connection) -> list[ModelRow]:
    """Return the versions that a person, or the watch over the champion, went back from."""
    rows = connection.execute(select(models).where(models.c.state == ROLLED_BACK))
    return [ModelRow(**row._mapping) for row in rows]


def best_first(connection: Connection) -> list[ModelRow]:
    """Return the versions that have served and weren't left for it, the one with the best held-out accuracy first.

    Each was measured on the messages that were held out in its time. The older one of equals counts as the better.
    """
    served = models.c.state.in_((CHAMPION, RETIRED)), models.c.promoted_at.is_not(None)
    rows = connection.execute(select(models).where(*served).order_by(models.c.created_at, models.c.version))
    return sorted((ModelRow(**row._mapping) for row in rows), key=_accuracy, reverse=True)


def _accuracy(row: ModelRow) -> float:
    return float((row.metrics.get("held_out") or {}).get("accuracy") or 0.0)


def get(connection: Connection, version: str) -> ModelRow | None:
    """Return one version by its name or an unambiguous beginning of it, or None."""
    found = connection.execute(select(models).where(models.c.version.startswith(version, autoescape=True))).all()
    return ModelRow(**found[0]._mapping) if len(found) == 1 else None


def listing(connection: Connection) -> list[ModelRow]:
    """Return all versions, newest first."""
    rows = connection.execute(select(models).order_by(models.c.created_at.desc(), models.c.version))
    return [ModelRow(**row._mapping) for row in rows]


def _one(connection: Connection, where: Any) -> ModelRow | None:
    row = connection.execute(select(models).where(where)).first()
    return None if row is None else ModelRow(**row._mapping)
