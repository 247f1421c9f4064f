"""The access log's guard: a row can't be put in another's place, and old ones go once a row says so."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"

_REFUSAL = "the access log is never changed"
_REFUSE = f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
_THERE = "EXISTS (SELECT 1 FROM access_log WHERE id = NEW.id)"
# Up to which row it was shortened: the number that the detail of the newest such row begins with.
_SAYS_SO = "FROM access_log WHERE about = 'access log' AND action = 'log_shortened' ORDER BY id DESC LIMIT 1"
_ON_SQLITE = (
    # REPLACE deletes without asking the trigger of DELETE (sqlite.org/lang_conflict.html), but asks this one first.
    f"CREATE TRIGGER access_log_no_replace BEFORE INSERT ON access_log WHEN {_THERE} {_REFUSE}",
    "DROP TRIGGER access_log_no_delete",
    "CREATE TRIGGER access_log_no_delete BEFORE DELETE ON access_log "
    f"WHEN OLD.id > COALESCE((SELECT CAST(detail AS INTEGER) {_SAYS_SO}), 0) {_REFUSE}",
)
_ON_POSTGRESQL = (
    "DROP TRIGGER access_log_append_only ON access_log",
    "CREATE TRIGGER access_log_append_only BEFORE UPDATE OR TRUNCATE ON access_log "
    "FOR EACH STATEMENT EXECUTE FUNCTION access_log_refuse()",
    "CREATE FUNCTION access_log_keep() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN IF OLD.id > COALESCE((SELECT split_part(detail, ' ', 1)::bigint {_SAYS_SO}), 0) "
    f"THEN RAISE EXCEPTION '{_REFUSAL}'; END IF; RETURN OLD; END $$",
    "CREATE TRIGGER access_log_kept BEFORE DELETE ON access_log FOR EACH ROW EXECUTE FUNCTION access_log_keep()",
)


def upgrade() -> None:
    """Put the triggers in place."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _ON_SQLITE if sqlite else _ON_POSTGRESQL:
        op.execute(statement)
