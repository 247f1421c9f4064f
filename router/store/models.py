"""The model registry: versions, their figures, and which one serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from router.store.tables import models

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

CHAMPION, CHALLENGER, REFUSED, RETIRED = "champion", "challenger", "refused", "retired"
ROLLED_BACK = "rolled_back"  # a person went back from it


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One version. `fingerprint` names the data it learnt from, `parent` the champion it was compared with."""

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


_COLUMNS = [column for column in models.c if column.name != "artifact"]


def add(connection: Connection, row: ModelRow, artifact: bytes) -> bool:
    """Register a version; False if the very same one is there already."""
    if connection.execute(select(models.c.version).where(models.c.version == row.version)).first() is not None:
        return False
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    connection.execute(insert(models), {**values, "artifact": artifact})
    return True


def promote(connection: Connection, version: str, now: datetime, *, leaving: str = RETIRED) -> None:
    """Make a version the champion; the present champion retires, or ends in the state `leaving`."""
    connection.execute(update(models).where(models.c.state == CHAMPION).values(state=leaving))
    connection.execute(update(models).where(models.c.version == version).values(state=CHAMPION, promoted_at=now))


def champion(connection: Connection) -> ModelRow | None:
    """Return the version that serves, None if there is none yet."""
    return _one(connection, models.c.state == CHAMPION)


def before_champion(connection: Connection) -> ModelRow | None:
    """Return the version that served before the champion: what a rollback goes back to."""
    row = connection.execute(
        select(*_COLUMNS)
        .where(models.c.state == RETIRED, models.c.promoted_at.is_not(None))
        .order_by(models.c.promoted_at.desc())
        .limit(1)
    ).first()
    return None if row is None else ModelRow(**row._mapping)


def was_left(connection: Connection, fingerprint: str) -> bool:
    """Return whether a person went back from a version that learnt from the same data."""
    same = (models.c.state == ROLLED_BACK, models.c.fingerprint == fingerprint)
    return connection.execute(select(models.c.version).where(*same).limit(1)).first() is not None


def get(connection: Connection, version: str) -> ModelRow | None:
    """Return one version by its name or an unambiguous beginning of it, or None."""
    found = connection.execute(select(*_COLUMNS).where(models.c.version.startswith(version, autoescape=True))).all()
    return ModelRow(**found[0]._mapping) if len(found) == 1 else None


def artifact(connection: Connection, version: str) -> bytes:
    """Return the bytes of a version."""
    return bytes(connection.execute(select(models.c.artifact).where(models.c.version == version)).scalar_one())


def listing(connection: Connection) -> list[ModelRow]:
    """Return all versions, newest first."""
    rows = connection.execute(select(*_COLUMNS).order_by(models.c.created_at.desc(), models.c.version))
    return [ModelRow(**row._mapping) for row in rows]


def _one(connection: Connection, where: Any) -> ModelRow | None:
    row = connection.execute(select(*_COLUMNS).where(where)).first()
    return None if row is None else ModelRow(**row._mapping)
