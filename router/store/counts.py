"""How many messages and deliveries there are, without looking at each: a million would take seconds.

Nearly all messages are routed, and nearly all deliveries are routes that were delivered: those are what is left of all
when the others are counted, of which there are indexes. Each count is one statement, that is, of one moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal_column, null, select, text, union_all

from router.records import DeliveryKind, DeliveryState, State
from router.store.tables import deliveries, messages

if TYPE_CHECKING:
    from sqlalchemy import CompoundSelect, Connection, ScalarSelect, Select, Table


def _all_of(table: Table) -> ScalarSelect[int]:
    return select(func.count()).select_from(table).scalar_subquery()  # by itself SQLite counts it three times as fast


def _in_state(state: State) -> Select[Any]:
    name: Any = literal_column(f"'{state.value}'")
    return select(name, func.count()).select_from(messages).where(text(f"state = '{state.value}'"))


def _of_kinds(which: str) -> Select[Any]:
    kind, state = deliveries.c.kind, deliveries.c.state
    return select(kind, state, func.count()).where(text(which)).group_by(kind, state)


_MESSAGES: CompoundSelect[Any] = union_all(
    select(null(), _all_of(messages)),
    *(_in_state(state) for state in State if state is not State.ROUTED),
)
_DELIVERIES: CompoundSelect[Any] = union_all(  # each part as its index says it
    select(null(), null(), _all_of(deliveries)),
    _of_kinds("state = 'waiting'"),
    _of_kinds("state IN ('dead', 'unclear')"),
    _of_kinds("state = 'dropped'"),
    _of_kinds("state = 'delivered' AND kind <> 'route'"),
)


def messages_by_state(connection: Connection) -> dict[str, int]:
    """Return how many messages there are in each state that any is in."""
    rows = {state: int(n) for state, n in connection.execute(_MESSAGES)}
    routed = rows.pop(None) - sum(rows.values())
    return {state: n for state, n in {**rows, State.ROUTED.value: routed}.items() if n}


def deliveries_by_state(connection: Connection) -> dict[tuple[DeliveryKind, str], int]:
    """Return how many deliveries there are of each kind in each state, where there are any."""
    rows = {(kind, state): int(n) for kind, state, n in connection.execute(_DELIVERIES)}
    routes = rows.pop((None, None)) - sum(rows.values())
    counts = {(DeliveryKind(kind), state): n for (kind, state), n in rows.items()}
    return counts | ({(DeliveryKind.ROUTE, DeliveryState.DELIVERED.value): routes} if routes else {})
