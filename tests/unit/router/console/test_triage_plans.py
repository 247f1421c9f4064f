"""How the triage queue is looked up: along indexes, so that a million stored messages cost nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from router.store import triage
from router.store.scope import EVERYTHING, Scope


@pytest.mark.parametrize("scope", [EVERYTHING, Scope(frozenset({"buses"}), frozenset({"lincoln"}))])
async def test_no_question_scans_all_messages(sqlite_store, scope):
    """Held ones by the index of held ones, unsure ones from a time on, a sender's by the sender."""
    plans = []

    def ask(connection):
        asked = []

        def hear(_connection, _cursor, statement, parameters, _context, _many):
            asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", hear)
        triage.waiting(connection, scope, sqlite_store.clock.now())
        triage.others_of(connection, "0W", "ana@home.example", scope)
        event.remove(connection, "before_cursor_execute", hear)
        for statement, parameters in asked:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append([row[3] for row in rows])

    await sqlite_store.read(ask)
    steps = [step for plan in plans for step in plan]
    assert len(plans) == 4
    assert "SCAN messages USING INDEX ix_messages_held" in steps
    assert not [step for step in steps if step.startswith("SCAN messages") and "ix_messages_held" not in step]
