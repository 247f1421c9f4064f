"""What `signpost check --connect` does with a webhook: its secrets, and every address we post to, asked by HEAD."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from channels import _failures_mending as mending
from channels._check_http import Answer, ask, place_of
from channels._check_line import clocks
from channels._webhook_auth import signature
from channels._webhook_out import is_public, public_socket
from router.findings import Checking, Finding, failed, fine, remark
from router.secrets import SecretMissing

if TYPE_CHECKING:
    from channels._webhook_settings import WebhookSettings
    from router.interfaces import CheckContext
    from router.secrets import Secret

_SHORT = 16  # characters of a secret below which it can be guessed
_NOT_THERE = frozenset({404, 410})
_PRIVATE_MEND = "name another address, or set allow_private: true if it is a program of your own network"


async def check_webhook(settings: WebhookSettings, context: CheckContext) -> Checking:
    """Yield what is fine and what isn't; nothing is posted."""
    if settings.fields is not None:
        yield await _secret(settings.secret("secret"), "secret")
        yield fine(_expected(settings, context))
    if not context.destinations:
        return
    yield await _secret(settings.secret("signing_secret"), "signing_secret")
    for url in dict.fromkeys(context.destinations):
        yield f"asking {urlsplit(url).hostname}"
        for found in await _destination(url, settings, context):
            yield found


async def _secret(place: Secret | None, name: str) -> Finding:
    if place is None:
        return failed("Requests aren't signed.", f"set {name}_env (or {name}_file) to a key that the receiver knows")
    try:
        secret = await asyncio.to_thread(place.read)
    except SecretMissing as error:
        return failed(f"A secret is missing: {error}.", "put it where the settings say")
    where = place.env or place.file
    if len(secret) < _SHORT:
        return remark(f"The secret in {where} is short: it can be guessed.", "use 32 random letters and digits")
    if secret != secret.strip():
        return remark(f"The secret in {where} begins or ends with a blank.", "see whether the blank belongs to it")
    assert signature(secret, b"sample")
    return fine(f"The secret in {where} is there.")


def _expected(settings: WebhookSettings, context: CheckContext) -> str:
    """Return in words what the provider has to be set to."""
    assert settings.fields is not None
    url = f"{context.public_url}/webhooks/{context.name}"
    hmac = settings.hmac
    proof = {
        "bearer": "with the secret as bearer token",
        "basic": f"with user name {settings.username} and the secret as password",
        "path": "with / and the secret behind it",
        "hmac": f"signed by HMAC-{hmac.algorithm.upper()} in the header {hmac.header}" if hmac else "",
    }[settings.authentication or "bearer"]
    mapped = {name: pointer for name, pointer in settings.fields.model_dump().items() if pointer}
    fields = ", ".join(f"{name} from {pointer}" for name, pointer in mapped.items())
    return f"The provider is to post to {url} {proof}; taken are {fields}."


# --- out --------------------------------------------------------------------------------------------------------------


async def _destination(url: str, settings: WebhookSettings, context: CheckContext) -> list[Finding]:
    if url.startswith("http:") and not settings.allow_private:
        mend = "use https (or allow_private, in your own network)"
        return [failed(f"{url} is unencrypted, and nothing is sent there.", mend)]
    guard = None if settings.allow_private else public_socket
    limit_s = min(settings.connect_timeout.total_seconds() + settings.timeout.total_seconds(), context.within_s * 0.6)
    answer = await ask("HEAD", url, limit_s=limit_s, socket_factory=guard)
    if isinstance(answer, Finding):
        return [await _unless_private(url, settings, answer)]
    return [_status(url, answer), *clocks(answer.at, context.clock.now(), place_of(url)[0])]


async def _unless_private(url: str, settings: WebhookSettings, finding: Finding) -> Finding:
    """Return the finding, or that the name leads into a private network, which the connector calls any failure."""
    host, port = place_of(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return finding
    private = [str(place[0]) for *_, place in found if not is_public(str(place[0]))]
    if private and not settings.allow_private:
        return failed(f"{host} is in a private network ({private[0]}), and nothing is sent there.", _PRIVATE_MEND)
    return finding


def _status(url: str, answer: Answer) -> Finding:
    host, status = urlsplit(url).hostname, answer.status
    if 300 <= status < 400:
        to = mending.short(answer.headers.get("Location", "elsewhere"))
        return failed(f"{url} leads on to {to}, and redirects aren't followed.", "name that address in its place")
    if status in _NOT_THERE:
        return remark(f"{host} answers {status} (asked by HEAD): the path may be wrong.", f"see whether {url} is right")
    if status >= 500 and status != 501:  # 501: it knows no HEAD
        return remark(f"{host} answers {status} (asked by HEAD): it may be out of order.", "look at that server")
    return fine(f"{host} can be reached{', encrypted' if url.startswith('https:') else ''}.")
