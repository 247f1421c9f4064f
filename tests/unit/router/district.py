"""A small district for tests: three desks, one school, a store, and the stages built by hand."""

from __future__ import annotations

from hashlib import sha256
from zoneinfo import ZoneInfo

from router.alerts import Alerts
from router.destinations import Desks
from router.dispatch import Dispatcher
from router.forwarding import Forwarding
from router.learning.corrections import Corrections
from router.metrics import Metrics
from router.records import Content, Department, Destination, Inbound, Medium, Reason, School
from router.returns import Returns
from router.routing.answer import Route
from router.routing.route import Router
from router.routing.schools import Schools
from router.routing.stage import DecideStage
from router.signing import KeyRing
from router.store import arrivals, daemons, deliveries
from router.store.arrivals import Arrival

RING = KeyRing([("k1", "a" * 64)], "b" * 64)


def desk(department, **more):
    """Return a department with a mailbox of its own."""
    to = f"{department}@district.example"
    return Department(
        id=department,
        name=department.title(),
        covers=more.pop("covers", (department,)),
        deliver=(Destination(via="relay", to=to),),
        **more,
    )


LINCOLN = School(
    id="lincoln",
    name="Lincoln Elementary",
    aliases=("LES",),
    deliver={"buses": (Destination(via="relay", to="lincoln-buses@district.example"),)},
)
DESKS = Desks((desk("office", covers=()), desk("buses"), desk("meals")), (LINCOLN,), "office")
ALERTS = Alerts(
    (Destination(via="relay", to="it@district.example"),), (Destination(via="relay", to="safety@district.example"),)
)


class ByFirstWord:
    """A step that sends a message to the department its text begins with."""

    name = "first-word"

    async def decide(self, batch):
        """Route, or have nothing to say."""
        words = [message.content.text.split(" ")[0] for message in batch]
        return [
            Route(department=word, reason=Reason.MODEL, confidence=0.9, suggestions=("buses", "meals"))
            if word in DESKS.departments
            else None
            for word in words
        ]


async def plain_text(original, facts, _medium):
    """Understand an original that is nothing but text."""
    return Content(sender=facts.get("sender", "ana@home.example"), text=original.decode(), language="en")


class District:
    """The stages of the path, on one store."""

    def __init__(
        self,
        store,
        log,
        rng,
        *,
        steps=None,
        sink=None,
        understand=plain_text,
        observe=False,
        answers=None,
        earlier=None,
        lookout=None,
    ):
        self.store = store
        self.corrections = Corrections(DESKS, ALERTS)
        self.alive = True
        self.understand = understand
        router = Router(
            steps or (ByFirstWord(),),
            fallback="office",
            schools=Schools((LINCOLN,)),
            observe=observe,
            clock=store.clock,
            log=log,
        )
        self.stage = DecideStage(
            store,
            router,
            daemon_id="d1",
            understand=lambda *arguments: self.understand(*arguments),  # noqa: PLW0108 -- tests replace it
            glance=lambda _original, _facts, _medium, why: Content(unreadable=why),
            desks=DESKS,
            alerts=ALERTS,
            returns=Returns(ALERTS, DESKS, rng),
            answers=answers,
            earlier=earlier,
            lookout=lookout,
            wake=lambda: None,
            metrics=Metrics(),
            log=log,
        )
        self.dispatcher = None
        if sink is not None:
            forwarding = Forwarding("A District", "https://d.example", ZoneInfo("America/Chicago"), RING, DESKS)
            self.dispatcher = Dispatcher(
                "relay",
                sink,
                store,
                daemon_id="d1",
                forwarding=forwarding,
                alerts=ALERTS,
                alive=lambda: self.alive,
                rng=rng,
                metrics=Metrics(),
                log=log,
            )

    async def accept(self, text="buses are late", key=None, **facts):
        """Accept one message and return its id."""
        item = Inbound(
            source_key=key or f"{text}-{facts}",
            channel="contact",
            medium=Medium.WEB_FORM,
            received_at=self.store.clock.now(),
            original=text.encode(),
            facts=facts,
        )
        arrival = Arrival(item, sha256(item.original).hexdigest())
        return (await self.store.write_together(arrivals.accept, arrival)).message_id

    async def route(self, text="buses are late", **facts):
        """Accept and decide one message and return its id."""
        message_id = await self.accept(text, **facts)
        await self.decide()
        return message_id

    async def decide(self):
        """Decide everything that waits; return how many."""
        await self.register()
        total = 0
        while did := await self.stage.run_once():
            total += did
        return total

    async def register(self):
        """Be a living daemon."""
        if await self.store.write(lambda c: daemons.beat(c, "d1", self.store.clock.now())):
            return  # registering again would free what it is working on
        await self.store.write(lambda c: daemons.leave(c, "d1"))
        await self.store.write(lambda c: daemons.register(c, "d1", self.store.clock.now(), alone=False))

    async def dispatch(self):
        """Attempt everything that is due."""
        await self.register()
        while await self.dispatcher.run_once():
            await self.dispatcher.settled()

    async def deliveries(self, message_id):
        """Return the deliveries about a message."""
        return await self.store.read(lambda c: deliveries.of_message(c, message_id))
