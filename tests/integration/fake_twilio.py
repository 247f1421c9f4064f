"""A double of Twilio: its Messages API on loopback, and requests signed by Twilio's own code."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from twilio.request_validator import RequestValidator

from router.errors import Refused, StoreBusy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from router.interfaces import Accept, Webhook

ACCOUNT = "AC" + "0" * 32
TOKEN = "primary-token"
NUMBER = "+15555550100"


def text_parameters(number: int = 1, body: str = "Hello", **changes: str) -> dict[str, str]:
    """Return what Twilio posts for a text, as twilio.com/docs/messaging/guides/webhook-request lists it."""
    sid = f"SM{number:032x}"
    return {
        "ToCountry": "US",
        "ToState": "",
        "SmsMessageSid": sid,
        "NumMedia": "0",
        "ToCity": "",
        "FromZip": "",
        "SmsSid": sid,
        "FromState": "IL",
        "SmsStatus": "received",
        "FromCity": "",
        "Body": body,
        "FromCountry": "US",
        "To": "+15555550100",
        "ToZip": "",
        "NumSegments": "1",
        "MessageSid": sid,
        "AccountSid": ACCOUNT,
        "From": "+15555550111",
        "ApiVersion": "2010-04-01",
    } | changes


def sign(url: str, parameters: Sequence[tuple[str, str]], token: str = TOKEN, algorithm: str = "HMAC_SHA1") -> str:
    """Return the signature Twilio's own code makes."""
    found: dict[str, list[str]] = {}
    for name, value in parameters:
        found.setdefault(name, []).append(value)
    return RequestValidator(token).compute_signature(url, _Fields(found), algorithm)


class _Fields(dict):
    """Parameters with repeated names, as the frameworks that Twilio's code knows have them."""

    def getlist(self, name: str) -> list[str]:
        """Return every value of a name."""
        return self[name]


