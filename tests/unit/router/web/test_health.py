"""What monitoring sees."""

from __future__ import annotations

from tests.unit.router.web.site import serving


async def test_a_living_daemon_says_so(sqlite_store):
    """`/livez` answers as long as the daemon turns."""
    async with serving(sqlite_store, reasons=["no model"]) as client:
        answer = await client.get("/livez")
        assert (answer.status, await answer.text()) == (200, "ok")


async def test_ready_without_a_reason_against_it(sqlite_store):
    """`/readyz` is 200 when nothing speaks against it."""
    async with serving(sqlite_store) as client:
        answer = await client.get("/readyz")
        assert (answer.status, await answer.json()) == (200, {"ready": True, "reasons": []})


async def test_not_ready_for_a_reason(sqlite_store):
    """`/readyz` is 503 and names every reason."""
    async with serving(sqlite_store, reasons=["the store is busy", "stopping"]) as client:
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert await answer.json() == {"ready": False, "reasons": ["the store is busy", "stopping"]}


async def test_metrics_hold_the_ledger(sqlite_store):
    """`/metrics` is Prometheus text with the counts of this moment."""
    async with serving(sqlite_store) as client:
        answer = await client.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = await answer.text()
    assert 'signpost_messages{state="routed"} 0.0' in text
    assert "signpost_oldest_waiting_seconds 0.0" in text
