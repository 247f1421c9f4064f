"""Every way in reaches the right way out, with the original byte for byte."""

from __future__ import annotations

import re
from email.utils import parseaddr
from hashlib import sha256

import aiohttp
import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, smtp_port, steer
from tests.acceptance.ledger import Sent
from tests.acceptance.senders import NotTaken, by_form, by_maildir, by_smtp, form_message, mail_message

PICTURE = bytes(range(256)) * 40
BY_RELAY = ADDRESSES["transportation"]
BY_MAILDIR = ADDRESSES["enrollment"]


async def arrived(collector, ledger, count, timeout_s=60):
    """Wait for so many forwarded messages; return them after the ledgers have been compared."""

    def enough():
        routes = [arrival for arrival in collector.arrivals if arrival.is_route]
        return routes if len(routes) >= count else None

    routes = await until(enough, timeout_s, lambda: f"{count} mails, but {len(collector.arrivals)}")
    audit = ledger.audit(routes)
    assert (audit.lost, audit.unexpected, audit.corrupt, audit.duplicates) == ([], [], [], {})
    return routes


async def test_a_form_in_all_three_encodings(daemon, collector, ledger):
    """Urlencoded, multipart with an upload, and JSON: each answer means stored, each message reaches its desk."""
    for way, to in (("urlencoded", "transportation"), ("multipart", "enrollment"), ("json", "technology")):
        token, fields = form_message(ledger, ADDRESSES[to], steer(to))
        files = [("bus.jpg", "image/jpeg", PICTURE)] if way == "multipart" else []
        receipt = await by_form(daemon.url, fields, way=way, files=files)
        ledger.acked.add(token)
        if way == "json":
            assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{12}", receipt)
        else:
            async with aiohttp.ClientSession() as client, client.get(daemon.url + receipt) as page:
                assert page.status == 200
    routes = await arrived(collector, ledger, 3)
    [with_upload] = [arrival for arrival in routes if arrival.recipient == BY_MAILDIR]
    [upload] = [part for part in with_upload.mail.walk() if part.get_filename() == "bus.jpg"]
    assert upload.get_payload(decode=True) == PICTURE


async def test_mail_by_smtp_keeps_every_byte(daemon, collector, ledger):
    """What SMTP handed over comes out of the mail server and of the Maildir with the same SHA-256."""
    ways = (
        {"extra": "Año, 学校".encode()},
        {"extra": b"\xff\xfe\x80 \x01\x02 is no text at all"},
        {"extra": b"x" * 5_000},
        {"extra": b"--=_0123456789abcdef0123456789abcdef.1--"},
        {"extra": b"\r\n.\r\n..\r\n.x"},
        {},
    )
    for how in ways:
        for to in ("transportation", "enrollment"):
            token, data = mail_message(ledger, ADDRESSES[to], steer(to), **how)
            assert " accepted as " in await by_smtp(smtp_port(daemon.configuration), data)
            ledger.acked.add(token)
    for arrival in await arrived(collector, ledger, 2 * len(ways)):
        assert sha256(arrival.original).digest() == sha256(ledger.sent[arrival.token].original).digest()


async def test_mail_from_a_maildir_keeps_every_byte(daemon, collector, ledger):
    """A Maildir's mails, with bare line feeds and a NUL even, come out with the same SHA-256 and are marked as seen."""
    ways = ({}, {"ending": b"\n"}, {"extra": b"\0 nul"}, {"extra": b"bare \r return"})
    for number, how in enumerate(ways):
        to = ("transportation", "enrollment")[number % 2]
        token, data = mail_message(ledger, ADDRESSES[to], steer(to), **how)
        by_maildir(daemon.folder / "old-mail", data)
        ledger.acked.add(token)
    await arrived(collector, ledger, len(ways))
    await until(lambda: len(list((daemon.folder / "old-mail" / "cur").glob("*:2,S"))) == 4, 10, "all marked as seen")
    assert list((daemon.folder / "old-mail" / "new").iterdir()) == []


async def test_the_headers_of_a_forwarded_mail(daemon, collector, ledger):
    """A forwarded mail names the person, the department and the reason, and a reply goes to the person."""
    token, data = mail_message(ledger, BY_RELAY, steer("transportation"))
    await by_smtp(smtp_port(daemon.configuration), data)
    ledger.acked.add(token)
    [arrival] = await arrived(collector, ledger, 1)
    assert parseaddr(arrival["From"]) == ("Ana Ruiz via Maple Valley School District", "contact@maple.example")
    assert arrival["Reply-To"] == "ana@home.example"
    assert arrival["To"] == BY_RELAY
    assert re.fullmatch(r"<[^<>@\s]+@127\.0\.0\.1>", arrival["Message-ID"])
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{12}", arrival["X-Signpost-Message"])
    assert arrival["X-Signpost-Department"] == "transportation"
    assert arrival["X-Signpost-Reason"] == "rule"
    assert arrival["X-Signpost-Urgent"] == ""
    assert arrival["X-Signpost-Misroute"].startswith(f"{daemon.url}/m/")
    assert arrival.words.startswith(steer("transportation"))
    assert arrival["X-Signpost-Misroute"] in arrival.words
    assert arrival["X-Signpost-Misroute"] in arrival.mail.get_body(("html",)).get_content()


async def test_a_message_that_only_a_phone_can_answer(daemon, collector, ledger):
    """Without a mail address there is no Reply-To, and the mail opens with how to reach the family."""
    token = ledger.new_token()
    text = f"{steer('transportation')} {token}"
    ledger.hand_in(Sent(token, BY_RELAY, text))
    await by_form(daemon.url, {"message": text, "phone": "(202) 555-0143"})
    ledger.acked.add(token)
    [arrival] = await arrived(collector, ledger, 1)
    assert arrival["Reply-To"] == ""
    assert "+1 202 555 0143" in arrival.words.partition(text)[0]


async def test_the_same_mail_twice_is_one_message(daemon, collector, ledger):
    """A true copy is acknowledged and not forwarded again; other bytes under that Message-ID are another message."""
    port, to = smtp_port(daemon.configuration), BY_RELAY
    token, data = mail_message(ledger, to, steer("transportation"))
    first = await by_smtp(port, data)
    assert await by_smtp(port, data) == first
    other = data.replace(b"Ana Ruiz", b"Ana M. Ruiz")
    assert await by_smtp(port, other) != first
    await until(lambda: len(collector.at(to, token)) == 2, 30, "both have arrived")
    assert {arrival.original for arrival in collector.at(to, token)} == {data, other}
    assert (await daemon.settled())["messages"]["received"] == 2


async def test_what_is_refused_isnt_stored(daemon):
    """A refusal says why, and leaves no message behind."""
    with pytest.raises(NotTaken, match="422"):
        await by_form(daemon.url, {"message": "nobody to answer to"})
    with pytest.raises(NotTaken, match="554"):
        await by_smtp(smtp_port(daemon.configuration), b"Subject: bare\nline feeds\n")
    assert (await daemon.status())["messages"]["received"] == 0
