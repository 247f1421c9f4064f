"""Who may post to a webhook, what is refused and how, and what becomes of requests that say little or too much."""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from channels._mime import mail_id, understand
from channels._webhook_auth import signature
from channels._webhook_settings import WebhookSettings
from router.intake import Intake
from router.metrics import Metrics
from router.store.tables import messages
from router.testing import FakeClock, RecordingIntake, assert_well_formed
from tests.contract.test_webhook import incoming
from tests.integration.fake_twilio import mounted

JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"data": {"text": "Hello", "email": "ana@example.org"}}).encode()
BEARER = {"Authorization": "Bearer s3cret"}
TIMED = {"header": "X-Signature", "prefix": "v1=", "signed": "{timestamp}.{body}",
         "timestamp_header": "X-Signature", "timestamp_prefix": "t="}  # fmt: skip


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", "s3cret")


@asynccontextmanager
async def hook(clock=None, **settings):
    """A webhook with these settings; yield a function that posts and returns the answer, and the intake."""
    intake = RecordingIntake()
    built = incoming(clock=clock, **({"authentication": "bearer"} | settings))
    async with mounted(built, intake.accept, "/webhooks/hook") as (http, url):

        async def post(headers=None, data=BODY, tail="", method="POST"):
            async with http.request(method, url + tail, data=data, headers=JSON | (headers or {})) as answer:
                return answer.status, await answer.text(), answer.headers

        yield post, intake


def basic(text):
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "s3cret"},
        basic("u:s3cret"),
    ],
)
async def test_a_missing_or_wrong_token_is_401(headers):
    """With the challenge that RFC 9110 asks for, and a sentence."""
    async with hook() as (post, intake):
        status, text, answered = await post(headers)
    assert (status, answered["WWW-Authenticate"]) == (401, "Bearer")
    assert "missing or wrong" in json.loads(text)["error"]
    assert not intake.offered


@pytest.mark.parametrize(
    "headers", [{}, basic("u:wrong"), basic("other:s3cret"), basic(":"), {"Authorization": "Basic ???"}, BEARER]
)
async def test_a_missing_or_wrong_password_is_401(headers):
    """For user and password."""
    async with hook(authentication="basic", username="u") as (post, intake):
        status, _, answered = await post(headers)
        assert (status, answered["WWW-Authenticate"].split()[0]) == (401, "Basic")
        assert (await post(basic("u:s3cret")))[0] == 200
    assert len(intake.taken) == 1


@pytest.mark.parametrize("tail", ["", "/", "/wrong", "/s3cret/more", "/S3CRET"])
async def test_a_secret_address_has_to_be_whole(tail):
    """403 for anything else."""
    async with hook(authentication="path") as (post, intake):
        assert (await post(tail=tail))[0] == 403
        assert (await post(tail="/s3cret"))[0] == 200
    assert len(intake.taken) == 1


async def test_there_is_nothing_below_other_webhooks():
    """A longer address is no address."""
    async with hook() as (post, intake):
        assert (await post(BEARER, tail="/more"))[0] == 404
    assert not intake.offered


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
async def test_signatures(algorithm, encoding):
    """Every algorithm and way of writing; hexadecimal digits in either case."""
    async with hook(authentication="hmac", hmac={"header": "X-Sig", "algorithm": algorithm, "encoding": encoding}) as (
        post,
        intake,
    ):
        right = signature("s3cret", BODY, algorithm, encoding)
        assert (await post({"X-Sig": right}))[0] == 200
        assert (await post({"X-Sig": right.upper() if encoding == "hex" else right}))[0] == 200
        for wrong in (right[:-1], right[::-1], "", "é", signature("other", BODY, algorithm, encoding)):
            assert (await post({"X-Sig": wrong}))[0] == 403
        assert (await post())[0] == 403
        assert (await post({"X-Sig": right}, data=BODY + b" "))[0] == 403
    assert len(intake.offered) == 2


