"""For tests of sinks: sample forwards, a sink that records, and the suite that every sink passes.

Shipped, so that the author of a channel can run what the built-in ones pass. A mail server is in `testing_smtp`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import pytest

from router.errors import DeliveryError, NotAuthentic, Permanent
from router.interfaces import Context, SystemClock
from router.records import (
    Content,
    Decision,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Forward,
    Medium,
    Message,
    Notice,
    Reason,
)

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from router.interfaces import Channel, Sink

SAMPLE_AT = datetime(2026, 9, 1, 12, 30, tzinfo=UTC)
SAMPLE_ORIGINAL = (
    b"From: Ana Ruiz <ana@example.org>\r\nTo: contact@maplevalley.example\r\nSubject: Bus 12\r\n"
    b"Message-ID: <bus-12@example.org>\r\n\r\nThe bus was late again.\r\n"
)


def sample_forward(number: int = 1, *, to: str = "transportation@maplevalley.example", **changes: Any) -> Forward:
    """Return a plausible forward; two with different numbers are different deliveries. `changes` replace fields."""
    delivery = _delivery(number, to, DeliveryKind.ROUTE)
    message_id = f"message-{number}"
    forward = Forward(
        delivery=delivery,
        mail_id=f"<delivery-{number}@signpost.maplevalley.example>",
        organization="Maple Valley School District",
        message=Message(
            id=message_id, channel="contact", medium=Medium.EMAIL, received_at=SAMPLE_AT, content=sample_content()
        ),
        original=SAMPLE_ORIGINAL,
        decision=Decision(
            message_id=message_id,
            department="transportation",
            reason=Reason.MODEL,
            confidence=0.93,
            decided_at=SAMPLE_AT,
        ),
        department_name="Transportation",
        misroute_url=f"https://contact.maplevalley.example/m/token-{number}",
        local_time="Tuesday, 1 September 2026, 7:30 am",
    )
    return replace(forward, **changes)


def sample_content(**changes: Any) -> Content:
    """Return what was understood of the sample original, with changes."""
    content = Content(
        sender="ana@example.org",
        sender_name="Ana Ruiz",
        reply_to="ana@example.org",
        recipient="contact@maplevalley.example",
        subject="Bus 12",
        text="The bus was late again.\n",
        external_id="<bus-12@example.org>",
        language="en",
    )
    return replace(content, **changes)


def sample_alert(number: int = 1, *, to: str = "it@maplevalley.example") -> Forward:
    """Return an alert about no message."""
    return Forward(
        delivery=_delivery(number, to, DeliveryKind.ALERT),
        mail_id=f"<alert-{number}@signpost.maplevalley.example>",
        organization="Maple Valley School District",
        notice=Notice(subject="A delivery was given up", text="One message waits for a person."),
    )


def sample_answer(number: int = 1, *, to: str = "ana@example.org") -> Forward:
    """Return an automatic answer to the sample original."""
    delivery = replace(_delivery(number, to, DeliveryKind.ANSWER), message_id=f"message-{number}", decision_id=number)
    return Forward(
        delivery=delivery,
        mail_id=f"<answer-{number}@signpost.maplevalley.example>",
        organization="Maple Valley School District",
        notice=Notice(subject=f"We have received your message (message-{number})", text="Thank you.\n\nCall 911."),
        in_reply_to="<bus-12@example.org>",
    )


def _delivery(number: int, to: str, kind: DeliveryKind) -> Delivery:
    return Delivery(
        id=number,
        kind=kind,
        message_id=f"message-{number}" if kind is DeliveryKind.ROUTE else None,
        decision_id=number if kind is DeliveryKind.ROUTE else None,
        department="transportation" if kind is DeliveryKind.ROUTE else "",
        via="sink",
        to=to,
        state=DeliveryState.WAITING,
        attempts=1,
        unclear=0,
        lost_leases=0,
        fence=1,
        created_at=SAMPLE_AT,
        next_attempt_at=SAMPLE_AT,
    )


class PlainSigner:
    """A signer that signs nothing: it marks a text with its purpose, and knows no age."""

    def sign(self, text: str, purpose: str) -> str:
        """Return the text behind its purpose."""
        return f"{purpose}.{text}"

    def unsign(self, token: str, purpose: str, max_age_s: float | None = None) -> str:
        """Return the text, or raise `NotAuthentic` for another purpose."""
        del max_age_s
        if not token.startswith(f"{purpose}."):
            raise NotAuthentic("that is not for this purpose")
        return token.removeprefix(f"{purpose}.")


def sample_context(**changes: Any) -> Context:
    """Return what a sink is built with."""
    context = Context(
        name="sink",
        organization="Maple Valley School District",
        public_url="https://contact.maplevalley.example",
        languages=("en", "es"),
        clock=SystemClock(),
        signer=PlainSigner(),
    )
    return replace(context, **changes)


class RecordingSink:
    """A sink that keeps what it is given; `failures` are raised first, one per attempt."""

    def __init__(self, *failures: Exception, concurrency: int = 4) -> None:
        self.concurrency = concurrency
        self.failures = list(failures)
        self.attempts: list[Forward] = []
        self.sent: list[Forward] = []
        self.closed = False

    async def send(self, forward: Forward) -> str:
        """Record the attempt, then raise the next failure or record the delivery."""
        self.attempts.append(forward)
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(forward)
        return f"recorded-{len(self.sent)}"

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True


# --- the contract -----------------------------------------------------------------------------------------------------


class SinkRig(Protocol):
    """What the suite needs of a sink under test."""

    sink: Sink

    async def arrived(self) -> list[str]:
        """Return the key (mail id, idempotency key, file) of each thing the other side has, copies included."""
        ...

    def outage(self) -> AbstractAsyncContextManager[None]:
        """Make the other side unusable for a while."""
        ...


class SinkContract:
    """What every sink keeps: subclass it in a test file, set the class variables and give a `rig` fixture."""

    channel: ClassVar[Channel]
    to: ClassVar[str]
    bad_addresses: ClassVar[tuple[str, ...]] = ("", " ", "a b", "x\r\ny", "../up", "x" * 5000)

    @pytest.fixture
    async def rig(self) -> SinkRig:
        """Return the rig; give your own."""
        raise LookupError("a sink's test class gives a fixture named rig")

    async def test_a_forward_arrives_once(self, rig: SinkRig) -> None:
        """`send` returns after the other side has the message, with a short id or none."""
        remote_id = await rig.sink.send(sample_forward(1, to=self.to))
        assert len(remote_id) <= 255
        assert len(await rig.arrived()) == 1

    async def test_an_alert_arrives(self, rig: SinkRig) -> None:
        """An alert about no message can be sent, too."""
        await rig.sink.send(sample_alert(1, to=self.to))
        assert len(await rig.arrived()) == 1

    async def test_attempts_at_once_all_arrive(self, rig: SinkRig) -> None:
        """More attempts at once than the sink asked for arrive once each."""
        await asyncio.gather(*(rig.sink.send(sample_forward(number, to=self.to)) for number in range(1, 21)))
        keys = await rig.arrived()
        assert len(keys) == len(set(keys)) == 20

    async def test_a_copy_is_recognisable(self, rig: SinkRig) -> None:
        """A second attempt at the same delivery carries the same key, or leaves no second copy at all."""
        forward = sample_forward(1, to=self.to)
        await rig.sink.send(forward)
        await rig.sink.send(replace(forward, delivery=replace(forward.delivery, attempts=2)))
        assert len(set(await rig.arrived())) == 1

    async def test_hostile_fields_do_no_harm(self, rig: SinkRig) -> None:
        """Control characters in whatever came from outside don't stop or split a delivery."""
        evil = "x\r\nBcc: evil@example.org\r\n\r\n.\r\nQUIT\x00\u2028\u202e"
        content = Content(sender=evil, sender_name=evil, reply_to=evil, phone=evil, subject=evil, text=evil)
        forward = sample_forward(1, to=self.to, department_name=evil, school_name=evil)
        assert forward.message is not None
        await rig.sink.send(replace(forward, message=replace(forward.message, content=content)))
        assert len(await rig.arrived()) == 1

    async def test_an_outage_is_temporary(self, rig: SinkRig) -> None:
        """A failure of the other side is a `DeliveryError` and not permanent; afterwards the same sink works."""
        async with rig.outage():
            with pytest.raises(DeliveryError) as caught:
                await rig.sink.send(sample_forward(1, to=self.to))
        assert not isinstance(caught.value, Permanent)
        await rig.sink.send(sample_forward(2, to=self.to))
        assert len(await rig.arrived()) == 1

    async def test_cancelling_does_not_break_it(self, rig: SinkRig) -> None:
        """A cancelled attempt leaves a sink that delivers the next one."""
        attempt = asyncio.create_task(rig.sink.send(sample_forward(1, to=self.to)))
        await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        before = len(await rig.arrived())
        await rig.sink.send(sample_forward(2, to=self.to))
        assert len(await rig.arrived()) >= before + 1

    async def test_it_can_be_closed_twice(self, rig: SinkRig) -> None:
        """Closing is safe at any time."""
        await rig.sink.aclose()
        await rig.sink.aclose()

    def test_addresses_are_checked(self) -> None:
        """A usable address passes; others get a sentence."""
        assert self.channel.check_address(self.to) == ""
        for address in self.bad_addresses:
            assert self.channel.check_address(address), address

    def test_every_setting_is_described(self) -> None:
        """The settings are their own documentation."""
        for name, setting in self.channel.settings.model_fields.items():
            assert setting.description, name
