"""The pages before anybody is signed in: choose a way, type a password, go to a provider and come back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import web

from router.console import known_browser
from router.console.letting_in import let_in, let_in_with_password
from router.console.oidc import Attempt
from router.console.provider import Unreachable
from router.console.routes import BASE, SIGN_IN
from router.errors import NotAuthentic, NotFound
from router.web.requests import check_origin, read_form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.console.console import Console
    from router.console.passwords import Hasher
    from router.console.provider import ProviderClient

_ATTEMPT, _ATTEMPT_S = "signpost-attempt", 600
_NEXT = re.compile(r"/console(/[A-Za-z0-9_\-/.]*)?(\?[A-Za-z0-9_\-.~%&=+:]*)?")
_WRONG = "Address or password is wrong. If you have no password yet, ask who looks after the console."


class SignIn:
    """These addresses; of several providers each has its own, so that no answer is taken for another's."""

    def __init__(self, console: Console, hasher: Hasher, providers: Sequence[ProviderClient], *, local: bool) -> None:
        self._console = console
        self._hasher = hasher
        self._providers = {client.provider.id: client for client in providers}
        self._local = local
        self._secure = urlsplit(console.public_url).scheme == "https"
        # With this prefix no other site of the district's domain can have planted it (RFC 6265bis, section 4.1.3.2).
        self._begun = f"__Host-{_ATTEMPT}" if self._secure else _ATTEMPT

    def routes(self) -> list[web.RouteDef]:
        """Return the addresses: these alone need nobody to be signed in."""
        local = [web.post(SIGN_IN, self.with_password)] if self._local else []
        return [
            web.get(SIGN_IN, self.show),
            web.get(f"{SIGN_IN}/{{provider}}", self.begin),
            web.get(f"{SIGN_IN}/{{provider}}/answer", self.finish),
            *local,
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Show the ways to sign in; who is signed in goes on."""
        back = _next(request.query.get("next", ""))
        if await self._console.sessions.of(request) is not None:
            return self._see(back)
        return self._page(back)

    async def with_password(self, request: web.Request) -> web.Response:
        """Let somebody in by address and password, or say that it is wrong, in the same words and time for anybody."""
        console = self._console
        check_origin(request, console.public_url, strict=True)
        form = await read_form(request)
        email, back = form.get("email", "")[:320], _next(form.get("next", ""))
        came = await let_in_with_password(console, self._hasher, request, email, form.get("password", ""))
        if came.wait_s:
            minutes = max(1, round(came.wait_s / 60))
            wait = f"Too many attempts. Please try again in {minutes} minute{'s' * (minutes != 1)}."
            return self._page(back, wrong=wait, email=email, status=429, wait_s=came.wait_s)
        if not came.token:
            return self._page(back, wrong=_WRONG, email=email, status=403)
        answer = self._see(back)
        console.sessions.remember(answer, came.token)
        known_browser.remember(console, request, answer, email)
        return answer

    async def begin(self, request: web.Request) -> web.Response:
        """Send the browser to a provider; what has to come back is kept in its own signed cookie."""
        client = self._client(request)
        attempt = Attempt(provider=client.provider.id, next=_next(request.query.get("next", "")))
        try:
            location = await client.begin(attempt)
        except (Unreachable, NotAuthentic) as error:
            return self._failed(error, client)
        answer = web.Response(status=303, headers={"Location": location})
        token = self._console.keys.sign(attempt.dump(), _ATTEMPT)
        answer.set_cookie(self._begun, token, max_age=_ATTEMPT_S, **self._cookie)
        return answer

    async def finish(self, request: web.Request) -> web.Response:
        """Let in who a provider names."""
        client = self._client(request)
        try:
            attempt = self._attempt(request, client)
            identity = await client.finish(dict(request.query), attempt)
            token = await let_in(self._console, client.provider, identity, request)
        except (Unreachable, NotAuthentic) as error:
            return self._failed(error, client)
        answer = self._see(attempt.next)
        answer.del_cookie(self._begun, **self._cookie)
        self._console.sessions.remember(answer, token)
        return answer

    def _attempt(self, request: web.Request, client: ProviderClient) -> Attempt:
        """Return what this browser began; raise `NotAuthentic` if that was nothing, or with another provider."""
        begun = request.cookies.get(self._begun, "")
        if not begun:
            raise NotAuthentic("this sign-in wasn't begun in this browser, or too long ago; please begin again")
        attempt = Attempt.load(self._console.keys.unsign(begun, _ATTEMPT, _ATTEMPT_S))
        if attempt.provider != client.provider.id:
            raise NotAuthentic("another sign-in service answered than the one that was asked")
        return attempt

    def _client(self, request: web.Request) -> ProviderClient:
        client = self._providers.get(request.match_info["provider"])
        if client is None:
            raise NotFound("there is no such page")
        return client

    def _failed(self, error: Unreachable | NotAuthentic, client: ProviderClient) -> web.Response:
        self._console.log.warning("sign_in_failed", way=client.provider.id, why=str(error))
        answer = self._page("", wrong=_capital(str(error)), status=error.status)
        answer.del_cookie(self._begun, **self._cookie)
        return answer

    def _page(
        self, back: str, *, status: int = 200, wait_s: float = 0, wrong: str = "", email: str = ""
    ) -> web.Response:
        ways = [(f"{SIGN_IN}/{id_}", client.provider.name) for id_, client in self._providers.items()]
        headers = {"Retry-After": str(int(wait_s) + 1)} if wait_s else None
        return self._console.open_page(
            "sign_in.html",
            status=status,
            headers=headers,
            ways=ways,
            local=self._local,
            next=back,
            wrong=wrong,
            email=email,
        )

    def _see(self, back: str) -> web.Response:
        location = f"{self._console.pages.root}{back or BASE + '/'}"
        return web.Response(status=303, headers={"Location": location})

    @property
    def _cookie(self) -> dict[str, Any]:
        """A cookie that comes along when the provider sends the browser back, and nowhere else."""
        path = "/" if self._secure else f"{self._console.pages.root}{SIGN_IN}"
        return {"path": path, "secure": self._secure, "httponly": True, "samesite": "Lax"}


def _next(given: str) -> str:
    """Return where to go on, if it is a page of the console; "" for anything else: nobody is led elsewhere."""
    plain = len(given) <= 500 and not any(odd in given for odd in ("//", "/.")) and _NEXT.fullmatch(given)
    return given if plain else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
