"""The dashboard and the learning pages of a real daemon: figures by scope, labels, confirming, and the registry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from urllib.parse import urlsplit

import aiohttp
import pytest
from sqlalchemy import insert, select, update

from router.store import accounts, sessions, tables
from router.store.engine import open_store
from router.store.scope import EVERYTHING, Scope
from tests.acceptance.daemon import until
from tests.acceptance.district import district
from tests.contract.figured import fill

DEPARTMENTS = ("front-office", "transportation", "food-services")
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
BUSES = Scope(departments=frozenset({"transportation"}))
PEOPLE = {
    "root": ("administrator", EVERYTHING),
    "desk": ("triage", EVERYTHING),
    "buses": ("triage", BUSES),
    "reader": ("viewer", BUSES),
}


@dataclass
class Staff:
    """Somebody who is signed in, with a browser."""

    client: aiohttp.ClientSession
    url: str

    async def see(self, path, status=200):
        """Return a page of the console as text."""
        async with self.client.get(f"{self.url}/console{path}") as answer:
            text = await answer.text()
            assert answer.status == status, text
            return text

    async def send(self, path, status=200, **form):
        """Send a form as the page would, follow where it leads, and return that page."""
        headers = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        given = {"csrf": CSRF.search(await self.see("/"))[1]} | form
        async with self.client.post(f"{self.url}/console{path}", data=given, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return text


async def history(store):
    """Store messages of the last week that are settled one way or the other, and let some wait for a label."""
    now = datetime.now(UTC)
    await fill(store, Random(5), now=now - timedelta(hours=1), departments=DEPARTMENTS)

    def work(connection):
        m, d = tables.messages, tables.deliveries
        connection.execute(update(m).where(m.c.state == "undecided").values(state="filed", content={}))
        connection.execute(update(d).where(d.c.state == "waiting").values(state="dead"))
        decided = select(m.c.id, m.c.channel, m.c.decision_id, m.c.received_at, tables.decisions.c.department).join(
            tables.decisions, tables.decisions.c.id == m.c.decision_id
        )
        rows = connection.execute(decided.where(m.c.state == "routed").order_by(m.c.id).limit(30)).all()
        for row in rows:
            values = {"message_id": row.id, "reason": "model", "urgent": False, **row._mapping}
            values.pop("id")
            connection.execute(insert(tables.audits), values)
        by_model = tables.decisions.c.reason == "model"
        connection.execute(update(tables.decisions).where(by_model).values(confidence=0.9))
        said = connection.execute(decided.where(by_model, m.c.id.not_in([row.id for row in rows])).limit(20)).all()
        for number, row in enumerate(said):
            values = {"message_id": row.id, "reason": "model", "urgent": False, **row._mapping}
            values |= {"answer": row.department if number else "technology", "wrong": not number, "answered_at": now}
            values.pop("id")
            connection.execute(insert(tables.audits), values)

    await store.write(work)


async def sign_in(store):
    """Let everybody in, without their having to sign in: return what their browsers show, by name."""

    def work(connection):
        now = datetime.now(UTC)
        for name, (role, scope) in PEOPLE.items():
            number = accounts.add(connection, f"{name}@maple.example", role=role, scope=scope, now=now)
            ends = now + timedelta(hours=4)
            digest = sha256(token_of(name).encode()).hexdigest()
            sessions.begin(
                connection, number, digest, now=now, ends_at=ends, way="password", address="127.0.0.1", browser="test"
            )

    await store.write(work)
    return {name: token_of(name) for name in PEOPLE}


def token_of(name):
    """Return what somebody's browser shows."""
    return sha256(name.encode()).hexdigest()[:43]


@pytest.fixture
async def console(daemons, tmp_path, relay):
    """A running daemon with a past, and everybody signed in; returned by name."""
    configuration = district(
        tmp_path, relay.port, console={"local": True}, learning={"audit_rate": 0.2, "retrain_after": 0}
    )
    configuration["departments"]["transportation"]["service_level"] = "15m"
    made = daemons(tmp_path, configuration)
    store = open_store(configuration["store"]["url"])
    await store.open()
    await history(store)
    known = await sign_in(store)
    await store.close()
    await made.start()
    host = urlsplit(made.url).hostname
    jars = {name: aiohttp.CookieJar(unsafe=True) for name in known}
    clients = {name: aiohttp.ClientSession(cookie_jar=jar) for name, jar in jars.items()}
    for name, token in known.items():
        jars[name].update_cookies(
            {"signpost-session": token}, response_url=aiohttp.client.URL(f"http://{host}/console")
        )
    yield {name: Staff(clients[name], made.url) for name in known}
    for client in clients.values():
        await client.close()


