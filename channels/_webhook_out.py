"""Messages and alerts as signed JSON: what is sent, what the signature covers, and which addresses are reached."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from channels._failures import http_failure, post_failure, retry_after_seconds
from channels._webhook_auth import signature
from channels._webhook_body import read_answer
from router.errors import Permanent, Retryable

if TYPE_CHECKING:
    from aiohttp import AddrInfoType, ClientResponse
    from aiohttp.abc import AbstractResolver

    from channels._webhook_settings import WebhookSettings
    from router.interfaces import Context
    from router.records import Content, Forward, Message

MAX_ANSWER = 65_536  # bytes of an answer that are read; a longer one is cut off
_LONGEST_URL = 2000
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def check_address(to: str) -> str:
    """Return a sentence if nothing can be posted to `to`, else ""."""
    try:
        parts = urlsplit(to)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        return "must be an address such as https://helpdesk.example.org/hook"
    plain = to.isascii() and to.isprintable() and " " not in to and len(to) <= _LONGEST_URL
    if not plain or parts.scheme not in ("https", "http") or not host:
        return "must be an address such as https://helpdesk.example.org/hook"
    if parts.username is not None or parts.fragment:
        return "must hold no user name, no password and no #"
    return ""


class WebhookSink:
    """Posts each delivery to its address. Connections aren't kept, so that none is found dead in the middle."""

    def __init__(self, settings: WebhookSettings, context: Context, resolver: AbstractResolver | None = None) -> None:
        self.concurrency = settings.connections
        self._resolver = resolver  # the system's if None
        self._settings = settings
        self._context = context
        self._session: ClientSession | None = None

    async def send(self, forward: Forward) -> str:
        """Post one delivery and return the id in the answer ({"id": …}), if any; raise a `DeliveryError`."""
        to = forward.delivery.to
        if check_address(to):
            raise Permanent("the destination is no address that can be posted to")
        if to.startswith("http:") and not self._settings.allow_private:
            raise Permanent("a message isn't sent unencrypted: use https (or allow_private, for your own network)")
        body = document(forward, include_original=self._settings.include_original)
        try:
            return await self._post(to, body, await self._headers(forward, body))
        except Exception as error:
            raise post_failure(error) from error

    def host_of(self, to: str) -> str:
        """Return the host that an address leads to, with its port."""
        try:
            return urlsplit(to).netloc.lower()
        except ValueError:
            return ""

    async def aclose(self) -> None:
        """Let go of the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _headers(self, forward: Forward, body: bytes) -> dict[str, str]:
        place = self._settings.secret("signing_secret")
        if place is None:
            raise Retryable("requests aren't signed: set signing_secret_env (or signing_secret_file)")
        secret = await asyncio.to_thread(place.read)
        timestamp = str(int(self._context.clock.now().timestamp()))
        return {
            "Content-Type": "application/json",
            "User-Agent": "Signpost",
            "Accept-Encoding": "identity",
            "Idempotency-Key": forward.mail_id,
            "Signpost-Timestamp": timestamp,
            "Signpost-Signature": f"v1={signature(secret, timestamp.encode() + b'.' + body)}",
        }

    async def _post(self, to: str, body: bytes, headers: dict[str, str]) -> str:
        settings = self._settings
        async with asyncio.timeout(settings.connect_timeout.total_seconds() + settings.timeout.total_seconds()):
            async with self._open().post(to, data=body, headers=headers, allow_redirects=False) as response:
                if 200 <= response.status < 300:
                    self._context.on_proof()
                    return await _remote_id(response)
                text = "with a redirect, which isn't followed" if 300 <= response.status < 400 else ""
                retry_after = retry_after_seconds(response.headers.get("Retry-After"), self._context.clock.now())
                raise http_failure(response.status, text, retry_after)

    def _open(self) -> ClientSession:
        if self._session is None:
            guard = None if self._settings.allow_private else public_socket
            connector = TCPConnector(force_close=True, limit=0, socket_factory=guard, resolver=self._resolver)
            timeout = ClientTimeout(total=None, connect=self._settings.connect_timeout.total_seconds())
            self._session = ClientSession(connector=connector, timeout=timeout)
        return self._session


async def _remote_id(response: ClientResponse) -> str:
    """Return the answer's id. It has said yes: whatever is wrong with the rest of it doesn't matter any more."""
    with suppress(Exception):
        answer = json.loads(await read_answer(response, MAX_ANSWER))
        found = str(answer["id"])
        return found if len(found) <= 255 and found.isprintable() else ""
    return ""


# --- which addresses are reached --------------------------------------------------------------------------------------


class PrivateAddress(OSError):
    """The name leads to this machine or a private network."""

    def __init__(self) -> None:
        super().__init__(0, "the address is private, and allow_private isn't set")


def public_socket(address: AddrInfoType) -> socket.socket:
    """Return a socket for an address about to be connected to: what a name said a moment ago doesn't count."""
    family, kind, protocol, _, place = address
    if not is_public(str(place[0])):
        raise PrivateAddress
    return socket.socket(family, kind, protocol)


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public Internet, looking through IPv6's ways to write an IPv4 one."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.is_site_local:  # fec0::/10: withdrawn, and still in use within some networks
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved


# --- what is sent -----------------------------------------------------------------------------------------------------


def document(forward: Forward, *, include_original: bool = False) -> bytes:
    """Return the JSON for one delivery: a pure function of it, so that a retry sends the same bytes."""
    delivery, decision, message = forward.delivery, forward.decision, forward.message
    value: dict[str, Any] = {
        "type": delivery.kind.value,
        "id": forward.mail_id,
        "organization": forward.organization,
        "created_at": delivery.created_at.isoformat(),
    }
    if forward.notice is not None:
        notice = forward.notice
        value["notice"] = {"subject": notice.subject, "text": notice.text, "url": notice.url}
    if message is not None:
        value["message"] = _message(message)
    if decision is not None:
        value["decision"] = {
            "department": forward.delivery.department if forward.also else decision.department,
            "department_name": forward.department_name,
            "reason": decision.reason.value,
            "detail": decision.detail,
            "confidence": decision.confidence,
            "urgent": decision.urgent,
            "tags": list(decision.tags),
            "school": decision.school,
            "school_name": forward.school_name,
            "also": list(forward.also),
            "suggestions": [{"department": ident, "name": name} for ident, name in forward.suggestions],
            "misroute_url": forward.misroute_url,
        }
    if include_original and forward.original:
        value["original"] = base64.b64encode(forward.original).decode("ascii")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _message(message: Message) -> dict[str, Any]:
    content: Content = message.content
    names = "sender sender_name reply_to phone recipient subject text language topic unreadable suspicion external_id"
    return {
        "id": message.id,
        "channel": message.channel,
        "medium": message.medium.value,
        "received_at": message.received_at.isoformat(),
        **{name: getattr(content, name) for name in names.split()},
        "attachments": [
            {"name": file.name, "content_type": file.content_type, "size": file.size} for file in content.attachments
        ],
    }
