"""Only what Twilio signed for the configured address gets in (the matrix T01), and each text once (T02)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256

import pytest
from sqlalchemy import func, select, update

from channels import twilio_sms
from channels._mime import mail_id
from router.intake import Intake
from router.metrics import Metrics
from router.store.tables import messages
from router.testing import FakeClock, RecordingIntake
from router.testing_sinks import sample_context
from tests.integration.fake_twilio import ACCOUNT, TOKEN, form_body, mounted, sign, text_parameters

PUBLIC = "https://contact.maplevalley.example"
PATH = "/webhooks/text-line"
KNOWN = PUBLIC + PATH
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
BODY = '{"MessageSid": "SM1", "From": "+15555550111", "Body": "¿Hola?"}'
SIGNED = f"?bodySHA256={sha256(BODY.encode()).hexdigest()}"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    for name, value in (("TOKEN", TOKEN), ("TOKEN_2", "second-token"), ("KEY", "shared-key"), ("KEY_2", "next-key")):
        monkeypatch.setenv(name, value)


def webhook(**changes):
    values = {"account_sid": ACCOUNT, "auth_token_env": "TOKEN", "from_number": "+15555550100"} | changes
    context = sample_context(name="text-line", clock=FakeClock(), public_url=PUBLIC)
    return twilio_sms.TwilioWebhook(twilio_sms.TwilioSettings.model_validate(values), context)


SHARED = {"signature": "sha256", "shared_key_env": "KEY", "second_shared_key_env": "KEY_2"}
TWO = {"second_auth_token_env": "TOKEN_2"}
USUAL = list(text_parameters().items())
SCRIPTS = [*USUAL, ("ProfileName", "Ñandú 学校 🚌")]
BLANKS = [*USUAL, ("X", "  a b\n"), ("Y", "")]
REPEATED = [*USUAL, ("R", "2"), ("R", "1"), ("R", "1")]


@asynccontextmanager
async def line(**changes):
    """A text line with these settings, and what it has taken in."""
    intake = RecordingIntake()
    async with mounted(webhook(**changes), intake.accept, PATH) as (http, url):
        yield http, url, intake


async def ask(http, url, body, signature, *, kind=FORM, query="", **headers):
    """Post with a signature (None: without) and return the status."""
    said = {"Content-Type": kind, **({} if signature is None else {"X-Twilio-Signature": signature})} | headers
    async with http.post(url + query, data=body, headers=said) as answer:
        return answer.status


GOOD = {
    "as it usually is": ({}, USUAL, "", sign(KNOWN, USUAL)),
    "with the port in the address": ({}, USUAL, "", sign(f"{PUBLIC}:443{PATH}", USUAL)),
    "a query, in any order": ({}, USUAL, "?b=2&a=1%20x", sign(f"{KNOWN}?b=2&a=1%20x", USUAL)),
    "any script": ({}, SCRIPTS, "", sign(KNOWN, SCRIPTS)),
    "blanks kept and untrimmed": ({}, BLANKS, "", sign(KNOWN, BLANKS)),
    "repeated parameters": ({}, REPEATED, "", sign(KNOWN, REPEATED)),
    "the second token": (TWO, USUAL, "", sign(KNOWN, USUAL, "second-token")),
    "the first token beside a second": (TWO, USUAL, "", sign(KNOWN, USUAL)),
    "a shared key": (SHARED, USUAL, "", sign(KNOWN, USUAL, "shared-key", "HMAC_SHA256")),
    "the next shared key": (SHARED, USUAL, "", sign(KNOWN, USUAL, "next-key", "HMAC_SHA256")),
}  # fmt: skip


@pytest.mark.case("T01")
@pytest.mark.parametrize("name", GOOD)
async def test_what_twilio_signed_gets_in(name):
    """Signatures of Twilio's own code for the configured address are taken for what they are."""
    changes, parameters, query, signature = GOOD[name]
    async with line(**changes) as (http, url, intake):
        assert await ask(http, url, form_body(parameters), signature, query=query) == 200
    assert len(intake.taken) == 1


async def test_a_json_body_is_covered_by_its_hash():
    """With JSON the address carries the body's hash, and the signature covers the address; both have to fit."""
    signature = sign(KNOWN + SIGNED, [])
    async with line() as (http, url, intake):
        assert await ask(http, url, BODY.encode(), signature, kind=JSON, query=SIGNED) == 200
        assert await ask(http, url, BODY.replace("Hola", "Adios").encode(), signature, kind=JSON, query=SIGNED) == 403
        assert await ask(http, url, BODY.encode(), sign(KNOWN, []), kind=JSON) == 415
    assert [inbound.source_key for inbound in intake.taken.values()] == ["SM1"]


ALTERED = [(name, "x" if name == "Body" else value) for name, value in USUAL]
BAD = {
    "no signature": ({}, USUAL, None, {}),
    "an empty signature": ({}, USUAL, "", {}),
    "another token": ({}, USUAL, sign(KNOWN, USUAL, "stolen"), {}),
    "the second token where there is none": ({}, USUAL, sign(KNOWN, USUAL, "second-token"), {}),
    "signed for http": ({}, USUAL, sign(KNOWN.replace("https", "http"), USUAL), {}),
    "signed for another host": ({}, USUAL, sign(f"https://evil.example{PATH}", USUAL), {}),
    "Host says otherwise": ({}, USUAL, sign(f"https://evil.example{PATH}", USUAL), {"Host": "evil.example"}),
    "X-Forwarded-Host says otherwise": (
        {}, USUAL, sign(f"https://evil.example{PATH}", USUAL), {"X-Forwarded-Host": "evil.example"}
    ),
    "X-Forwarded-Proto says otherwise": (
        {}, USUAL, sign(KNOWN.replace("https", "http"), USUAL), {"X-Forwarded-Proto": "http"}
    ),
    "an altered parameter": ({}, ALTERED, sign(KNOWN, USUAL), {}),
    "an added parameter": ({}, [*USUAL, ("Extra", "1")], sign(KNOWN, USUAL), {}),
    "a dropped parameter": ({}, USUAL[:-1], sign(KNOWN, USUAL), {}),
    "the other algorithm": ({}, USUAL, sign(KNOWN, USUAL, TOKEN, "HMAC_SHA256"), {}),
    "the weaker algorithm asked for": (
        SHARED, USUAL, sign(KNOWN, USUAL, "shared-key"),
        {"X-Twilio-Webhooks-Signature-Settings": "key=k,algorithm=HMAC_SHA1"},
    ),
    "the token where a shared key is due": (SHARED, USUAL, sign(KNOWN, USUAL, TOKEN, "HMAC_SHA256"), {}),
}  # fmt: skip


