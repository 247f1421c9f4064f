"""What `signpost check --connect` does with Twilio: look at the account and the number, and sign a sample request."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from channels import _failures_mending as mending
from channels._check_http import Answer, ask
from channels._check_line import clocks, looked_at
from channels._twilio_news import AGAIN
from channels._twilio_request import SignatureCheck
from router.findings import Checking, Finding, failed, fine, remark
from router.secrets import SecretMissing
from router.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from channels.twilio_sms import TwilioSettings
    from router.interfaces import CheckContext

_VERSION = "2010-04-01"
_CODE = re.compile(r"[0-9]{3,6}")
_ALGORITHMS = {"sha1": "HMAC_SHA1", "sha256": "HMAC_SHA256"}
_SAMPLE = {"MessageSid": "SM" + 32 * "0", "From": "+15555550111", "Body": "A sample, ñ", "FromCity": ""}


class _Twilio:
    """The REST API of one account, asked by GET only."""

    def __init__(self, settings: TwilioSettings, token: str, limit_s: float) -> None:
        self._base = settings.api_base
        self._sid = settings.account_sid
        self._limit_s = limit_s
        credentials = base64.b64encode(f"{settings.account_sid}:{token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}"}

    async def account(self, path: str = "", **query: str) -> Answer | Finding:
        """Ask for the account, or for what lies below it."""
        asked = f"?{urlencode(query)}" if query else ""
        return await self._get(f"{self._base}/{_VERSION}/Accounts/{quote(self._sid, safe='')}{path}.json{asked}")

    async def service(self, sid: str) -> Answer | Finding:
        """Ask for a Messaging Service, which is on a host of its own."""
        return await self._get(f"{self._base.replace('//api.', '//messaging.')}/v1/Services/{sid}")

    async def _get(self, url: str) -> Answer | Finding:
        return await ask("GET", url, limit_s=self._limit_s, headers=self._headers)


async def check_twilio(settings: TwilioSettings, context: CheckContext) -> Checking:
    """Yield what is fine and what isn't; no text is sent and nothing at Twilio changes."""
    try:
        keys = [await asyncio.to_thread(secret.read) for secret in settings.signing_keys()]
        token = await asyncio.to_thread(secret.read) if (secret := settings.secret("auth_token")) else ""
    except SecretMissing as error:
        yield failed(f"A secret is missing: {error}.", "put it where the settings say")
        return
    twilio = _Twilio(settings, token, min(settings.connect_timeout.total_seconds() * 2, context.within_s * 0.6))
    yield f"asking Twilio for the account at {settings.api_base}"
    answer = await twilio.account()
    if isinstance(answer, Finding):
        yield answer
        return
    for found in clocks(answer.at, context.clock.now(), "Twilio"):
        yield found
    account = _json(answer)
    if answer.status != 200:
        yield looked_at(
            mending.twilio_account(answer.status, _code(account.get("code"))), settings.secret("auth_token")
        )
        return
    yield _account(account)
    yield f"looking for {settings.from_number} and its webhook"
    for found in await _sender(settings.from_number, twilio, _webhook(context)):
        yield found
    for found in _address(context):
        yield found
    yield await _signatures(settings, context, keys)


def _webhook(context: CheckContext) -> str:
    return f"{context.public_url}/webhooks/{context.name}"


def _account(account: Mapping[str, Any]) -> Finding:
    if account.get("status") != "active":
        return failed(
            f"Twilio has the account as {account.get('status')}: no text goes in or out.",
            "settle it in Twilio's console",
        )
    if account.get("type") == "Trial":
        return remark(
            "Twilio takes the account SID and the token; it is a trial account, which sends to verified numbers only.",
            "upgrade the account before families write to it",
        )
    return fine("Twilio takes the account SID and the token.")


# --- the number, and where Twilio sends what comes to it --------------------------------------------------------------


async def _sender(sender: str, twilio: _Twilio, webhook: str) -> list[Finding]:
    if sender.startswith("whatsapp:"):
        what = f"Twilio doesn't show where messages to {sender} are sent."
        return [remark(what, f"see in Twilio's console, under WhatsApp senders, that it is {webhook}")]
    if sender.startswith("MG"):
        return _service(sender, await twilio.service(sender), webhook)
    if sender.startswith("+"):
        answer = await twilio.account("/IncomingPhoneNumbers", PhoneNumber=sender)
        return _number(sender, answer, "incoming_phone_numbers", webhook)
    return _number(sender, await twilio.account("/SMS/ShortCodes", ShortCode=sender), "short_codes", webhook)


