"""Sessions on the server: a random token in a cookie, its digest in the store, and the account as it is now."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from router.console import addresses
from router.console.roles import Role, Viewer
from router.console.watching import Watching
from router.store import accounts, sessions

if TYPE_CHECKING:
    from aiohttp import web
    from sqlalchemy import Connection

    from router.store.engine import Store

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits in base64url
_TOUCH = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody whose browser showed a session's token; `csrf` is what the forms we give them carry back."""

    viewer: Viewer
    session_id: int
    csrf: str

    def owns_form(self, given: str) -> bool:
        """Return whether a form was given out in this session."""
        return hmac.compare_digest(given.encode(), self.csrf.encode())


class Sessions:
    """Begins, finds and ends sessions. Whatever changes about an account counts at its next request."""

    def __init__(self, store: Store, public_url: str, *, idle: timedelta, longest: timedelta) -> None:
        address = urlsplit(public_url)
        self._store = store
        self.idle = idle
        self._watching = Watching(store, idle)
        self._longest = longest
        self._secure = address.scheme == "https"  # else loopback: a browser takes no `__Host-` cookie there
        self._path = "/" if self._secure else f"{address.path.rstrip('/')}/console"
        self.cookie = "__Host-signpost" if self._secure else "signpost-session"

    async def of(self, request: web.Request, *, used: bool = True) -> Guest | None:
        """Return who asks; None where nobody is signed in, or not any more.

        It counts as use if `used`; else a browser asks by itself, and may do so for 2 s after the session has ended.
        """
        token = self._shown(request)
        if not token:
            return None
        now = self._store.clock.now()
        if used:
            row = await self._store.read(lambda c: sessions.find(c, digest(token), now, self.idle))
        else:
            row = await self._watching.find(digest(token))
        if row is None:
            return None
        if used and now - row.seen_at >= _TOUCH:
            await self._store.write(lambda c: sessions.touch(c, row.session_id, now))
        return Guest(viewer_of(accounts.account_of(row)), row.session_id, _csrf(token))

    def begin(self, connection: Connection, account_id: int, token: str, *, way: str, request: web.Request) -> None:
        """Begin a session for a new token (`fresh_token`), within the unit of work that lets somebody in.

        It takes the place of the one that this browser had, whosever that was: nothing there could end it any more.
        """
        now = self._store.clock.now()
        if former := self._shown(request):
            sessions.end_shown(connection, digest(former))
        accounts.signed_in(connection, account_id, now)
        sessions.begin(
            connection,
            account_id,
            digest(token),
            now=now,
            ends_at=now + self._longest,
            way=way,
            address=self.address(request),
            browser=_printable(request.headers.get("User-Agent", "")),
        )

    def _shown(self, request: web.Request) -> str:
        """Return the token that a browser shows, "" for what can't be one: a cookie may hold any bytes."""
        token = request.cookies.get(self.cookie, "")
        return token if _TOKEN.fullmatch(token) else ""

    def remember(self, answer: web.StreamResponse, token: str) -> None:
        """Have the browser show the token from now on."""
        answer.set_cookie(
            self.cookie, token, path=self._path, secure=self._secure, httponly=True, samesite="Lax",
            max_age=int(self._longest.total_seconds()),
        )  # fmt: skip

    def forget(self, answer: web.StreamResponse) -> None:
        """Have the browser forget it."""
        answer.del_cookie(self.cookie, path=self._path, secure=self._secure, httponly=True, samesite="Lax")

    def address(self, request: web.Request) -> str:
        """Return where a request is from."""
        return addresses.of(request)


def fresh_token() -> str:
    """Return a token that nobody can guess: 256 random bits."""
    return secrets.token_urlsafe(32)


def viewer_of(account: accounts.Account) -> Viewer:
    """Return an account as who asks."""
    return Viewer(
        account_id=account.id,
        email=account.email,
        name=account.name,
        role=Role(account.role),
        scope=account.scope,
    )


def digest(token: str) -> str:
    """Return what the store keeps of a token."""
    return sha256(token.encode()).hexdigest()


def _csrf(token: str) -> str:
    return hmac.new(token.encode(), b"signpost form", "sha256").hexdigest()


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
