"""How a provider's request proves that it is one: signature, token, password or secret path. All fail closed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from router.errors import NotAuthentic, Refused
from router.secrets import SecretMissing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator
    from datetime import datetime

    from channels._webhook_settings import HmacSettings, WebhookSettings
    from router.interfaces import Context

T = TypeVar("T")

_TIME = re.compile(r"[0-9]{9,11}")


class NotSignedIn(Refused):
    """The request lacks the right token or password (RFC 9110 section 15.5.2)."""

    status = 401

    def __init__(self, challenge: str) -> None:
        super().__init__("the token or password (Authorization) is missing or wrong")
        self.challenge = challenge


def refusal(error: Refused) -> web.Response:
    """Return the answer to a request that is refused: a program reads it, so it is JSON, whatever was asked for."""
    headers = {"WWW-Authenticate": error.challenge} if isinstance(error, NotSignedIn) else None
    return web.json_response({"error": str(error)}, status=error.status, headers=headers)


def unready() -> web.Response:
    """Return the answer while requests can't be checked: they are to be tried again."""
    error = "requests can't be checked at this moment; nothing was stored, please try again"
    return web.json_response({"error": error}, status=503, headers={"Retry-After": "60"})


async def proved(proof: Awaitable[T], context: Context) -> T | web.Response:
    """Return what comes of a request's proof; or the answer to one that proved nothing, or can't be checked now."""
    try:
        return await proof
    except SecretMissing as error:
        context.on_trouble(f"no request can be checked: {error}")
        return unready()
    except Refused as error:
        context.on_refusal(str(error))
        return refusal(error)


def check_before_body(request: web.Request, tail: str, settings: WebhookSettings, secret: str) -> None:
    """Check what can be checked without the body; `tail` is what follows /webhooks/NAME/ in the address.

    Raises `NotSignedIn` or `NotAuthentic`.
    """
    given = request.headers.get("Authorization", "")
    match settings.authentication:
        case "bearer":
            scheme, _, token = given.partition(" ")
            if scheme.lower() != "bearer" or not _same(token.strip(), secret):
                raise NotSignedIn("Bearer")
        case "basic":
            if not _same(_basic(given), f"{settings.username}:{secret}"):
                raise NotSignedIn('Basic realm="Signpost", charset="UTF-8"')
        case "path":
            if not _same(tail, secret):
                raise NotAuthentic("the address is incomplete: the secret that belongs to its end is missing or wrong")


def check_signature(request: web.Request, body: bytes, how: HmacSettings, secret: str, now: datetime) -> None:
    """Check the HMAC of a body; raise `NotAuthentic`."""
    given = list(_marked(request, how.header, how.prefix))
    if not given:
        raise NotAuthentic(f"the signature ({how.header}) is missing")
    timestamp = _timestamp(request, how, now) if how.timestamp_header else ""
    before, _, after = how.signed.replace("{timestamp}", timestamp).partition("{body}")
    computed = signature(secret, before.encode() + body + after.encode(), how.algorithm, how.encoding)
    if not any(_same(each.lower() if how.encoding == "hex" else each, computed) for each in given):
        raise NotAuthentic("the signature is wrong: compare the secret, and how it is signed, with the provider's page")


def signature(secret: str, signed: bytes, algorithm: str = "sha256", encoding: str = "hex") -> str:
    """Return the HMAC (RFC 2104) of some bytes as text."""
    mac = hmac.new(secret.encode(), signed, getattr(hashlib, algorithm)).digest()
    return mac.hex() if encoding == "hex" else base64.b64encode(mac).decode("ascii")


def _marked(request: web.Request, header: str, prefix: str) -> Iterator[str]:
    """Yield the parts of a header, separated by commas, that begin with a prefix, without it."""
    for value in request.headers.getall(header, []):
        for part in value.split(","):
            if part.strip().startswith(prefix) and part.strip() != prefix:
                yield part.strip().removeprefix(prefix)


def _timestamp(request: web.Request, how: HmacSettings, now: datetime) -> str:
    timestamp = next(_marked(request, how.timestamp_header, how.timestamp_prefix), "")
    if not _TIME.fullmatch(timestamp):
        raise NotAuthentic(f"the time ({how.timestamp_header}) is missing")
    if abs(now.timestamp() - int(timestamp)) > how.tolerance.total_seconds():
        raise NotAuthentic("the time of the request is too far off: an old request, or one of the two clocks is wrong")
    return timestamp


def _basic(header: str) -> str:
    scheme, _, credentials = header.partition(" ")
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        return ""


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())
