"""A district that answers: its channels acknowledge, and its steps are those that answers depend on."""

from __future__ import annotations

from hashlib import sha256
from itertools import count

from router.answers.decide import Answers, Caps
from router.answers.texts import Wording
from router.records import Content, Inbound, Medium
from router.routing.answer import File, Hold, MarkUrgent
from router.routing.breakers import Breakers, Limits
from router.routing.steps import Loops
from router.settings import Pace
from router.store import arrivals
from router.store.arrivals import Arrival
from tests.unit.router.district import DESKS, RING, ByFirstWord, District

DOMAIN = "d.example"
ANA = "ana@home.example"
_numbers = count(1)


class ByWord:
    """A step that marks, holds or files what holds a word."""

    name = "by-word"

    async def decide(self, batch):
        """Say so."""
        return [self._one(message.content.text) for message in batch]

    def _one(self, text):
        if "missing" in text:
            return MarkUrgent("child missing")
        return Hold("by hand") if "hold" in text else File("said stop") if "stop" in text else None


class Answering(District):
    """A district whose mailbox, form and text line acknowledge, by the relay and by the line."""

    def __init__(self, store, log, rng, *, per_hour=1000, per_domain=1000, via=None, **more):
        self.answers = Answers(
            Wording("A District", ("en", "es"), {}),
            via={"mail": "relay", "form": "relay", "line": "line"} if via is None else via,
            reaches=lambda via, address: via == ("relay" if "@" in address else "line"),
            ours=["contact@d.example", "+15555550100"],
            desk_addresses=["buses@district.example"],
            desks=DESKS,
            keys=RING,
            domain=DOMAIN,
            caps=Caps(per_hour=per_hour, per_domain=per_domain),
        )
        desks = frozenset({"buses@district.example"})
        limits = Limits(per_sender=Pace(300, 3600), per_desk=Pace(10, 3600), alike=Pace(2, 3600))
        breakers = Breakers(store, desks, limits, lambda content: content.text)
        steps = (ByWord(), Loops(store, RING, DOMAIN, desks), breakers, ByFirstWord())
        super().__init__(store, log, rng, steps=steps, understand=_given, answers=self.answers, **more)

    async def write(self, text="buses are late", *, medium=Medium.EMAIL, channel="mail", **content):
        """Accept a message that says this and decide it; return its id."""
        number = next(_numbers)
        said = {"sender": ANA, "external_id": f"<{number}@home.example>", "text": text} | content
        if medium is Medium.EMAIL:
            said = {"reply_to": said["sender"], "headers": {"return-path": [f"<{said['sender']}>"]}} | said
        item = Inbound(
            source_key=f"k{number}",
            channel=channel,
            medium=medium,
            received_at=self.store.clock.now(),
            original=f"{number} {text}".encode(),
            facts={"said": said},
        )
        arrival = Arrival(item, sha256(item.original).hexdigest())
        message_id = (await self.store.write_together(arrivals.accept, arrival)).message_id
        await self.decide()
        return message_id

    async def text(self, text="buses are late", sender="+15555550111", **content):
        """Accept a text message."""
        return await self.write(text, medium=Medium.SMS, channel="line", sender=sender, **content)

    async def of(self, message_id, kind):
        """Return the deliveries of one kind about a message."""
        return [delivery for delivery in await self.deliveries(message_id) if delivery.kind is kind]


async def _given(_original, facts, _medium):
    return Content(**facts["said"])
