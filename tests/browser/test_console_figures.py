"""The dashboard and the learning pages in a real browser: readable wide, in the dark and at 320 px, without faults."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select, update

from router.business_hours import BusinessHours, week_of
from router.figures import LEASE, Basis, Figures
from router.ownership import Ownership
from router.store import daemons, tables
from tests.browser.chromium import chromium
from tests.browser.test_console_sign_in import looked_at, sign_in
from tests.contract.figured import fill
from tests.integration.console import console_site

CHICAGO = ZoneInfo("America/Chicago")
PAGES = (
    "/console/dashboard",
    "/console/learning/corrections",
    "/console/learning/corrections?state=conflicts",
    "/console/learning/audit",
    "/console/learning/models",
    "/console/learning/figures",
)


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log):
    """A district with a past that is counted, of which something waits for a label."""
    await fill(sqlite_store, Random(4), now=datetime.now(UTC))
    await sqlite_store.write(_audits)
    now = sqlite_store.clock.now()
    await sqlite_store.write(lambda c: daemons.register(c, "one", now, alone=True))
    hours = BusinessHours(CHICAGO, week_of({"mon-fri": "08:00-16:30"}))
    lease = Ownership(sqlite_store, LEASE, "one", lambda: True)
    while await Figures(sqlite_store, lease, lambda: Basis(hours=hours), part=1.0).look():
        pass
    async with console_site(sqlite_store, tmp_path, free_port, log) as opened:
        await opened.account("administrator", password=True)
        yield opened


def _audits(connection):
    m, d = tables.messages, tables.decisions
    statement = select(m.c.id, m.c.channel, m.c.received_at, d.c.department, d.c.reason, d.c.id.label("decision_id"))
    connection.execute(update(d).where(d.c.reason == "model").values(confidence=0.8))
    rows = connection.execute(statement.join(d, d.c.id == m.c.decision_id).where(m.c.state == "routed")).all()
    for number, row in enumerate(rows):
        values = {"message_id": row.id, "urgent": False, **row._mapping}
        values.pop("id")
        if number % 2:
            values |= {"answer": "meals", "wrong": row.department != "meals", "answered_at": datetime.now(UTC)}
        connection.execute(insert(tables.audits), values)


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (320, False)])
async def test_figures_are_readable_and_usable(site, tmp_path, width, dark):
    """No serious fault by axe-core, also with all numbers unfolded; only charts and tables scroll sideways."""
    async with chromium(tmp_path / "profile") as browser:
        page = await browser.page(width=width, dark=dark)
        await sign_in(page, site)
        for path in PAGES:
            await page.open(site.url + path)
            await page.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            name = path.removeprefix("/console/").replace("/", "-").replace("?", "-")
            await looked_at(page, f"{name}-{width}{'-dark' * dark}")
        assert [url for url in page.requests if not url.startswith(site.url)] == []
