"""A browser in which somebody has signed in before: whoever guesses elsewhere doesn't keep its owner waiting.

It has free attempts of its own, by a signed cookie that lets nobody in (OWASP, Slow Down Online Guessing Attacks with
Device Cookies).
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

from router.console.routes import SIGN_IN
from router.errors import NotAuthentic

if TYPE_CHECKING:
    from aiohttp import web

    from router.console.console import Console

_PURPOSE, _KEPT_S = "signpost-known", 90 * 86_400


def number_of(console: Console, request: web.Request, email: str) -> str:
    """Return what such a browser is told apart by; "" for another, and for one where only others have signed in."""
    token = request.cookies.get(_name(console), "")
    try:
        number, _, of = console.keys.unsign(token, _PURPOSE, _KEPT_S).partition(" ") if token else ("", "", "")
    except (NotAuthentic, ValueError):  # a cookie may hold any bytes
        return ""
    return number if hmac.compare_digest(of.encode(), _owner(email).encode()) else ""


def remember(console: Console, request: web.Request, answer: web.StreamResponse, email: str) -> None:
    """Have the browser say so from now on. No address is kept."""
    number = number_of(console, request, email) or secrets.token_urlsafe(16)
    secure = console.public_url.startswith("https:")
    answer.set_cookie(
        _name(console), console.keys.sign(f"{number} {_owner(email)}", _PURPOSE), max_age=_KEPT_S,
        path="/" if secure else f"{console.pages.root}{SIGN_IN}", secure=secure, httponly=True, samesite="Strict",
    )  # fmt: skip


def _name(console: Console) -> str:
    return f"__Host-{_PURPOSE}" if console.public_url.startswith("https:") else _PURPOSE


def _owner(email: str) -> str:
    return sha256(email.strip().casefold().encode()).hexdigest()[:32]
