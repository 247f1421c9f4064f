"""What the tests of the stores share: things to accept, and the stages' writes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256

from alembic import command
from sqlalchemy import delete

from router.records import Content, Decision, Destination, Inbound, Medium, Message, Reason, State
from router.routing.route import Verdict
from router.store import arrivals, artifacts, messages, migrate, outbox
from router.store.arrivals import Arrival
from router.store.engine import open_store
from router.store.model_tables import model_artifacts

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
DESK = Destination(via="relay", to="bus@district.example")


def inbound(key="k1", original=b"Subject: x\r\n\r\nhello", channel="mail", at=NOW):
    """Return something to accept."""
    return Inbound(source_key=key, channel=channel, medium=Medium.EMAIL, received_at=at, original=original)


@asynccontextmanager
async def opened(url):
    """Open a store for the length of a block."""
    store = open_store(url)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def accept(store, item, mail_id=""):
    """Accept like the intake does."""
    return await store.write_together(arrivals.accept, arrival(item, mail_id))


def arrival(item, mail_id=""):
    """Return what the intake makes of something to accept."""
    return Arrival(item, sha256(item.original).hexdigest(), mail_id)


async def decide(store, message_id, fence=1, department="transportation"):
    """Commit a decision about a leased message."""
    message = Message(
        id=message_id, channel="mail", medium=Medium.EMAIL, received_at=NOW, content=Content(sender="ana@home.example")
    )
    decision = Decision(message_id=message_id, department=department, reason=Reason.MODEL, decided_at=NOW)
    verdict = Verdict(message=message, state=State.ROUTED, decision=decision)

    def work(connection):
        if not outbox.still_leased(connection, {message_id: fence}):
            return None
        return outbox.commit_verdicts(connection, [verdict], lambda _decision: [DESK, DESK], NOW)

    return await store.write(work)


async def routed(store, key="k1"):
    """Return the id of a message that was accepted, leased and decided."""
    receipt = await accept(store, inbound(key, f"mail {key}".encode()))
    leased = await store.write(lambda c: messages.lease_undecided(c, "d1", 1))
    await decide(store, receipt.message_id, leased[0].fence)
    return receipt.message_id


async def written_by(revision, store_url, monkeypatch, work):
    """Let an earlier Signpost, whose newest schema this was, make a store and do a unit of work there."""
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "HEAD", revision)
        patched.setattr(migrate, "_run", partial(up_to, revision))
        store = open_store(store_url)
        await store.open()
        await store.write(work)
        await store.close()


def up_to(revision, connection):
    """Run the migrations until this one."""
    config = migrate._config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def spoil(store, version, data=b"rubbish"):
    """Put other bytes in the place of a model's."""

    def exchange(connection):
        connection.execute(delete(model_artifacts).where(model_artifacts.c.version == version))
        for part, piece in artifacts.missing(connection, version, data):
            artifacts.keep(connection, version, part, piece)

    await store.write(exchange)
