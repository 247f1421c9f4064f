"""Form tools and messaging providers as they are: their documented requests and signatures, by settings alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from aiohttp import FormData

from channels._mime import understand
from router.records import Medium
from router.testing import RecordingIntake, assert_well_formed
from tests.contract.test_webhook import incoming
from tests.integration.fake_twilio import mounted


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", "s3cret")


async def taken(settings, *, tail="", status=200, **request):
    """Post one request and return (inbound, content) of what came in."""
    intake = RecordingIntake()
    async with (
        mounted(incoming(**settings), intake.accept, "/webhooks/hook") as (http, url),
        http.post(url + tail, **request) as answer,
    ):
        assert answer.status == status, await answer.text()
    for inbound in intake.taken.values():
        assert_well_formed(inbound, "hook")
    return [(i, understand(i.original, i.facts, i.medium.value)) for i in intake.taken.values()]


def mac(body, encoding):
    digest = hmac.new(b"s3cret", body, hashlib.sha256)
    return base64.b64encode(digest.digest()).decode() if encoding == "base64" else digest.hexdigest()


# --- Typeform

TYPEFORM = {
    "event_id": "01EK4R5PFZZP6C8H14RTP4YW6C",
    "event_type": "form_response",
    "form_response": {
        "form_id": "g8hcyeXS",
        "token": "x71for1wr6irs2rx71fotn12b3izh25v",
        "landed_at": "2026-09-01T08:23:47Z",
        "submitted_at": "2026-09-01T08:23:49Z",
        "definition": {"id": "g8hcyeXS", "title": "Contact", "fields": []},
        "answers": [  # the question about the name was left out, and so there is no answer to it
            {"type": "email", "email": "ana@example.org", "field": {"id": "a", "type": "email", "ref": "email"}},
            {"type": "text", "text": "The bus was late.", "field": {"id": "b", "type": "long_text", "ref": "message"}},
            {"type": "choice", "choice": {"id": "c", "label": "Transportation"},
             "field": {"id": "d", "type": "multiple_choice", "ref": "topic"}},
        ],
    },
}  # fmt: skip
ANSWER = "/form_response/answers/{field.ref=%s}"
TYPEFORM_SETTINGS = {
    "authentication": "hmac",
    "hmac": {"header": "Typeform-Signature", "encoding": "base64", "prefix": "sha256="},
    "fields": {
        "message": f"{ANSWER % 'message'}/text",
        "name": f"{ANSWER % 'name'}/text",
        "email": f"{ANSWER % 'email'}/email",
        "topic": f"{ANSWER % 'topic'}/choice/label",
        "id": "/event_id",
    },
}


async def test_typeform():
    """Answers are found by their reference, since unanswered questions are left out of the list.

    Source: www.typeform.com/developers/webhooks/example-payload and .../secure-your-webhooks
    """
    body = json.dumps(TYPEFORM).encode()
    headers = {"Typeform-Signature": f"sha256={mac(body, 'base64')}", "Content-Type": "application/json"}
    [(inbound, content)] = await taken(TYPEFORM_SETTINGS, data=body, headers=headers)

    assert (inbound.source_key.partition("#")[0], inbound.medium) == ("01EK4R5PFZZP6C8H14RTP4YW6C", Medium.WEB_FORM)
    assert content.text.strip() == "The bus was late."
    assert (content.sender, content.reply_to, content.topic) == ("ana@example.org", "ana@example.org", "Transportation")
    assert [file.name for file in content.attachments] == ["request.json"]


async def test_typeform_altered():
    """A body that was changed on the way is refused."""
    body = json.dumps(TYPEFORM).encode()
    headers = {"Typeform-Signature": f"sha256={mac(body, 'base64')}", "Content-Type": "application/json"}
    assert await taken(TYPEFORM_SETTINGS, status=403, data=body.replace(b"late", b"good"), headers=headers) == []


# --- Tally


async def test_tally():
    """The signature is base64 without a prefix, and the fields are a list with labels.

    Source: tally.so/help/webhooks
    """
    event = {
        "eventId": "ce9f355d-2fc8-4f16-b56f-db656ef57f4a",
        "eventType": "FORM_RESPONSE",
        "createdAt": "2026-09-01T10:55:00.000Z",
        "data": {
            "responseId": "Z9Z97Go",
            "submissionId": "Z9Z97Go",
            "respondentId": "Pdgjl70",
            "formId": "XxA4WO",
            "formName": "Contact",
            "createdAt": "2026-09-01T10:55:00.000Z",
            "fields": [
                {"key": "question_1", "label": "Your name", "type": "INPUT_TEXT", "value": "Ana Ruiz"},
                {"key": "question_2", "label": "Phone", "type": "INPUT_PHONE_NUMBER", "value": "+15555550111"},
                {"key": "question_3", "label": "Email", "type": "INPUT_EMAIL", "value": None},
                {"key": "question_4", "label": "Message", "type": "TEXTAREA", "value": "¿A qué hora pasa el bus?"},
            ],
        },
    }
    label = "/data/fields/{label=%s}/value"
    fields = {"message": label % "Message", "name": label % "Your name", "phone": label % "Phone",
              "email": label % "Email", "id": "/eventId"}  # fmt: skip
    body = json.dumps(event, ensure_ascii=False).encode()
    headers = {"Tally-Signature": mac(body, "base64"), "Content-Type": "application/json"}
    scheme = {"header": "Tally-Signature", "encoding": "base64"}
    settings = {"authentication": "hmac", "hmac": scheme, "fields": fields, "only": {"/eventType": "FORM_RESPONSE"}}
    [(inbound, content)] = await taken(settings, data=body, headers=headers)

    assert content.text.strip() == "¿A qué hora pasa el bus?"
    assert (content.sender, content.sender_name, content.reply_to) == ("+15555550111", "Ana Ruiz", "")
    assert b'filename="request.json"' in inbound.original


# --- Jotform


async def test_jotform():
    """Parts of a form, one of which is a text that holds JSON; Jotform signs nothing, so the address is the secret.

    Source: www.jotform.com/help/245-how-to-setup-a-webhook-with-jotform
    """
    answers = {
        "slug": "submit/241234567890",
        "q3_name": {"first": "Ana", "last": "Ruiz"},
        "q4_email": "ana@example.org",
        "q5_message": "Where do I register for kindergarten?",
    }
    parts = FormData()
    for name, value in {
        "action": "",
        "formID": "241234567890",
        "submissionID": "5812345678901234567",
        "formTitle": "Contact",
        "pretty": "Name:Ana Ruiz",
        "rawRequest": json.dumps(answers),
    }.items():
        parts.add_field(name, value, content_type="text/plain")
    raw = "/rawRequest/q%s"
    fields = {"message": raw % "5_message", "name": raw % "3_name", "email": raw % "4_email", "id": "/submissionID"}
    settings = {"authentication": "path", "fields": fields}
    [(inbound, content)] = await taken(settings, tail="/s3cret", data=parts)

    assert inbound.source_key.partition("#")[0] == "5812345678901234567"
    assert (content.sender, content.sender_name) == ("ana@example.org", "Ana Ruiz")
    assert content.text.strip() == "Where do I register for kindergarten?"


# --- Telnyx

TELNYX = {
    "data": {
        "record_type": "event",
        "id": "bf6307bd-884d-4c1f-b6ea-c62b8c495d3c",
        "event_type": "message.received",
        "occurred_at": "2026-09-01T18:10:02.574Z",
        "payload": {
            "record_type": "message",
            "direction": "inbound",
            "id": "7ee4241c-f127-47e5-9c34-3aac291f8058",
            "type": "SMS",
            "from": {"phone_number": "+18665550001", "carrier": "T-MOBILE USA, INC.", "line_type": "Wireless"},
            "to": [{"phone_number": "+18445550001", "status": "delivered", "line_type": "VoIP"}],
            "text": "Is there school today?",
            "media": [],
        },
    },
    "meta": {"attempt": 1, "delivered_to": "https://contact.maplevalley.example/webhooks/hook"},
}
TELNYX_SETTINGS = {
    "authentication": "path",
    "medium": "sms",
    "only": {"/data/event_type": "message.received"},
    "fields": {
        "message": "/data/payload/text",
        "phone": "/data/payload/from/phone_number",
        "recipient": "/data/payload/to/0/phone_number",
        "id": "/data/payload/id",
    },
}


async def test_telnyx():
    """A text message with sender, number written to and id.

    Source: developers.telnyx.com/api-reference/callbacks/inbound-message
    """
    [(inbound, content)] = await taken(TELNYX_SETTINGS, tail="/s3cret", json=TELNYX)

    assert (inbound.source_key.partition("#")[0], inbound.medium) == (
        "7ee4241c-f127-47e5-9c34-3aac291f8058",
        Medium.SMS,
    )
    assert (content.sender, content.phone, content.recipient) == ("+18665550001", "+18665550001", "+18445550001")
    assert (content.text.strip(), content.keyword) == ("Is there school today?", "")


async def test_telnyx_stop_and_receipts():
    """STOP is noted by whatever provider it comes; receipts for staff's own texts are acknowledged and left."""
    stop, receipt = json.loads(json.dumps(TELNYX)), json.loads(json.dumps(TELNYX))
    stop["data"]["payload"]["text"] = "Stop texting me please"
    receipt["data"]["event_type"] = "message.finalized"

    assert [c.keyword for _, c in await taken(TELNYX_SETTINGS, tail="/s3cret", json=stop)] == ["stop"]
    assert await taken(TELNYX_SETTINGS, tail="/s3cret", json=receipt) == []


