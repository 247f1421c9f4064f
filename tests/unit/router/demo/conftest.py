"""A demo on a real store: messages are decided, delivered to Maildirs, and shown by the demo's pages."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

import pytest

from channels.maildir import MaildirSettings, MaildirSink
from router.commands import Commands
from router.demo.page import Demo
from router.settings import parse_listen
from router.store import tables
from router.testing_sinks import sample_context
from router.web.pages import Pages
from tests.unit.router.district import DESKS, District
from tests.unit.router.web.site import PUBLIC_URL, LogLines, serving


class Trainer:
    """A training that says how far it is, and ends when it is told to."""

    def __init__(self):
        self.finish = asyncio.Event()
        self.outcome = "the new version serves"
        self.starts = 0

    async def retrain(self, progress):
        """Train; raise the outcome if it is an error."""
        self.starts += 1
        progress("counting words", 0.25)
        await self.finish.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def trainer():
    """The training behind the Retrain button."""
    return Trainer()


@pytest.fixture
async def district(sqlite_store, log, rng, tmp_path):
    """A district whose departments have Maildirs."""
    sink = MaildirSink(MaildirSettings(path=str(tmp_path / "departments")), sample_context())
    return District(sqlite_store, log, rng, sink=sink)


@pytest.fixture
def deliver(district):
    """Return what routes a text and puts its mail into the department's mailbox; it answers with the message's id."""

    async def route_and_deliver(text="buses are late", **facts):
        message_id = await district.route(text, **facts)
        rows = tables.deliveries
        mailboxes = rows.update().where(rows.c.to.like("%@%")).values(to=rows.c.department)
        await district.store.write(lambda c: c.execute(mailboxes))
        await district.dispatch()
        return message_id

    return route_and_deliver


@pytest.fixture
async def client(sqlite_store, district, trainer, tmp_path):
    """The web application with the demo's pages on a free loopback port."""
    commands = Commands(sqlite_store, district.corrections)

    async def rollback():
        return {"version": "abc123"}

    commands.add("models_rollback", rollback)
    demo = Demo(
        commands=commands,
        store=sqlite_store,
        desks=DESKS,
        pages=Pages("A District"),
        public_url=PUBLIC_URL,
        zone=ZoneInfo("America/Chicago"),
        departments_dir=tmp_path / "departments",
        retrain=trainer.retrain,
        log=LogLines(),
        common={"smtp": parse_listen("127.0.0.1:2525"), "text_line": "/webhooks/text-line"},
    )
    async with serving(sqlite_store, mounts=[demo.mount]) as opened:
        yield opened
