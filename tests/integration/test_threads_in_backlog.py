"""A morning's backlog, decided as the daemon does: real mails and texts, read in children, two batches side by side."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from config.load import load
from router.assemble import assemble
from router.records import Inbound, Medium, Reason
from router.routing.build import DECIDERS
from router.routing.stage import BATCH
from router.store import decisions, messages
from tests.unit.router.commandline import write_district

BEGAN = datetime(2026, 9, 7, 6, 0, tzinfo=UTC)
FAMILIES = 20
BUS = "rules:\n  - {name: bus, when: {text: 'missed the bus'}, to: buses}\n"


def mail(number, text, after=0):
    """Return the original of a family's nth mail; it answers its first one."""
    head = (
        f"From: family{number}@home.example\r\nSubject: this morning\r\nMessage-ID: <{number}-{after}@home.example>\r\n"
    )
    return (head + (f"In-Reply-To: <{number}-0@home.example>\r\n" if after else "") + f"\r\n{text}\r\n").encode()


@pytest.fixture
async def parts(tmp_path, sqlite_store, log):
    """A daemon's parts, whose workers are the test; a rule sends who missed the bus to the buses' desk."""
    path = write_district(tmp_path)
    path.write_text(path.read_text().replace("rules:\n", BUS))
    made = await assemble(load(path, env={}), sqlite_store, Random(0), log)
    await made.heartbeat.register()
    yield made
    await made.parsers.aclose()


class Morning:
    """What comes in, a second after the other."""

    def __init__(self, intake):
        self.intake, self.count = intake, 0

    async def take(self, original, medium=Medium.EMAIL, **facts):
        """Accept a message and return its id."""
        self.count += 1
        at = BEGAN + timedelta(seconds=self.count)
        channel = {"email": "mail", "sms": "line"}[medium.value]
        item = Inbound(
            source_key=str(self.count), channel=channel, medium=medium, received_at=at, original=original, facts=facts
        )
        return (await self.intake.accept(item)).message_id

    async def others(self, count):
        """Let others write, who have nothing to do with it."""
        for _ in range(count):
            number = 1000 + self.count
            await self.take(mail(number, "when is picture day?"))

    async def text(self, number, said):
        """A family sends a text."""
        return await self.take(f"Subject: text\r\n\r\n{said}\r\n".encode(), Medium.SMS, sender=f"+1555555{number:04}")


@pytest.mark.parametrize("looks", [True, False], ids=["as it is", "without a look for what it continues"])
async def test_the_second_word_went_elsewhere_in_a_backlog(parts, looks):
    """Second mails and texts, among the newest of a backlog, go where the first ones go, which wait in the middle."""
    if not looks:
        parts.stage._earlier = None
    morning = Morning(parts.intake)
    await morning.others(2 * BATCH)
    first = [await morning.take(mail(n, "Leo missed the bus")) for n in range(FAMILIES)]
    first += [await morning.text(n, "Mia missed the bus") for n in range(FAMILIES)]
    await morning.others(BATCH)
    second = [await morning.take(mail(n, "and he has his lunch with him", 1)) for n in range(FAMILIES)]
    second += [await morning.text(n, "and she has her lunch with her") for n in range(FAMILIES)]

    while await parts.store.read(messages.waiting):
        await asyncio.gather(*(parts.stage.run_once() for _ in range(DECIDERS)))

    found = await parts.store.read(lambda c: [decisions.in_force(c, each) for each in (*first, *second)])
    went = [(each.department, each.reason) for each in found]
    assert went[: len(first)] == [("buses", Reason.RULE)] * len(first)
    followed = went[len(first) :].count(("buses", Reason.THREAD))
    assert followed == len(second) if looks else followed < len(second)
