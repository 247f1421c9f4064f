"""Mails that are larger than the mail server takes: the department hears of the message all the same."""

from __future__ import annotations

import email
import email.policy
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from channels.smtp import SmtpSettings, SmtpSink
from router.errors import Permanent, Retryable, Unclear
from router.records import Attachment, Medium, Notice
from router.remarked import remark_on
from router.store import deliveries, messages
from router.testing_sinks import sample_alert, sample_content, sample_context, sample_forward
from router.testing_smtp import DROP, SmtpServer, smtp_server
from tests.unit.router.district import District

TAKES = 100_000
LARGE = b"Subject: Bus 12\r\n\r\n" + b"x" * 70 + b"\r\n" * TAKES
FILES = (Attachment(name="bus.mp4", content_type="video/mp4", size=30_000_000),)
CONSOLE = "https://contact.maplevalley.example/console/messages/message-1"


class RefusesOnce(SmtpServer):
    """A server that takes the second mail whatever it says to the first."""

    async def handle_MAIL(self, *arguments):  # noqa: N802 - aiosmtpd's name
        """Answer MAIL FROM."""
        if any(command.startswith("MAIL") for command in self.commands):
            self.mail_reply = self.recipient_reply = self.data_reply = ""
        return await super().handle_MAIL(*arguments)


