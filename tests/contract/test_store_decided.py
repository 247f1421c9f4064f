"""Routed messages page by page, with the router's own decision and what people have confirmed, on either store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from router.store import decided
from tests.unit.router.past import Past, keep

NOW = datetime(2026, 3, 9, 15, tzinfo=UTC)


async def _all(store, limit, since=None):
    """Return all messages, read in pages."""
    found, last = [], None
    while page := await store.read(lambda c, before=last: decided.page(c, since, before, limit)):
        found += page
        last = page[-1].message
    return found


async def test_pages_join_without_a_gap_and_without_a_message_twice(store):
    """Also where many came in at the same moment; newest first, however long a page is."""
    rows = [Past(text="bus", at=NOW - timedelta(hours=n // 7), department="buses", label="buses") for n in range(40)]
    await keep(store, rows)
    wanted = sorted((each.at, each.id) for each in rows)[::-1]
    for limit in (3, 40, 100):
        assert [(each.message.received_at, each.message.id) for each in await _all(store, limit)] == wanted
    since = NOW - timedelta(hours=1)
    assert len(await _all(store, 5, since)) == 14 == await store.read(lambda c: decided.count(c, since, None))
    assert await store.read(lambda c: decided.count(c, None, 10)) == 10


async def test_each_comes_with_what_the_router_decided_and_what_people_confirmed(store):
    """A correction that is only proposed, or withdrawn, says nothing."""
    rows = [
        Past(text="bus", at=NOW, department="meals", label="meals", belongs="buses", correction=state)
        for state in ("confirmed", "proposed", "withdrawn")
    ]
    people = Past(text="bus", at=NOW, department="buses", reason="correction")
    await keep(store, [*rows, people])
    found = {each.message.id: each for each in await _all(store, 10)}
    assert [found[each.id].belongs for each in rows] == ["buses", "", ""]
    assert {found[each.id].decision.department for each in rows} == {"meals"}
    assert found[people.id].decision is None