async def test_a_signed_time_keeps_old_requests_out():
    """As Calendly and Stripe sign: time and signature in one header (developer.calendly.com, webhook signatures)."""
    clock = FakeClock()
    now = int(clock.now().timestamp())

    def signed(at):
        return {"X-Signature": f"t={at},v1={signature('s3cret', f'{at}.'.encode() + BODY)}"}

    async with hook(clock, authentication="hmac", hmac=TIMED) as (post, intake):
        assert (await post(signed(now)))[0] == 200
        assert (await post(signed(now - 290)))[0] == 200
        for at in (now - 310, now + 310, "soon", ""):
            status, text, _ = await post(signed(at))
            assert status == 403
            assert "time" in text
        assert (await post({"X-Signature": f"t={now + 1},{signed(now)['X-Signature'].split(',')[1]}"}))[0] == 403
        clock.advance(timedelta(minutes=6))
        assert (await post(signed(now)))[0] == 403
    assert len(intake.offered) == 2


@pytest.mark.parametrize(
    ("kind", "body", "status", "sentence"),
    [
        ("application/json", b'"' + b"x" * 1_000_001, 413, "at most"),
        ("multipart/form-data; boundary=b", b"--b\r\nnonsense", 400, ""),
    ],
)
async def test_what_has_not_arrived_is_refused_with_a_sentence(kind, body, status, sentence):
    """The right status each, and nothing is stored."""
    async with hook() as (post, intake):
        answered, text, _ = await post(BEARER | {"Content-Type": kind}, data=body)
    assert answered == status
    assert sentence in text
    assert not intake.offered


@pytest.mark.parametrize(
    ("kind", "body", "sentence"),
    [
        ("application/json", b"{", "isn't JSON"),
        ("application/json", b"[" * 100_000, "isn't JSON"),
        ("application/json", b"[" * 900 + b"]" * 900, "none of the fields"),
        ("application/json", b"[]", "none of the fields"),
        ("application/json", b'{"data": {"txt": "She did not come home \xc3\xb1"}}', "/data/text"),
        ("application/x-www-form-urlencoded", b"a=%ff", "form fields"),
        ("text/xml", b"<a>\xff</a>", "send JSON"),
    ],
)
async def test_what_does_not_fit_the_settings_reaches_a_person(kind, body, sentence):
    """A proven request isn't lost over a wrong pointer: it is taken as it came, marked, its words to be read."""
    async with hook() as (post, intake):
        for _ in range(2):
            status, answer, _ = await post(BEARER | {"Content-Type": kind}, data=body)
            assert status == 200
            assert sentence in json.loads(answer)["warning"]
    [inbound] = intake.taken.values()
    assert_well_formed(inbound, "hook")
    content = understand(inbound.original, inbound.facts, inbound.medium.value)
    assert sentence in content.unreadable
    assert [file.size for file in content.attachments] == [len(body)]
    assert ("did not come home ñ" in content.text) == (b"home" in body)


async def test_one_of_several_that_does_not_fit():
    """The others go their ways, and the request as a whole goes to a person."""
    said = [{"text": "One"}, {"event": "read"}, {"text": "Two"}]
    async with hook(each="", fields={"message": "/text"}) as (post, intake):
        status, answer, _ = await post(BEARER, data=json.dumps(said).encode())
    assert (status, len(json.loads(answer)["references"])) == (200, 3)
    contents = [understand(i.original, i.facts, i.medium.value) for i in intake.taken.values()]
    assert [content.text.strip() for content in contents[:2]] == ["One", "Two"]
    assert [bool(content.unreadable) for content in contents] == [False, False, True]


async def test_only_posts_are_taken():
    """405 for others, 404 where the channel only sends."""
    async with hook() as (post, intake):
        assert (await post(BEARER, method="PUT"))[0] == 405
    async with hook(fields=None, authentication=None, secret_env="") as (post, intake):
        assert (await post(BEARER))[0] == 404
    assert not intake.offered


async def test_a_repeated_request_is_one_message_and_another_day_another():
    """Where the provider gives no id, the same request counts as repeated within a day."""
    clock = FakeClock()
    async with hook(clock) as (post, intake):
        answers = [json.loads((await post(BEARER))[1]) for _ in range(2)]
        clock.advance(timedelta(days=1))
        answers.append(json.loads((await post(BEARER))[1]))
    assert answers == [{"references": ["R1"]}, {"references": ["R1"]}, {"references": ["R2"]}]
    assert len(intake.taken) == 2


