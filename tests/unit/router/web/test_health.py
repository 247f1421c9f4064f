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
        assert (answer.status, await answer.json()) == (200, {"ready": True, "reasons": [], "degraded": {}})


async def test_not_ready_for_a_reason(sqlite_store):
    """`/readyz` is 503 and names every reason."""
    async with serving(sqlite_store, reasons=["the store is busy", "stopping"]) as client:
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert await answer.json() == {"ready": False, "reasons": ["the store is busy", "stopping"], "degraded": {}}


async def test_a_channel_that_is_down_took_the_whole_daemon_out_of_service(sqlite_store):
    """Degraded, not dead: `/readyz` stays 200 and names the channel; the metrics say since when."""
    row = {"channel": "mail", "direction": "in", "health": "failing", "proven_at": "2026-09-01T12:00:00Z"}
    row |= {"error": "away", "expires": [{"what": "the access token", "at": "2026-09-01T13:00:00Z"}]}
    degraded = {"mail": "it takes nothing in: away"}
    async with serving(sqlite_store, degraded=lambda: degraded, channels=lambda: [row]) as client:
        answer = await client.get("/readyz")
        assert (answer.status, await answer.json()) == (200, {"ready": True, "reasons": [], "degraded": degraded})
        text = await (await client.get("/metrics")).text()
    assert 'signpost_channel_last_proven_seconds{channel="mail",direction="in"} 1.788264e+09' in text
    assert 'signpost_channel_degraded{channel="mail",direction="in"} 1.0' in text
    assert 'signpost_channel_expires_seconds{channel="mail",what="the access token"}' in text


async def test_metrics_hold_the_ledger(sqlite_store):
    """`/metrics` is Prometheus text with the counts of this moment."""
    async with serving(sqlite_store) as client:
        answer = await client.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = await answer.text()
    assert 'signpost_messages{state="routed"} 0.0' in text
    assert "signpost_oldest_waiting_seconds 0.0" in text
