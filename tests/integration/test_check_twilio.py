"""`check --connect` with Twilio: the account, the number and where Twilio sends its texts, against a double."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

import pytest

from channels.twilio_sms import CHANNEL
from router.findings import Level
from router.testing import FakeClock
from router.testing_checks import CheckContract, failures, findings
from tests.integration.fake_twilio import ACCOUNT, NUMBER, TOKEN, fake_twilio

WEBHOOK = "https://contact.maplevalley.example/webhooks/text-line"
AGAIN = "#rc=5&rp=all&ct=2000&rt=4000"  # as docs/howto/twilio-sms.md has it


@pytest.fixture
async def twilio(monkeypatch):
    """A double with one number that is set up well."""
    monkeypatch.setenv("TWILIO_TOKEN", TOKEN)
    async with fake_twilio() as fake:
        fake.numbers = [
            {"phone_number": NUMBER, "sms_url": WEBHOOK + AGAIN, "sms_method": "POST", "capabilities": {"sms": True}}
        ]
        yield fake


def settings(twilio, **changes):
    """Return settings that suit the double."""
    values = {"account_sid": ACCOUNT, "auth_token_env": "TWILIO_TOKEN", "from_number": NUMBER}
    return values | {"api_base": twilio.base} | changes


async def check(twilio, public_url="https://contact.maplevalley.example", clock=None, **changes):
    """Run the check."""
    context = {"name": "text-line", "public_url": public_url} | ({"clock": clock} if clock else {})
    return await findings(CHANNEL, settings(twilio, **changes), **context)


class TestTwilioCheck(CheckContract):
    """The suite."""

    channel = CHANNEL
    secret = TOKEN
    context: ClassVar = {"name": "text-line"}

    @pytest.fixture(autouse=True)
    def _serve(self, twilio):
        self.twilio = twilio

    def good(self, folder):
        return settings(self.twilio)

    def bad(self, folder):
        return settings(self.twilio, account_sid="AC" + "f" * 32)


async def test_all_is_well(twilio):
    """The account answers, the number is its own and leads here, and a signed sample is taken; no text is sent."""
    found = await check(twilio)
    assert [finding.level for finding in found] == [Level.FINE] * 3
    assert WEBHOOK in found[1].what
    assert "signed (sha1)" in found[2].what
    assert set(twilio.requests) == {"GET"}
    assert twilio.messages == []


async def test_a_wrong_token(twilio, monkeypatch):
    """401 leads to the token, and the token isn't shown."""
    monkeypatch.setenv("TWILIO_TOKEN", "not-the-token")
    (found,) = await check(twilio)
    assert found.what == "Twilio refuses the account SID with this auth token (401, code 20003)."
    assert "auth_token_env" in found.mend


async def test_an_unknown_account(twilio):
    """A SID with a typing error is told as such."""
    (found,) = await check(twilio, account_sid="AC" + "e" * 32)
    assert found.what.startswith("Twilio knows no such account")
    assert "account_sid" in found.mend


async def test_a_number_of_somebody_else(twilio):
    """A number that isn't among the account's own."""
    (found,) = failures(await check(twilio, from_number="+15555550199"))
    assert found.what == "+15555550199 doesn't belong to this account."


@pytest.mark.parametrize("url", ["", "https://demo.twilio.com/welcome/sms/reply"])
async def test_a_number_that_leads_elsewhere(twilio, url):
    """Texts that Twilio sends nowhere, or to its own sample: the address to set is named."""
    twilio.numbers[0]["sms_url"] = url
    (found,) = failures(await check(twilio))
    assert (
        found.what
        == f"{NUMBER} belongs to the account, but Twilio sends its texts {f'to {url}' if url else 'nowhere'}."
    )
    assert WEBHOOK in found.mend


async def test_a_number_that_is_tried_once(twilio):
    """Twilio tries once unless the address says otherwise: a remark says how to have it try again."""
    twilio.numbers[0]["sms_url"] = WEBHOOK
    found = await check(twilio)
    assert not failures(found)
    (remark,) = [finding for finding in found if finding.level is Level.REMARK]
    assert "tries only once" in remark.what
    assert WEBHOOK + AGAIN in remark.mend


async def test_http_for_https(twilio):
    """Which of the two addresses is wrong only a person knows: both are named, and where each is set."""
    twilio.numbers[0]["sms_url"] = WEBHOOK + AGAIN
    (found,) = failures(await check(twilio, public_url="http://contact.maplevalley.example"))
    assert f"sends its texts to {WEBHOOK}" in found.what
    assert "Webhook, http://contact.maplevalley.example/webhooks/text-line#" in found.mend
    assert "organization.public_url" in found.mend


async def test_a_number_that_uses_get(twilio):
    """Twilio is to post."""
    twilio.numbers[0]["sms_method"] = "GET"
    (found,) = failures(await check(twilio))
    assert found.what == f"Twilio sends the texts of {NUMBER} to us by GET."


async def test_a_number_without_texts(twilio):
    """A number that can only be called."""
    twilio.numbers[0]["capabilities"] = {"sms": False}
    (found,) = failures(await check(twilio))
    assert found.what == f"{NUMBER} can't do text messages."


async def test_a_messaging_service(twilio):
    """A service's own webhook is looked at; one that isn't there is told."""
    sid = "MG" + "a" * 32
    twilio.services[sid] = {"inbound_request_url": WEBHOOK + AGAIN, "inbound_method": "POST"}
    assert not failures(await check(twilio, from_number=sid))
    twilio.services[sid]["inbound_request_url"] = "https://old.example/sms"
    (found,) = failures(await check(twilio, from_number=sid))
    assert "sends its texts to https://old.example/sms" in found.what
    (found,) = failures(await check(twilio, from_number="MG" + "b" * 32))
    assert found.what.startswith("The account has no Messaging Service")


async def test_a_short_code(twilio):
    """Short codes are looked up where Twilio keeps them."""
    twilio.numbers = [{"short_code": "55501", "sms_url": WEBHOOK + AGAIN, "sms_method": "POST"}]
    assert not failures(await check(twilio, from_number="55501"))


async def test_an_account_that_is_suspended_or_on_trial(twilio):
    """Suspended is a failure, a trial account a remark."""
    twilio.account = {"status": "active", "type": "Trial"}
    assert (await check(twilio))[0].level is Level.REMARK
    twilio.account = {"status": "suspended", "type": "Full"}
    assert failures(await check(twilio))[0].what == "Twilio has the account as suspended: no text goes in or out."


async def test_an_address_that_twilio_cannot_reach(twilio):
    """A loopback public_url is of no use to Twilio."""
    webhook = "http://127.0.0.1:8080/webhooks/text-line"
    twilio.numbers[0]["sms_url"] = webhook
    (found,) = failures(await check(twilio, public_url="http://127.0.0.1:8080"))
    assert found.what == f"Twilio can't reach {webhook}: 127.0.0.1 is this machine's own name for itself."


async def test_a_clock_that_is_wrong(twilio):
    """A machine whose clock is years off hears so from Twilio's Date header."""
    (found,) = failures(await check(twilio, clock=FakeClock(datetime(2020, 1, 1, tzinfo=UTC))))
    assert found.what.startswith("This machine's clock is ")
    assert found.what.endswith("behind that of Twilio.")


async def test_nobody_answers(free_port, twilio):
    """A port where nobody listens is told as such."""
    (found,) = await check(twilio, api_base=f"http://127.0.0.1:{free_port}")
    assert found.what == f"Nothing listens on 127.0.0.1, port {free_port}: the connection was refused."