@pytest.mark.parametrize("said", [{"text": ""}, {"words": "She did not come home"}])
async def test_a_blank_message_from_somebody_is_taken(said):
    """A picture without words, a field left blank, or a wrong pointer: what else there is stands in its place."""
    body = json.dumps({"data": {"email": "ana@example.org", **said}}).encode()
    async with hook() as (post, intake):
        assert (await post(BEARER, data=body))[0] == 200
    [inbound] = intake.taken.values()
    content = understand(inbound.original, inbound.facts, inbound.medium.value)
    assert content.sender == "ana@example.org"
    assert "fields.message" in content.unreadable
    assert ("did not come home" in content.text) == ("words" in said)


async def test_an_id_that_is_none_loses_nothing():
    """A pointer to the form's own id, the same each time: other words are another message, the same a repetition."""
    async with hook(fields={"message": "/text", "id": "/form"}) as (post, intake):
        for text in ("One", "Two", "One"):
            assert (await post(BEARER, data=json.dumps({"form": "f1", "text": text}).encode()))[0] == 200
    assert [inbound.source_key[:3] for inbound in intake.taken.values()] == ["f1#", "f1#"]


async def test_a_very_long_id_is_no_reason_to_refuse(store, log):
    """The store's key has 255 characters; an id of any length is taken, and recognised."""
    intake = Intake(store, mail_id=mail_id, wake=lambda: None, max_message_bytes=1_000_000, metrics=Metrics(), log=log)
    made = incoming(authentication="bearer", fields={"message": "/text", "id": "/id"})
    async with mounted(made, intake.accept, "/webhooks/hook") as (http, url):
        for length in (199, 200, 201, 256, 300, 301):
            for _ in range(2):
                async with http.post(url, json={"text": "Hi", "id": "i" * length}, headers=BEARER) as answer:
                    assert answer.status == 200
    assert await store.read(lambda c: c.execute(select(func.count()).select_from(messages)).scalar()) == 6


async def test_hostile_values_are_kept_harmless():
    """Lone surrogates, NUL, line ends, deep lists, an address that is none: taken in, and no header made of them."""
    said = {"text": "Hi\ud800\0 there", "email": "x\r\nBcc: y@example.org", "id": "i\r\n" + "d" * 400,
            "subject": ["a", {"b": [["c", [["too deep", [[["x"]]]]]]]}], "phone": True}  # fmt: skip
    fields = {name if name != "text" else "message": f"/{name}" for name in said}
    async with hook(fields=fields) as (post, intake):
        assert (await post(BEARER, data=json.dumps(said).encode()))[0] == 200
    [inbound] = intake.taken.values()
    assert_well_formed(inbound, "hook")
    content = understand(inbound.original, inbound.facts, inbound.medium.value)
    assert content.text.strip() == "Hi\ufffd there"
    assert (content.sender, content.reply_to) == ("", "")
    assert b"\nBcc:" not in inbound.original
    assert inbound.source_key.startswith("sha256:")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"fields": {"message": "text"}, "authentication": "bearer"}, "JSON pointer"),
        ({"fields": {"message": "/a~2"}, "authentication": "bearer"}, "JSON pointer"),
        ({"fields": {"message": "/text"}}, "could write to the district"),
        ({"fields": {"message": "/text"}, "authentication": "bearer", "secret_env": ""}, "secret_env"),
        ({"fields": {"message": "/text"}, "authentication": "basic"}, "username"),
        ({"fields": {"message": "/text"}, "authentication": "hmac"}, "how the provider signs"),
        ({"fields": {"message": "/text"}, "authentication": "bearer", "hmac": {"header": "X"}}, "goes together"),
        ({"authentication": "bearer"}, "fields is missing"),
        ({"fields": {"message": "/t"}, "authentication": "hmac",
          "hmac": {"header": "X", "signed": "{timestamp}"}}, "body"),
        ({"fields": {"message": "/t"}, "authentication": "hmac",
          "hmac": {"header": "X", "signed": "{timestamp}.{body}"}}, "timestamp_header"),
    ],
)  # fmt: skip
def test_typical_mistakes_in_the_settings(settings, why):
    """Each is told by a sentence before anything runs."""
    with pytest.raises(ValueError, match=why):
        WebhookSettings.model_validate({"secret_env": "HOOK_SECRET"} | settings)