def _number(sender: str, answer: Answer | Finding, key: str, webhook: str) -> list[Finding]:
    if isinstance(answer, Finding):
        return [answer]
    if answer.status != 200:
        return [mending.twilio_account(answer.status, _code(_json(answer).get("code")))]
    found = _json(answer).get(key)
    number = next((each for each in found if isinstance(each, dict)), None) if isinstance(found, list) else None
    if number is None:
        mend = "set from_number to a number of this account, with + and country code, or account_sid to its account"
        return [failed(f"{sender} doesn't belong to this account.", mend)]
    capabilities = number.get("capabilities")
    if isinstance(capabilities, dict) and not capabilities.get("sms", capabilities.get("SMS", True)):
        return [failed(f"{sender} can't do text messages.", "buy a number with SMS, and set from_number to it")]
    if number.get("sms_application_sid"):
        what = f"{sender} belongs to the account; a TwiML app of Twilio's decides where its texts are sent."
        return [remark(what, f"see in that app that messages go to {webhook} by POST")]
    return list(_wired(sender, str(number.get("sms_url") or ""), str(number.get("sms_method") or "POST"), webhook))


def _service(sid: str, answer: Answer | Finding, webhook: str) -> list[Finding]:
    if isinstance(answer, Finding):
        return [answer]
    service = _json(answer)
    if answer.status == 404:
        return [failed(f"The account has no Messaging Service {sid}.", "correct from_number")]
    if answer.status != 200:
        return [mending.twilio_account(answer.status, _code(service.get("code")))]
    if service.get("use_inbound_webhook_on_number"):
        what = "The Messaging Service is there; each of its numbers says itself where its texts are sent."
        return [remark(what, f"see at every number that it is {webhook} by POST")]
    url, method = str(service.get("inbound_request_url") or ""), str(service.get("inbound_method") or "POST")
    return list(_wired("The Messaging Service", url, method, webhook))


def _wired(sender: str, url: str, method: str, webhook: str) -> Iterator[Finding]:
    mend = f'set "A message comes in" in Twilio\'s console to Webhook, {webhook}{AGAIN}, HTTP POST'
    address, _, again = url.partition("#")
    if address.partition("?")[0] != webhook:
        where = f"to {url}" if url else "nowhere"
        if address.startswith("http"):
            mend += "; or, if Twilio has the right address, correct organization.public_url"
        yield failed(f"{sender} belongs to the account, but Twilio sends its texts {where}.", mend)
    elif method != "POST":
        yield failed(f"Twilio sends the texts of {sender} to us by {method}.", mend)
    elif "rp=" not in again:
        what = f"{sender} belongs to the account, and Twilio sends its texts to {address}, but tries only once."
        yield remark(what, f"{mend}: then a short outage loses no text")
    else:
        yield fine(f"{sender} belongs to the account, and Twilio sends its texts to {address}.")


def _address(context: CheckContext) -> Iterator[Finding]:
    host = urlsplit(context.public_url).hostname or ""
    if is_loopback(host):
        yield failed(
            f"Twilio can't reach {_webhook(context)}: {host} is this machine's own name for itself.",
            "set organization.public_url to the address by which the Internet reaches this machine",
        )


# --- signatures -------------------------------------------------------------------------------------------------------


async def _signatures(settings: TwilioSettings, context: CheckContext, keys: list[str]) -> Finding:
    """Sign a sample as Twilio's own library does, and let our own check look at it."""
    from twilio.request_validator import (  # type: ignore[import-untyped]  # noqa: PLC0415 -- no types; not cheap
        RequestValidator,
    )

    url, check = _webhook(context), SignatureCheck(_webhook(context), settings.signature, settings.signing_keys())
    for key in keys:
        signature = RequestValidator(key).compute_signature(url, _SAMPLE, _ALGORITHMS[settings.signature])
        altered = {**_SAMPLE, "Body": "altered"}
        if not await check.accepts(url, _SAMPLE, signature) or await check.accepts(url, altered, signature):
            return failed("A sample request with a good signature isn't taken.", "tell the authors of Signpost")
    return fine(f"Requests that are signed ({settings.signature}) for {url} are taken, and altered ones aren't.")


def _json(answer: Answer) -> Mapping[str, Any]:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _code(value: object) -> int | None:
    return int(value) if isinstance(value, int | str) and _CODE.fullmatch(str(value)) else None
