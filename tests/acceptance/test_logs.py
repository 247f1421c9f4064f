"""What the daemon prints holds no secret and nothing that families wrote, whatever goes wrong."""

from __future__ import annotations

import json

from aiosmtpd.smtp import AuthResult

from router.testing_smtp import smtp_server
from tests.acceptance.daemon import free_port, until
from tests.acceptance.district import ADDRESSES, ALERTS, district, smtp_port, steer
from tests.acceptance.senders import NotTaken, by_form, by_maildir, by_smtp, mail

PASSWORD = "canary-secret-7Qx"
PERSON = "canary.person@home.example"
PHONE = "2025550187"
SENTENCE = "The canary sings about the missing lunchbox"
QUOTES = '"' * 20_000
CANARIES = (PASSWORD, PERSON, PHONE, "555-0187", "canary", "lunchbox", "@maple.example")


async def write_everywhere(daemon):
    """Send messages full of canaries by every way in, sound ones and some that nobody can read."""
    port = smtp_port(daemon.configuration)
    words = f"{SENTENCE}. {steer('transportation')}"
    await by_form(daemon.url, {"name": "Canary", "email": PERSON, "phone": f"({PHONE[:3]}) 555-0187", "message": words})
    await by_form(daemon.url, {"message": f"{SENTENCE}, never came home", "phone": PHONE})
    for data in (
        mail("RT-a1-1-end", words, sender=PERSON),
        f"From: {PERSON}@\r\nMessage-ID: <>\r\nSubject: {SENTENCE}\r\n\r\n{words}".encode(),
        f"From: {'(' * 5_000}{PERSON}\r\nContent-Type: {QUOTES}\r\n\r\n{words}".encode(),
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n" * 2_000 + SENTENCE.encode(),
        b"Received: from a by b\r\n" * 30 + f"From: {PERSON}\r\nSubject: {SENTENCE}\r\n\r\n{words}".encode(),
    ):
        await by_smtp(port, data, sender=PERSON)
    by_maildir(daemon.folder / "old-mail", f"From: {PERSON}\n\n{words}".encode())
    for fields in ({"message": SENTENCE, "email": f"{PERSON} and more"}, {"message": "", "phone": PHONE}):
        try:
            await by_form(daemon.url, fields)
        except NotTaken:
            continue
        raise AssertionError("these should have been refused")


async def test_no_secret_and_nothing_personal_is_printed(daemons, tmp_path, collector):
    """At the lowest level, through refusals, retries, alerts, a kill and a stop: no canary is in the output."""
    options = {"auth_required": False, "auth_require_tls": False, "authenticator": lambda *_: AuthResult(success=True)}
    async with smtp_server(port=free_port(), **options) as relay:
        collector.add(relay)
        configuration = district(tmp_path, relay.port)
        configuration["channels"]["relay"] |= {"username": "router", "password_env": "SIGNPOST_TEST_PASSWORD"}
        daemon = daemons(tmp_path, configuration, SIGNPOST_TEST_PASSWORD=PASSWORD)
        relay.answers = [
            f"550 5.1.1 <{PERSON}>: {PERSON} is unknown here",
            f"451 4.7.1 try later, {ADDRESSES['transportation']}",
            "drop",
        ]
        await daemon.start("--log-level", "debug")
        await write_everywhere(daemon)
        await until(lambda: daemon.events("message_held"), 60, "held")
        await until(lambda: len(daemon.events("message_decided")) >= 7, 60, "decided")
        await until(lambda: collector.at(ALERTS), 30, "an alert")
        await until(lambda: len(daemon.events("delivery_failed")) >= 2, 30, "failures")
        await until(lambda: daemon.events("delivery_delivered"), 60, "a delivery")
        await daemon.kill()
        await daemon.start("--log-level", "debug")
        shown = await daemon.command("messages", "list")
        assert "lunchbox" in shown.out  # people who may look do see it
        await daemon.stop()
    output = daemon.output().lower()
    assert [canary for canary in CANARIES if canary.lower() in output] == []
    facts = [json.loads(line) for line in daemon.output().splitlines() if line.startswith("{")]
    assert {"message_accepted", "message_decided", "delivery_delivered"} <= {fact["event"] for fact in facts}
    assert all(fact["timestamp"] and fact["level"] for fact in facts)