@asynccontextmanager
async def sink_to(server):
    """A sink that sends to this server."""
    values = {"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "router@maplevalley.example"}
    sink = SmtpSink(SmtpSettings.model_validate(values), sample_context())
    try:
        yield sink
    finally:
        await sink.aclose()


def large(**changes):
    """Return a forward whose original the server doesn't take."""
    forward = sample_forward(original=LARGE, **changes)
    return replace(forward, message=replace(forward.message, content=sample_content(attachments=FILES)))


def mail_of(received):
    """Return a received mail as a program reads it, with its text."""
    mail = email.message_from_bytes(received.data, policy=email.policy.default)
    return mail, mail.get_body(("plain",)).get_content().replace("\r\n", "\n")


async def test_the_size_a_server_takes_is_no_reason_not_to_hear_of_a_message():
    """What is larger than the server's SIZE arrives as the same mail without the original, and says where that is."""
    whole = large(message_url=CONSOLE)
    async with smtp_server(data_size_limit=TAKES) as server, sink_to(server) as sink:
        said = await sink.send(whole)
        [received] = server.mails
    mail, text = mail_of(received)
    assert said == "Q1"
    assert "without its original" in remark_on(said)
    assert str(TAKES) in remark_on(said)
    assert (mail["Message-ID"], mail["References"]) == (whole.mail_id, "<bus-12@example.org>")
    assert (mail["X-Signpost-Message"], mail["X-Signpost-Department"]) == ("message-1", "transportation")
    assert (mail["X-Signpost-Tags"], mail["Subject"]) == ("original-too-large", "Bus 12")
    assert mail["X-Signpost-Misroute"] == whole.misroute_url
    assert text.startswith("The bus was late again.\n")
    for line in ("From: Ana Ruiz, ana@example.org", "Received: Tuesday, 1 September 2026, 7:30 am"):
        assert line in text.splitlines()
    assert "Files: bus.mp4 (30.0 MB), in the original\n" in text
    assert f"Original: {CONSOLE} (with all files)\n" in text
    assert "attached" not in text
    assert [part.get_content_type() for part in mail.walk() if not part.is_multipart()] == ["text/plain", "text/html"]
    assert len(received.data) < 10_000


async def test_without_a_console_the_mail_names_the_command():
    """Who runs Signpost gets the original by the message's id."""
    async with smtp_server(data_size_limit=TAKES) as server, sink_to(server) as sink:
        await sink.send(large())
        _mail, text = mail_of(server.mails[0])
    assert "signpost messages export message-1 --to FILE" in text


@pytest.mark.parametrize(
    ("where", "reply"),
    [
        ("mail_reply", "552 5.3.4 message size exceeds fixed limit"),
        ("mail_reply", "552 Message size exceeds maximum permitted"),
        ("recipient_reply", "550 5.2.3 message too large for this mailbox"),
        ("data_reply", "552 5.3.4 too large"),
    ],
)
async def test_a_server_that_names_no_size_may_refuse_at_any_step(where, reply):
    """Its refusal for size is understood wherever it comes."""
    async with smtp_server(double=RefusesOnce(**{where: reply}), data_size_limit=0) as server, sink_to(server) as sink:
        said = await sink.send(large())
        [received] = server.mails
    assert remark_on(said)
    assert mail_of(received)[0]["X-Signpost-Tags"] == "original-too-large"


async def test_a_refusal_after_the_last_dot_is_understood():
    """Also where all of the mail was sent in vain; tags of the decision stay."""
    forward = large()
    forward = replace(forward, decision=replace(forward.decision, tags=("records-request",)))
    async with smtp_server() as server, sink_to(server) as sink:
        server.answers.append("552 5.3.4 message too big for system")
        assert remark_on(await sink.send(forward))
        mail, text = mail_of(server.mails[0])
    assert mail["X-Signpost-Tags"] == "records-request, original-too-large"
    assert "a legal deadline may run" in text


async def test_a_refusal_of_the_short_mail_is_an_ordinary_one():
    """There is no third mail: too large again is a dead letter, later is later, and a lost answer is unclear."""
    for second, kind in (("552 5.3.4 too large", Permanent), ("451 4.3.0 later", Retryable), (DROP, Unclear)):
        async with smtp_server() as server, sink_to(server) as sink:
            server.answers += ["552 5.3.4 too large", second, ""]
            with pytest.raises(kind):
                await sink.send(large())
            assert server.answers == [""]


async def test_what_has_no_original_is_not_sent_twice():
    """An alert about no message that a server finds too large is refused for good."""
    async with smtp_server() as server, sink_to(server) as sink:
        server.answers.append("552 5.3.4 too large")
        with pytest.raises(Permanent):
            await sink.send(sample_alert())
        assert server.mails == []


async def test_a_long_text_is_cut_so_that_any_server_takes_the_mail():
    """A hundred thousand characters of any script stay below the 64 kB that every server takes; the link stays."""
    forward = large()
    words = replace(forward.message.content, text="Пожалуйста помогите\n" * 5_000)
    forward = replace(forward, message=replace(forward.message, content=words))
    async with smtp_server(data_size_limit=64_000) as server, sink_to(server) as sink:
        await sink.send(forward)
        _mail, text = mail_of(server.mails[0])
    assert "(cut here: the original has the rest)" in text
    assert f"Not yours? Send it on: {forward.misroute_url}" in text


async def test_an_alarm_arrives_whatever_the_message_weighs():
    """An alert that brings a large message with it comes without the original, with its link and the person's words."""
    about = large()
    notice = Notice(subject="URGENT: a child is missing", text="Please look at once.", url="https://d.example/u/token")
    alert = replace(sample_alert(), message=replace(about.message, medium=Medium.EMAIL), original=LARGE, notice=notice)
    async with smtp_server(data_size_limit=TAKES) as server, sink_to(server) as sink:
        assert remark_on(await sink.send(alert))
        mail, text = mail_of(server.mails[0])
    assert (mail["X-Signpost-Tags"], mail["X-Signpost-Message"]) == ("original-too-large", "message-1")
    assert "The message says:\n\nThe bus was late again." in text
    assert "https://d.example/u/token" in text


async def test_such_a_delivery_is_delivered_and_says_what_stayed_behind(sqlite_store, log, rng):
    """The ledger has no dead letter; the delivery's row says that the original isn't there, and the store keeps it."""
    async with smtp_server(data_size_limit=20_000) as server, sink_to(server) as sink:
        district = District(sqlite_store, log, rng, sink=sink)
        message_id = await district.route("buses " + "far too long\n" * 2_000)
        await district.dispatcher.run_once()
        await district.dispatcher.settled()
    [delivery] = await sqlite_store.read(lambda c: deliveries.of_message(c, message_id))
    assert (delivery.state.value, delivery.attempts) == ("delivered", 1)
    assert delivery.last_error.startswith("without its original, which is too large")
    originals = await sqlite_store.read(lambda c: messages.originals_of(c, [message_id]))
    assert len(originals[message_id]) > 20_000