@pytest.mark.case("T01")
@pytest.mark.parametrize("name", BAD)
async def test_everything_else_is_refused(name):
    """403, and nobody is handed anything."""
    changes, parameters, signature, headers = BAD[name]
    async with line(**changes) as (http, url, intake):
        assert await ask(http, url, form_body(parameters), signature, **headers) == 403
    assert not intake.offered


async def test_an_address_below_and_a_query_are_signed_too():
    """A path or query that Twilio didn't sign is refused."""
    async with line() as (http, url, intake):
        assert await ask(http, f"{url}/elsewhere", form_body(USUAL), sign(f"{KNOWN}/elsewhere", USUAL)) == 403
        assert await ask(http, url, form_body(USUAL), sign(KNOWN, USUAL), query="?a=1") == 403
    assert not intake.offered


@pytest.mark.parametrize(
    ("kind", "body", "query", "status"),
    [
        ("text/plain", b"Body=x", "", 415),
        (FORM, b"Body=%ff", "", 400),
        (FORM, b"Body=\xff", "", 400),
        (FORM, b"Body=" + b"x" * 200_001, "", 413),
        (JSON, b"[1]", SIGNED, 400),
        (JSON, b"{", SIGNED, 400),
        (JSON, b"{}", "?xbodySHA256=1", 415),
        (JSON, b"{}", "?bodySHA256=", 415),
        (JSON, b"{}", "?a=1%23bodySHA256=1", 415),
    ],
)
async def test_what_twilio_never_sends_is_refused(kind, body, query, status):
    """Each with its own status, whatever the signature."""
    async with line() as (http, url, intake):
        assert await ask(http, url, body, "signature", kind=kind, query=query) == status
    assert not intake.offered


@pytest.mark.parametrize("missing", ["MessageSid", "From"])
async def test_a_text_needs_an_id_and_a_sender(missing):
    """Without them it is refused, though it is signed."""
    names = ("MessageSid", "SmsSid", "SmsMessageSid") if missing == "MessageSid" else (missing,)
    parameters = [(name, value) for name, value in USUAL if name not in names]
    async with line() as (http, url, intake):
        assert await ask(http, url, form_body(parameters), sign(KNOWN, parameters)) == 400
    assert not intake.offered


@pytest.mark.parametrize("changes", [{"MessageStatus": "delivered"}, {"SmsStatus": "sent"}])
async def test_news_about_a_text_we_sent_is_only_acknowledged(changes):
    """A status callback that is pointed at the same address is no message."""
    parameters = list(text_parameters(**changes).items())
    async with line() as (http, url, intake):
        assert await ask(http, url, form_body(parameters), sign(KNOWN, parameters)) == 200
    assert not intake.offered


@pytest.mark.case("T02")
async def test_a_text_that_comes_five_times_at_once_is_one_message(store, log):
    """Two daemons on one store, signed with either token: one row per MessageSid, and so again after 30 days."""
    intakes = [
        Intake(store, mail_id=mail_id, wake=lambda: None, max_message_bytes=1_000_000, metrics=Metrics(), log=log)
        for _ in range(2)
    ]
    tokens = [TOKEN, "second-token", TOKEN, "second-token", TOKEN]
    async with (
        mounted(webhook(**TWO), intakes[0].accept, PATH) as (http, first),
        mounted(webhook(**TWO), intakes[1].accept, PATH) as (_, second),
    ):
        urls = [first, second, first, second, first]
        posts = [ask(http, u, form_body(USUAL), sign(KNOWN, USUAL, t)) for u, t in zip(urls, tokens, strict=True)]
        assert await asyncio.gather(*posts) == [200] * 5
        month = store.clock.now() - timedelta(days=30)
        await store.write(lambda c: c.execute(update(messages).values(received_at=month)))
        assert await ask(http, second, form_body(USUAL), sign(KNOWN, USUAL)) == 200
    assert await store.read(lambda c: c.execute(select(func.count()).select_from(messages)).scalar()) == 1


def test_a_missing_token_is_a_problem_of_the_settings():
    """Without a key nothing could be checked, so such settings aren't loaded at all."""
    with pytest.raises(ValueError, match="auth_token_env"):
        webhook(auth_token_env="")
    with pytest.raises(ValueError, match="needs shared_key_env"):
        webhook(signature="sha256")
    with pytest.raises(ValueError, match="is for signature: sha256"):
        webhook(shared_key_env="KEY")


async def test_a_token_that_is_not_there_lets_nobody_in(monkeypatch):
    """The check fails closed."""
    async with line() as (http, url, intake):
        monkeypatch.delenv("TOKEN")
        assert await ask(http, url, form_body(USUAL), sign(KNOWN, USUAL)) >= 500
    assert not intake.offered
