"""Text messages (and WhatsApp) through Twilio: taken in by its webhook, sent out through its REST API."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import AfterValidator, Field

from channels import _twilio_news as news
from channels._check_twilio import check_twilio
from channels._twilio_request import SignatureCheck, inbound_of, is_a_text
from channels._twilio_rest import Rest
from channels._twilio_source import TwilioSource
from channels._twilio_text import text_of
from channels._webhook_auth import proved, refusal
from router.acknowledging import Acknowledging
from router.again import without_remark
from router.errors import Permanent, Refused
from router.failpoints import reach
from router.interfaces import Accept, Channel, Context, mail_domain
from router.secrets import EnvName, Secret, SecretFile, WithSecrets
from router.settings import PositiveDuration, is_loopback, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multidict import MultiDict

    from router.records import Forward, Inbound

_TO = re.compile(r"(?:whatsapp:)?\+[1-9][0-9]{6,14}")
_FROM = re.compile(r"(?:whatsapp:)?\+[1-9][0-9]{6,14}|[0-9]{3,8}|MG[0-9a-fA-F]{32}")
_ACCOUNT = re.compile(r"AC[0-9A-Za-z]+")
_WHATSAPP = "whatsapp:"
_EMPTY_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
_FILE = "File that holds it; a newline at its end is left out. Instead of `{}_env`."


def check_address(to: str) -> str:
    """Return a sentence if no text can be sent to `to`, else ""."""
    return "" if _TO.fullmatch(to) else "must be a telephone number with + and country code, such as +15555550123"


def _check_account(value: str) -> str:
    if not _ACCOUNT.fullmatch(value):
        raise ValueError("must be the account's SID, which begins with AC (SK… is an API key, MG… a Messaging Service)")
    return value


def _check_from(value: str) -> str:
    if not _FROM.fullmatch(value):
        raise ValueError(
            "must be a telephone number such as +15555550100, a short code, or a Messaging Service (MG…); in quotes"
        )
    return value


def _check_base(url: str) -> str:
    parts = urlsplit(url.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username is not None:
        raise ValueError("must be an address such as https://api.twilio.com")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must begin with https:// (http:// is for a server on this machine only)")
    return url.rstrip("/")


class TwilioSettings(Acknowledging, WithSecrets):
    """A number, or a Messaging Service, at Twilio."""

    account_sid: Annotated[str, AfterValidator(_check_account)] = Field(
        description="The account's SID: it begins with AC and stands on Twilio's first page.",
    )
    auth_token_env: EnvName = Field("", description="Environment variable that holds the account's auth token.")
    auth_token_file: SecretFile = Field("", description=_FILE.format("auth_token"))
    second_auth_token_env: EnvName = Field(
        "", description="Environment variable of another token that signatures may be made with, while it is changed."
    )
    second_auth_token_file: SecretFile = Field("", description=_FILE.format("second_auth_token"))
    signature: Literal["sha1", "sha256"] = Field(
        "sha1",
        description="How Twilio signs its requests: sha1 with the auth token (as it does unless told otherwise), or "
        "sha256 with a shared key. The other one is refused.",
    )
    shared_key_env: EnvName = Field("", description="Environment variable of the shared key, for `signature: sha256`.")
    shared_key_file: SecretFile = Field("", description=_FILE.format("shared_key"))
    second_shared_key_env: EnvName = Field("", description="The same of another shared key, while it is changed.")
    second_shared_key_file: SecretFile = Field("", description=_FILE.format("second_shared_key"))
    from_number: Annotated[str, AfterValidator(_check_from)] = Field(
        description="The number texts are sent from, a short code, or a Messaging Service's SID (MG…)."
    )
    api_base: Annotated[str, AfterValidator(_check_base)] = Field(
        "https://api.twilio.com", description="Where Twilio's REST API is; another one for a region of Twilio's."
    )
    concurrency: int = Field(2, ge=1, le=20, description="How many texts may be on their way to Twilio at once.")
    connect_timeout: PositiveDuration = Field(
        parse_duration("10s"), description="How long connecting to Twilio may take."
    )
    timeout: PositiveDuration = Field(
        parse_duration("30s"), description="How long Twilio's answer may take. Sooner makes copies."
    )
    reconcile: PositiveDuration = Field(
        parse_duration("2m"),
        description="How often to look through Twilio's list of texts for those that the webhook missed, such as while "
        "this machine was down.",
    )
    media: bool = Field(
        True,
        description="Fetch the pictures and other files of texts: they follow the text as a message of their own.",
    )
    status_callbacks: bool = Field(
        True,
        description="Let Twilio say (at /webhooks/NAME/status) what became of texts that went out: one that wasn't "
        "delivered after all is sent again or becomes a dead letter.",
    )

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Without a key nobody could be believed, and with the wrong kind of key nobody would be."""
        shared = [key for key in given if key.removeprefix("second_") in ("shared_key_env", "shared_key_file")]
        if not (given["auth_token_env"] or given["auth_token_file"]):
            yield "auth_token_env", "is missing: name the environment variable (or auth_token_file) with the auth token"
        if given["signature"] == "sha256" and not (given["shared_key_env"] or given["shared_key_file"]):
            yield "signature", "sha256 needs shared_key_env (or shared_key_file)"
        if given["signature"] == "sha1":
            yield from ((key, "is for signature: sha256") for key in shared if given[key])

    @property
    def brings_texts(self) -> bool:
        """Whether people write by telephone here: always."""
        return True

    def signing_keys(self) -> list[Secret]:
        """Return where the keys are kept that a request may be signed with."""
        name = "auth_token" if self.signature == "sha1" else "shared_key"
        return [secret for secret in (self.secret(name), self.secret(f"second_{name}")) if secret is not None]


