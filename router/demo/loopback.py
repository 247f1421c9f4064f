"""The demo's pages show everything to everybody, so they answer only to a browser on the same machine."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from router.errors import NotAuthentic
from router.settings import is_loopback

if TYPE_CHECKING:
    from aiohttp import web

_RELAYED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


def refuse_strangers(request: web.Request) -> None:
    """Raise `NotAuthentic` unless both ends are this machine.

    The Host header must be a loopback name too: a foreign page can let its own name point to 127.0.0.1 (DNS
    rebinding). A request that a proxy passed on comes from elsewhere.
    """
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        host = ""
    relayed = any(name in request.headers for name in _RELAYED)
    if relayed or not is_loopback(request.remote or "") or not is_loopback(host):
        raise NotAuthentic("the demo's pages are only for a browser on the same machine, at http://127.0.0.1")
