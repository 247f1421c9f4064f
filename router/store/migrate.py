"""Bring the schema up to date at start, on the writer's connection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, inspect, select, text

from router.errors import StoreBroken

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

HEAD = "0009"  # the newest revision in migrations/versions; a test compares
_LOCK = 0x5197057  # the advisory lock of migrations: any number that nothing else here uses
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
        raise StoreBroken(f"the store was written by a newer Signpost (schema {present}); this one knows {HEAD}")
    if connection.dialect.name == "sqlite":
        _upgrade_sqlite(connection, present)
    else:
        _run(connection)


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

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _known() -> set[str]:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 -- as above

    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 -- as above

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