class TwilioWebhook:
    """POST /webhooks/NAME takes a text in; the answer is empty TwiML, so that Twilio sends nothing back by itself."""

    def __init__(self, settings: TwilioSettings, context: Context) -> None:
        self._context = context
        self._host = mail_domain(context.public_url)
        url = f"{context.public_url}/webhooks/{context.name}"
        self._signature = SignatureCheck(url, settings.signature, settings.signing_keys())
        self._signature_of_news = SignatureCheck(news.address(context), settings.signature, settings.signing_keys())

    async def handle(self, request: web.Request, accept: Accept) -> web.StreamResponse:
        """Answer one request; the text is on disk before the 200."""
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["POST"], text="Twilio is to use POST for this address.")
        if request.match_info.get("tail") == news.PLACE:
            return await self._hear(request)
        parameters = await proved(self._signature.parameters(request), self._context)
        if isinstance(parameters, web.Response):
            return parameters
        if is_a_text(parameters):
            try:
                inbound = self._inbound(parameters)
            except Refused as error:
                self._context.on_trouble(f"a text that Twilio signed was refused: {error}")
                return refusal(error)
            await accept(inbound)
        self._context.on_proof()
        return web.Response(text=_EMPTY_TWIML, content_type="text/xml")

    async def _hear(self, request: web.Request) -> web.Response:
        """Take note of what became of a text that went out; what is unknown or known already changes nothing."""
        parameters = await proved(self._signature_of_news.parameters(request), self._context)
        if isinstance(parameters, web.Response):
            return parameters
        said = news.news_of(request.query, parameters)
        if said is not None:
            await self._context.hear(said)
            reach("callback_stored")
        return web.Response(status=204)

    def _inbound(self, parameters: MultiDict[str]) -> Inbound:
        return inbound_of(parameters, channel=self._context.name, host=self._host, now=self._context.clock.now())


class TwilioSink:
    """Sends texts. A text whose answer was lost is looked for at Twilio before it is sent again."""

    def __init__(self, settings: TwilioSettings, context: Context) -> None:
        self.concurrency = settings.concurrency
        self._settings = settings
        self._context = context
        self._rest = Rest.of(settings, context.clock)

    async def send(self, forward: Forward) -> str:
        """Send one text and return its sid; raise a `DeliveryError`."""
        delivery = forward.delivery
        if check_address(delivery.to):
            raise Permanent("the destination is no telephone number")
        if forward.opted_out:
            raise Permanent("the owner of this number wants no more texts (STOP)")
        text = text_of(forward)
        before = _as_before(forward)
        if delivery.unclear or delivery.lost_leases or before != forward:  # the answer was lost, or who awaited it
            sid = await self._rest.find(delivery.to, {text, text_of(before)}, delivery.created_at)
            if sid:
                return sid
        news_to = news.address_for(delivery, self._context) if self._settings.status_callbacks else ""
        sid = await self._rest.create(delivery.to, self._sender(delivery.to), text, news_to)
        self._context.on_proof()
        return sid

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._rest.aclose()

    def _sender(self, to: str) -> str:
        sender = self._settings.from_number
        return f"{_WHATSAPP}{sender}" if to.startswith(_WHATSAPP) and sender.startswith("+") else sender


def _as_before(forward: Forward) -> Forward:
    """Return an alert as it may have been sent before the store was restored from a backup."""
    return forward if forward.notice is None else replace(forward, notice=without_remark(forward.notice))


CHANNEL = Channel(
    summary="Text messages and WhatsApp through Twilio, in and out.",
    settings=TwilioSettings,
    source=TwilioSource,
    webhook=TwilioWebhook,
    sink=TwilioSink,
    check_address=check_address,
    reads=lambda _settings, _address: False,  # texts, no mail
    polls=lambda settings: settings.reconcile + settings.timeout,
    check=check_twilio,
)
