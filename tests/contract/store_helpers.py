"""What the tests of the stores share: things to accept, and the stages' writes."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from router.records import Content, Decision, Destination, Inbound, Medium, Message, Reason, State
from router.routing.route import Verdict
from router.store import arrivals, messages, outbox
from router.store.arrivals import Arrival

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
DESK = Destination(via="relay", to="bus@district.example")


def inbound(key="k1", original=b"Subject: x\r\n\r\nhello", channel="mail", at=NOW):
    """Return something to accept."""
    return Inbound(source_key=key, channel=channel, medium=Medium.EMAIL, received_at=at, original=original)


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
