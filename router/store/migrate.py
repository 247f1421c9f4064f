"""Bring the schema up to date at start, on the writer's connection.

Several daemons share a database, and are brought to a new version one after the other. So most migrations only add:
whatever an earlier program reads and writes stays as it is, and it goes on. One that takes something away, or gives it
another meaning, says `contracts = True`: it waits until no daemon runs, and programs older than it are refused from
then on. What is to go away is first left unused by one release, then taken away by a later one.

An index on a table that is there already is added by `router.store.indexes.add`, never by Alembic's `create_index`:
PostgreSQL then builds it afterwards, while others write. Otherwise a migration takes no table for long: it adds columns
without a default that has to be computed, and moves rows in a command of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import DBAPIError

from router.errors import StoreBroken, StoreBusy
from router.store import cursors, daemons, indexes

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script
    from sqlalchemy import Connection

HEAD = "0021"  # the newest revision in migrations/versions; a test compares
_LOCK = 0x5197057  # the advisory lock of migrations: any number that nothing else here uses
_LOCKED, _LOCKED_MS = "55P03", 5_000  # PostgreSQL manual, appendix A; below what a heartbeat may take
SCHEMA = ":schema"  # among the cursors, as no channel can be named
_SCRIPTS = Path(__file__).with_name("migrations")


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, each store as one transaction; keep a copy of an SQLite file first.

    Raises `StoreBroken` when the store was written by a newer Signpost.
    """
    if connection.dialect.name == "postgresql":  # several daemons may start at once: one after the other
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    present = revision(connection)
    if present == HEAD:
        return
    if present and present not in _known():
        require_fit(connection)
        return
    if present and connection.dialect.name == "postgresql" and _contracting(present):
        _require_nobody(connection)
    if connection.dialect.name == "sqlite":
        _upgrade_sqlite(connection, present)
    else:
        _upgrade_postgresql(connection)


def _upgrade_postgresql(connection: Connection) -> None:
    """Run what is missing, but don't wait long for a table: daemons at work would wait behind us."""
    connection.execute(text(f"SET LOCAL lock_timeout = {_LOCKED_MS}"))
    try:
        _run(connection)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") != _LOCKED:
            raise
        raise StoreBusy(
            "the tables can't be changed now, for something works with them that takes long, such as a backup: "
            "start again when it is done"
        ) from error


def fits(connection: Connection) -> bool:
    """Return whether nothing that this program needs was taken away from the schema by a newer one."""
    oldest = cursors.get(connection, SCHEMA, "oldest")
    return oldest is not None and oldest["revision"] <= HEAD


def require_fit(connection: Connection) -> None:
    """Raise `StoreBroken` if a newer Signpost has taken away from the schema what this one needs."""
    if not fits(connection):
        present = revision(connection)
        raise StoreBroken(
            f"the store was brought up to date by a newer Signpost (schema {present}), and this one (schema {HEAD}) "
            "can't use it any more: install the same version as the other daemons'"
        )


def _require_nobody(connection: Connection) -> None:
    """Raise `StoreBusy` while daemons are alive: this migration takes away what they work with."""
    alive = daemons.living(connection, None)
    if alive:
        raise StoreBusy(
            f"{alive} daemon{'s' * (alive != 1)} of an earlier version still run on this database, or ended less than "
            "20 s ago: stop them all before this version starts"
        )


def has_schema(connection: Connection) -> bool:
    """Return whether there is a store at all: Signpost has run here before."""
    return bool(revision(connection))


def _upgrade_sqlite(connection: Connection, present: str) -> None:
    """Foreign keys off before BEGIN and checked before COMMIT: a table copy with cascades can empty child tables."""
    if present:
        copy = Path(str(connection.engine.url.database) + f".before-{HEAD}")
        copy.unlink(missing_ok=True)
        copy.touch(mode=0o600)  # SQLite fills an empty file; what it would make itself, others could read
        connection.exec_driver_sql("VACUUM INTO ?", (str(copy),))
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        _run(connection)
        if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
            raise StoreBroken("the migration would break references between tables; nothing was changed")
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    finally:
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")


def revision(connection: Connection) -> str:
    """Return the schema that a store has, "" if there is none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _run(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 -- 0.3 s, needed only when the schema changes

    taken_away = _contracting(revision(connection))
    noted: list[indexes.Noted] = []
    config = _config()
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql" and has_schema(connection):  # else there is nobody to disturb
        config.attributes[indexes.NOTED] = noted
    command.upgrade(config, "head")
    indexes.note(connection, noted)
    if taken_away:
        cursors.put(connection, SCHEMA, "oldest", {"revision": max(taken_away)})


def _contracting(present: str) -> list[str]:
    """Return the revisions after the present one that daemons of an earlier program don't survive."""
    missing = (script for script in _scripts() if script.revision > present)
    return [script.revision for script in missing if getattr(script.module, "contracts", False)]


def _known() -> set[str]:
    return {script.revision for script in _scripts()}


def _scripts() -> list[Script]:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 -- as above

    return list(ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 -- as above

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
