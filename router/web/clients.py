"""Tell browsers apart at the misroute links, so that one person with two mailboxes isn't taken for two.

The cookie is set when somebody sends a message on, holds nothing but a random name, and is read when the same browser
says "This is ours" of another mail (RFC 6265 section 4.1).
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp import web

COOKIE = "signpost-link"
_LASTS_S = 30 * 86_400
_NAME = re.compile(r"[0-9a-f]{32}")


def known(request: web.Request) -> str:
    """Return which browser asks, "" if it isn't known."""
    given = request.cookies.get(COOKIE, "")
    return given if _NAME.fullmatch(given) else ""


def make() -> str:
    """Return a name for a browser."""
    return secrets.token_hex(16)


def remember(response: web.Response, client: str, public_url: str) -> None:
    """Have the browser say who it is at other links, too; no other site and no script can read or use it."""
    address = urlsplit(public_url)
    response.set_cookie(
        COOKIE,
        client,
        max_age=_LASTS_S,
        path=f"{address.path.rstrip('/')}/m/",
        secure=address.scheme == "https",
        httponly=True,
        samesite="Strict",
    )
