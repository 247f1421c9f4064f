"""A request of Twilio's: proved to be Twilio's by its signature, and read as the parameters of a text message.

Source: twilio.com/docs/usage/webhooks/webhooks-security, .../webhook-shared-keys and
twilio.com/docs/messaging/guides/webhook-request.
"""

from __future__ import annotations

import asyncio
import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from multidict import MultiDict

from channels._form_body import WrongType
from channels._keywords import keyword_of
from channels._mime import compose
from channels._mime_fields import one_line
from channels._webhook_body import form_fields, read_bytes
from router.errors import Malformed, NotAuthentic
from router.records import Inbound, Medium

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from aiohttp import web

    from router.secrets import Secret

_MAX_BYTES = 200_000
_SID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_NUMBER = re.compile(r"(?:[a-z]{1,20}:)?(\+[0-9]{6,15})")  # whatsapp:+1… and its like are reached by the same number
_ARRIVED = ("", "receiving", "received")
_ALGORITHMS = {"sha1": "HMAC_SHA1", "sha256": "HMAC_SHA256"}
_SIDS = ("MessageSid", "SmsMessageSid", "SmsSid")


class SignatureCheck:
    """Checks requests against the address from the configuration and the keys; headers have no say in either.

    The algorithm is the configured one, whatever X-Twilio-Webhooks-Signature-Settings says: nobody can ask for the
    weaker one. Several keys are tried, so that they can be changed without losing a text.
    """

    def __init__(self, url: str, algorithm: str, keys: Sequence[Secret]) -> None:
        from twilio.request_validator import (  # type: ignore[import-untyped]  # noqa: PLC0415 -- no types; not cheap
            RequestValidator,
        )

        self._validator: Callable[[str], Any] = RequestValidator
        self._url = url
        self._algorithm = _ALGORITHMS[algorithm]
        self._keys = tuple(keys)

    async def parameters(self, request: web.Request) -> MultiDict[str]:
        """Return the parameters of a request that Twilio signed; raise `NotAuthentic` for any other.

        Also raises `Malformed`, `TooLarge`, and `WrongType` for what Twilio doesn't send.
        """
        signature = request.headers.get("X-Twilio-Signature", "")
        if not signature:
            raise NotAuthentic("the signature (X-Twilio-Signature) is missing")
        query = request.raw_path.partition("?")[2]
        url = f"{self._url}?{query}" if query else self._url
        if not url.isascii():
            raise NotAuthentic("the address holds what Twilio never signs")
        signed, parameters = _read(request.content_type, await read_bytes(request, _MAX_BYTES), url)
        if await self.accepts(url, signed, signature):
            return parameters
        raise NotAuthentic(
            "the signature is wrong: compare the auth token, and the address set at Twilio with public_url"
        )

    async def accepts(self, url: str, signed: Mapping[str, str] | str, signature: str) -> bool:
        """Tell whether a signature is good by one of the keys; raise `SecretMissing`."""
        for key in [await asyncio.to_thread(secret.read) for secret in self._keys]:
            if self._validator(key).validate(url, signed, signature, self._algorithm):
                return True
        return False


def _read(content_type: str, body: bytes, url: str) -> tuple[MultiDict[str] | str, MultiDict[str]]:
    """Return what the signature covers besides the address, and the parameters."""
    if content_type == "application/x-www-form-urlencoded":
        fields = MultiDict(form_fields(body))
        return fields, fields
    # Looked for as Twilio's own code does: without it a JSON body isn't signed at all, and that code fails on it.
    if content_type == "application/json" and "bodySHA256" in parse_qs(urlsplit(url).query):
        return _read_json(body)
    raise WrongType("Twilio sends texts as form fields (application/x-www-form-urlencoded)")


def _read_json(body: bytes) -> tuple[str, MultiDict[str]]:
    try:
        text = body.decode("utf-8")
        members = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("the body isn't JSON") from error
    if not isinstance(members, dict):
        raise Malformed("the body isn't a JSON object")
    return text, MultiDict((name, value) for name, value in members.items() if isinstance(value, str))


def is_a_text(parameters: MultiDict[str]) -> bool:
    """Tell whether this is a text that came in, not news about one that went out."""
    return "MessageStatus" not in parameters and parameters.get("SmsStatus", "").lower() in _ARRIVED


def inbound_of(parameters: MultiDict[str], *, channel: str, host: str, now: datetime) -> Inbound:
    """Return the message; the original holds every parameter. Raises `Malformed` without an id and a sender."""
    sid = next((parameters[name] for name in _SIDS if parameters.get(name)), "")
    sender = one_line(parameters.get("From", ""), 300)
    if not _SID.fullmatch(sid) or not sender:
        raise Malformed("a text has a MessageSid and a sender (From)")
    body = parameters.get("Body", "")
    facts = {
        "sender": sender,
        "sender_name": parameters.get("ProfileName", ""),
        "phone": phone_of(sender),
        "recipient": parameters.get("To", ""),
        "external_id": sid,
        "keyword": keyword_of(body, parameters.get("OptOutType", "")),
    }
    return Inbound(
        source_key=sid,
        channel=channel,
        medium=Medium.SMS,
        received_at=now,
        original=compose(
            text="\n\n".join(filter(None, (body, _media(parameters)))),
            date=now,
            message_id=f"text.{sha256(sid.encode()).hexdigest()[:32]}@{host}",
            fields=_fields(parameters),
        ),
        facts={name: one_line(value, 300) for name, value in facts.items() if value},
    )


def phone_of(address: str) -> str:
    """Return the number of an address, "whatsapp:+15555550111" too; "" for a short code or a name."""
    match = _NUMBER.fullmatch(address)
    return match[1] if match else ""


def _fields(parameters: MultiDict[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parameters.items():
        if name != "Body":
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _media(parameters: MultiDict[str]) -> str:
    """Say in a few words what came besides the text; the addresses of the files are in the original's header."""
    count = parameters.get("NumMedia", "0")
    if not re.fullmatch(r"[1-9][0-9]?", count):
        return ""
    kinds = sorted({parameters.get(f"MediaContentType{index}", "") for index in range(int(count))} - {""})
    files = "1 file" if count == "1" else f"{count} files"
    return f"({files}, kept by Twilio: {', '.join(kinds) or 'of unknown kind'})"