async def counted(staff):
    """Wait until every message is counted, and return the dashboard."""

    async def look():
        page = await staff.see("/dashboard?days=30")
        return page if tiles(page).get("messages") == "120" else None

    return await until(look, 60, "every message is counted")


def tiles(page):
    """Return the figures of a dashboard by what they are of."""
    found = re.findall(r'class="figure">([^<]*)</strong> <span>([^<]*)</span>', page)
    return {of: figure for figure, of in found}


async def test_the_dashboard_counts_what_somebody_may_see(console):
    """The whole district for who sees all of it; of a department its messages alone, and no measures of the whole."""
    page = await counted(console["root"])
    assert {"messages", "misrouted, by flags", "misrouted, by audits", "left to people", "waiting now"} <= {
        *tiles(page)
    }
    assert "Customer-service measures" in page
    assert page.count("<svg") == 6
    assert "Front Office" in page
    own = await console["reader"].see("/dashboard?days=30")
    assert 0 < int(tiles(own)["messages"]) < 120
    assert "left to people" not in tiles(own)
    assert "Customer-service measures" not in own
    assert "Food Services" not in own
    assert "Front Office" not in own


async def test_who_only_reads_teaches_nothing(console):
    """There are no learning pages for a viewer, nor a link to them."""
    assert "/console/learning" not in await console["reader"].see("/dashboard")
    for path in ("/learning/corrections", "/learning/audit", "/learning/models", "/learning/figures"):
        await console["reader"].see(path, 404)
    await console["reader"].send("/learning/corrections/1/confirm", 404)


async def test_a_correction_is_confirmed_and_withdrawn(console):
    """By a button, and by nothing but the form of our own page; what another department's is, isn't there."""
    desk, buses = console["desk"], console["buses"]
    page = await desk.see("/learning/corrections")
    ids = re.findall(r"corrections/(\d+)/confirm", page)
    assert ids
    await desk.send(f"/learning/corrections/{ids[0]}/confirm", 403, csrf="another")
    assert f"corrections/{ids[0]}/confirm" in await desk.see("/learning/corrections")
    assert "Confirmed" in await desk.send(f"/learning/corrections/{ids[0]}/confirm")
    assert f"corrections/{ids[0]}/confirm" not in await desk.see("/learning/corrections")
    assert "desk@maple.example" in await desk.see("/learning/corrections?state=confirmed")
    assert "Withdrawn" in await desk.send(f"/learning/corrections/{ids[0]}/withdraw", state="confirmed")
    theirs = re.findall(r"corrections/(\d+)/confirm", await buses.see("/learning/corrections"))
    others = [each for each in ids[1:] if each not in theirs]
    assert others
    await buses.send(f"/learning/corrections/{others[0]}/confirm", 404)
    assert "contradict" in await desk.see("/learning/corrections?state=conflicts")


async def test_a_label_is_asked_for_without_saying_where_it_went(console):
    """That is told with the thanks; then comes the next."""
    desk = console["desk"]
    page = await desk.see("/learning/audit")
    [path] = {*re.findall(r'action="/console(/learning/audit/[^"]+)"', page)}
    assert "30 wait" in page
    assert "had been sent to" not in page
    after = await desk.send(path, department="transportation", urgent="yes")
    assert "had been sent to" in after
    assert "29 wait" in after
    assert path not in after
    assert "already" in await desk.see(path)


async def test_an_administrator_governs_models(console):
    """Others see them; a page that isn't for them isn't there."""
    root, desk = console["root"], console["desk"]
    page = await root.see("/learning/models")
    [version] = {*re.findall(r"/learning/models/([^/\"]+)/pin", page)}
    assert "What the gate said" in page
    assert "is kept for good" in await root.send(f"/learning/models/{version}/pin", pinned="yes")
    assert "pinned" in await desk.see("/learning/models")
    assert "/pin" not in await desk.see("/learning/models")
    await desk.send(f"/learning/models/{version}/pin", 404, pinned="no")
    assert "Not done" in await root.send("/learning/models/rollback")
    assert "model rollback" in await root.see("/access-log")


async def test_learning_is_drawn(console):
    """Rates, matrices and the reliability of the model, also where there is little to draw."""
    page = await console["desk"].see("/learning/figures")
    assert page.count("<svg") >= 4
    assert re.search(r"belongs to.*Technology", page, re.DOTALL)
    assert "wanted: at most 5" in page