# --- Bandwidth


async def test_bandwidth():
    """Several messages in one request, each one of its own; basic authentication.

    Source: dev.bandwidth.com/docs/messaging/webhooks
    """
    events = [
        {
            "type": kind,
            "time": "2026-09-14T18:20:16Z",
            "description": "Incoming message received",
            "to": "+12345678902",
            "message": {
                "id": f"14762070468292kw2fuqty55yp2b{number}",
                "time": "2026-09-14T18:20:16Z",
                "to": ["+12345678902"],
                "from": f"+1234567890{number}",
                "text": f"Message {number}",
                "applicationId": "93de2206-9669-4e07-948d-329f4b722ee2",
                "owner": "+12345678902",
                "direction": "in",
                "segmentCount": 1,
            },
        }
        for number, kind in ((1, "message-received"), (2, "message-delivered"), (3, "message-received"))
    ]
    fields = {"message": "/message/text", "phone": "/message/from", "recipient": "/to", "id": "/message/id"}
    settings = {"authentication": "basic", "username": "bandwidth", "fields": fields, "medium": "sms", "each": "",
                "only": {"/type": "message-received"}}  # fmt: skip
    credentials = base64.b64encode(b"bandwidth:s3cret").decode()
    found = await taken(settings, json=events, headers={"Authorization": f"Basic {credentials}"})

    assert [content.text.strip() for _, content in found] == ["Message 1", "Message 3"]


# --- Vonage


async def test_vonage():
    """Form fields, and numbers without a plus sign.

    Source: developer.vonage.com/messaging/sms/guides/inbound-sms
    """
    sent = {"msisdn": "447700900001", "to": "447700900000", "messageId": "0A0000000123ABCD1", "type": "text",
            "text": "Hello from a phone", "keyword": "HELLO", "message-timestamp": "2026-09-01 12:00:00"}  # fmt: skip
    fields = {"message": "/text", "phone": "/msisdn", "recipient": "/to", "id": "/messageId"}
    [(inbound, content)] = await taken(
        {"authentication": "path", "medium": "sms", "fields": fields}, tail="/s3cret", data=sent
    )

    assert (content.sender, content.text.strip()) == ("+447700900001", "Hello from a phone")
    assert content.attachments[0].name == "request.txt"
    assert inbound.source_key.partition("#")[0] == "0A0000000123ABCD1"