@asynccontextmanager
async def mounted(webhook: Webhook, accept: Accept, path: str) -> AsyncIterator[tuple[ClientSession, str]]:
    """Mount a webhook as the web application does, whatever follows its path; yield a client and the address."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await webhook.handle(request, accept)
        except Refused as refused:
            return web.Response(status=refused.status, text=str(refused))
        except StoreBusy as busy:
            return web.Response(status=503, text=str(busy))

    application = web.Application()
    application.router.add_route("*", path, answer)
    application.router.add_route("*", path + "/{tail:.*}", answer)
    async with TestServer(application) as server, ClientSession() as http:
        yield http, str(server.make_url(path))


async def post_text(http: ClientSession, url: str, public_url: str, parameters: Mapping[str, str]) -> int:
    """Post a text as Twilio does, signed for the address Twilio knows, and return the status."""
    headers = {"X-Twilio-Signature": sign(public_url, list(parameters.items()))}
    async with http.post(url, data=dict(parameters), headers=headers) as answer:
        return answer.status


class FakeTwilio:
    """The Messages of one account. `failures` are answered first: (HTTP status, error code, headers)."""

    def __init__(self) -> None:
        self.base = ""
        self.messages: list[dict[str, Any]] = []
        self.failures: list[tuple[int, int, dict[str, str]]] = []
        self.lose_answers = False  # take the text, then cut the connection
        self.keep_silent = False  # take the text, then say nothing until `let_go`
        self.error_code: int | None = None  # in the answer to a text that is taken
        self.now = datetime(2026, 9, 1, 13, 0, tzinfo=UTC)  # after the sample deliveries were created
        self.requests: list[str] = []
        self.let_go = asyncio.Event()
        self.account = {"status": "active", "type": "Full"}
        self.numbers: list[dict[str, Any]] = []  # with phone_number or short_code, sms_url, sms_method
        self.services: dict[str, dict[str, Any]] = {}  # by sid
        self.most_on_a_page = 1000
        self.lists_sent = True  # else the key may not read what went out
        self.next_page = ""  # instead of the true one
        self.files: dict[str, tuple[str, bytes]] = {}  # type and bytes by sid; those that aren't here are gone
        self.lead_to: dict[str, str] = {}  # by a file's sid: another address, below ours unless it says otherwise
        self.hanging: set[str] = set()  # files that don't come until `let_go`
        self.shown_files: list[tuple[str, bool]] = []  # what was asked for, and whether with credentials

    def incoming(
        self, number: int = 1, body: str = "Hello", *files: tuple[str, bytes], **changes: str
    ) -> dict[str, str]:
        """Take a text in from a telephone, and return what Twilio posts to the webhook then."""
        posted = text_parameters(number, body, NumMedia=str(len(files)), **changes)
        at = format_datetime(self.now)
        sids = [f"ME{number:016x}{index:016x}" for index in range(len(files))]
        self.files |= dict(zip(sids, files, strict=True))
        listed = {name: posted[key] for name, key in (("sid", "MessageSid"), ("from", "From"), ("to", "To"))}
        listed |= {"body": body, "num_media": posted["NumMedia"], "num_segments": "1", "status": "received"}
        listed |= {"direction": "inbound", "date_created": at, "date_sent": at, "account_sid": ACCOUNT}
        self.messages.append(listed | {"files": sids, "messaging_service_sid": posted.get("MessagingServiceSid")})
        return posted

    async def look(self, request: web.Request) -> web.StreamResponse:
        """GET …/Accounts/SID.json, and what lies below it that tells where texts are sent."""
        self.requests.append("GET")
        if refusal := self._refusal(request):
            return refusal
        if request.match_info.get("service"):
            service = self.services.get(request.match_info["service"])
            missing = {"code": 20404, "message": "not found", "status": 404}
            return web.json_response(service or missing, status=200 if service else 404)
        wanted = {"incoming_phone_numbers": "phone_number", "short_codes": "short_code"}
        for key, name in wanted.items():
            asked = request.query.get({"phone_number": "PhoneNumber", "short_code": "ShortCode"}[name])
            if asked:
                return web.json_response({key: [each for each in self.numbers if each.get(name) == asked]})
        return web.json_response({"sid": ACCOUNT, **self.account})

    async def senders(self, request: web.Request) -> web.StreamResponse:
        """GET …/Services/SID/PhoneNumbers or …/ShortCodes, as the service's `senders` say."""
        if refusal := self._refusal(request):
            return refusal
        key = {"PhoneNumbers": "phone_number", "ShortCodes": "short_code"}[request.match_info["senders"]]
        known = self.services[request.match_info["service"]].get("senders", ())
        return web.json_response(
            {f"{key}s": [{key: each} for each in known if each.startswith("+") == (key[0] == "p")]}
        )

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST …/Messages.json."""
        self.requests.append("POST")
        if refusal := self._refusal(request):
            return refusal
        form = await request.post()
        message = {
            "sid": f"SM{len(self.messages):032x}",
            "to": form["To"],
            "from": form.get("From"),
            "messaging_service_sid": form.get("MessagingServiceSid"),
            "body": form["Body"],
            "status": "queued",
            "direction": "outbound-api",
            "status_callback": form.get("StatusCallback", ""),
            "error_code": self.error_code,
            "date_created": format_datetime(self.now),
        }
        self.messages.append(message)
        if self.lose_answers and request.transport is not None:
            request.transport.abort()
        if self.keep_silent:
            await self.let_go.wait()
        return web.json_response(message, status=201)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """GET …/Messages.json, newest first; the date is Twilio's own."""
        self.requests.append("GET")
        if refusal := self._refusal(request):
            return refusal
        to, sender = request.query.get("To"), request.query.get("From")
        if sender and not self.lists_sent:
            return web.json_response({"code": 20003, "message": "Authenticate", "status": 403}, status=403)
        since = request.query.get("DateSent>", "")[:10]  # a filter by the day alone
        found = [
            message
            for message in reversed(self.messages)
            if to in (None, message["to"]) and sender in (None, message["from"]) and _is_since(message, since)
        ]
        size = min(int(request.query.get("PageSize", "50")), self.most_on_a_page)
        begin = int(request.query.get("Page", "0")) * size
        following = request.rel_url.update_query(Page=str(begin // size + 1), PageToken="PA").raw_path_qs
        answer = {"messages": found[begin : begin + size], "next_page_uri": following}
        if begin + size >= len(found) or self.next_page:
            answer["next_page_uri"] = self.next_page or None
        return web.json_response(answer, headers={"Date": format_datetime(self.now, usegmt=True)})

    async def list_files(self, request: web.Request) -> web.StreamResponse:
        """GET …/Messages/SID/Media.json, newest first."""
        if refusal := self._refusal(request):
            return refusal
        found = [message for message in self.messages if message["sid"] == request.match_info["text"]]
        return web.json_response({"media_list": [{"sid": sid} for each in found for sid in reversed(each["files"])]})

    async def file(self, request: web.Request) -> web.StreamResponse:
        """GET …/Media/SID: leads to where the file lies, which asks for no credentials."""
        sid = request.match_info["file"]
        self.shown_files.append((request.path, "Authorization" in request.headers))
        if "Media" in request.path:
            if refusal := self._refusal(request):
                return refusal
            return web.Response(status=307, headers={"Location": self.lead_to.get(sid, f"/stored/{sid}")})
        if sid in self.hanging:
            await self.let_go.wait()
        if sid not in self.files:
            raise web.HTTPNotFound
        kind, data = self.files[sid]
        return web.Response(body=data, content_type=kind)

    def _refusal(self, request: web.Request) -> web.Response | None:
        if self.failures:
            status, code, headers = self.failures.pop(0)
            said = {"code": code, "message": "about +15555550123", "more_info": "", "status": status} if code else {}
            return web.Response(status=status, text=json.dumps(said), content_type="application/json", headers=headers)
        wanted = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {wanted}":
            return web.json_response({"code": 20003, "message": "Authenticate", "status": 401}, status=401)
        return None


def _is_since(message: Mapping[str, Any], since: str) -> bool:
    at = message.get("date_sent") or message["date_created"]
    return f"{parsedate_to_datetime(at):%Y-%m-%d}" >= since


@asynccontextmanager
async def fake_twilio() -> AsyncIterator[FakeTwilio]:
    """Run the double on a free loopback port; `base` is its address."""
    fake = FakeTwilio()
    application = web.Application()
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    application.router.add_post(path, fake.create)
    application.router.add_get(path, fake.list)
    account = f"/2010-04-01/Accounts/{ACCOUNT}"
    for looked_at in (".json", "/IncomingPhoneNumbers.json", "/SMS/ShortCodes.json"):
        application.router.add_get(account + looked_at, fake.look)
    application.router.add_get("/v1/Services/{service}", fake.look)
    application.router.add_get("/v1/Services/{service}/{senders}", fake.senders)
    application.router.add_get(f"{account}/Messages/{{text}}/Media.json", fake.list_files)
    application.router.add_get(f"{account}/Messages/{{text}}/Media/{{file}}", fake.file)
    application.router.add_get("/stored/{file}", fake.file)
    async with TestServer(application) as server:
        fake.base = str(server.make_url("")).rstrip("/")
        try:
            yield fake
        finally:
            fake.let_go.set()


def form_body(parameters: Sequence[tuple[str, str]]) -> bytes:
    """Return parameters as they stand in a body."""
    return urlencode(list(parameters)).encode()
