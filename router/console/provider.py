"""Talks to an OpenID provider: discovery, keys, the code's exchange; each fetch bounded in time and size."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout

from router.console import oidc
from router.errors import NotAuthentic, Refused
from router.secrets import SecretMissing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import ClientResponse

    from router.console.oidc import Attempt, Endpoints, Identity, Provider

_KEEP_S = 3600.0  # how long discovery and keys are believed
_SELDOM_S = 30.0  # keys aren't asked for anew more often: anybody can name a key that there isn't
_MOST_BYTES = 262_144


class Unreachable(Refused):
    """A provider doesn't answer, or not as one."""

    status = 503


class ProviderClient:
    """One provider, and what is remembered of it."""

    def __init__(
        self,
        provider: Provider,
        redirect_uri: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.provider = provider
        self._redirect_uri = redirect_uri
        self._clock = clock
        self._wall = wall
        self._endpoints: tuple[float, Endpoints] | None = None
        self._keys: tuple[float, dict[str, Any]] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def begin(self, attempt: Attempt) -> str:
        """Return where to send the browser; raise `Unreachable`."""
        return oidc.authorize_url(await self._discover(), self.provider, attempt, self._redirect_uri)

    async def finish(self, query: dict[str, str], attempt: Attempt) -> Identity:
        """Return who came back; raise `NotAuthentic` or `Unreachable`."""
        endpoints = await self._discover()
        code = oidc.code_of(query, attempt, endpoints, self.provider.issuer)
        token = await self._exchange(endpoints, code, attempt.verifier)
        keys = await self._keys_with(endpoints, oidc.key_id(token))
        return oidc.identity(token, keys, self.provider, attempt.nonce, self._wall())

    async def _discover(self) -> Endpoints:
        if self._endpoints is None or self._clock() - self._endpoints[0] > _KEEP_S:
            address = f"{self.provider.issuer}/.well-known/openid-configuration"
            found = oidc.endpoints(await self._get(address), self.provider.issuer)
            self._endpoints = self._clock(), found
        return self._endpoints[1]

    async def _keys_with(self, endpoints: Endpoints, key_id: str) -> dict[str, Any]:
        """Return the provider's keys, asked for again where this one isn't among them: providers change theirs."""
        async with self._one_at_a_time:
            known = self._keys
            age = self._clock() - known[0] if known else _KEEP_S
            strange = known is not None and key_id not in {key.get("kid", "") for key in known[1]["keys"]}
            if known is None or age >= _KEEP_S or (strange and age >= _SELDOM_S):
                self._keys = known = self._clock(), _key_set(await self._get(endpoints.keys))
            return known[1]

    async def _exchange(self, endpoints: Endpoints, code: str, verifier: str) -> str:
        """Return the ID token for a code (OpenID Connect Core 1.0, section 3.1.3)."""
        provider, headers = self.provider, {}
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        secret = self._secret()
        if secret and not endpoints.posts_secret:
            pair = f"{quote(provider.client_id, safe='')}:{quote(secret, safe='')}"  # RFC 6749, section 2.3.1
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": provider.client_id} | ({"client_secret": secret} if secret else {})
        async with self._client() as client, client.post(
            endpoints.token, data=form, headers=headers, allow_redirects=False
        ) as answer:  # fmt: skip
            found = await _json(answer, expected=(200, 400, 401))
        token = found.get("id_token")
        if not isinstance(token, str):
            raise NotAuthentic("the sign-in service didn't confirm this sign-in; please begin again")
        return token

    async def _get(self, url: str) -> dict[str, Any]:
        async with self._client() as client, client.get(url, allow_redirects=False) as answer:
            return await _json(answer, expected=(200,))

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[ClientSession]:
        timeout = ClientTimeout(total=self.provider.timeout.total_seconds())
        try:
            async with ClientSession(timeout=timeout) as client:
                yield client
        except (ClientError, TimeoutError, OSError) as error:
            raise _unreachable() from error

    def _secret(self) -> str:
        try:
            return self.provider.secret.read() if self.provider.secret else ""
        except SecretMissing as error:
            raise _unreachable() from error


async def _json(answer: ClientResponse, expected: tuple[int, ...]) -> dict[str, Any]:
    """Return an answer's object; raise `Unreachable` for anything else, a redirect among it."""
    data = b""
    async for chunk in answer.content.iter_chunked(16_384):
        data += chunk
        if len(data) > _MOST_BYTES:
            raise _unreachable()
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unreachable() from error
    if answer.status not in expected or not isinstance(found, dict):
        raise _unreachable()
    return found


def _key_set(document: dict[str, Any]) -> dict[str, Any]:
    keys = document.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise _unreachable()
    return {"keys": keys}


def _unreachable() -> Unreachable:
    return Unreachable("the sign-in service can't be reached now; please try again in a minute")
