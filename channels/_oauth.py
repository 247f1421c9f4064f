"""Access tokens for mailboxes that take no passwords: one POST to the provider, well before the last one expires.

Three ways (RFC 6749): client credentials (Microsoft 365), a service account's signed statement (Google, RFC 7523), and
a refresh token. A provider that hands out a new refresh token with each use expects us to keep it: the cursor does.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote, urlsplit

import aiohttp
from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from channels import _rs256
from router.errors import SourceRejected, SourceUnavailable, StoreBusy
from router.secrets import EnvName, SecretFile, SecretMissing, WithSecrets, secret_path
from router.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.interfaces import Clock, Cursor

_MICROSOFT = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
_GOOGLE = "https://oauth2.googleapis.com/token"
_SCOPES = {
    "client_credentials": "https://outlook.office365.com/.default",
    "service_account": "https://mail.google.com/",
}
_SECRET = ("client_secret_env", "client_secret_file")
_CONSENT = ("refresh_token_env", "refresh_token_file")
_NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {  # one key of each group
    "client_credentials": (("client_id",), _SECRET, ("tenant", "token_url")),
    "service_account": (("key_file",),),
    "refresh_token": (("client_id",), _CONSENT, ("tenant", "token_url")),
}
_AHEAD = timedelta(minutes=5)
_STATEMENT_S = 3600  # the longest life Google allows a signed statement
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_REJECTED = frozenset({400, 401, 403})
_PASSING = ("temporarily_unavailable", "server_error")


def _check_token_url(value: str) -> str:
    parts = urlsplit(value)
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if value and not (safe and parts.hostname):
        raise ValueError("must be an https address")
    return value


def _read_day(value: object) -> date:
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"must be {_DAY_WORDS}") from None


_DAY_WORDS = "a date such as 2027-05-31"
Day = Annotated[
    date,
    PlainValidator(_read_day),
    PlainSerializer(date.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "x-type": _DAY_WORDS}),
]


class OAuthSettings(WithSecrets):
    """How to get access tokens (`auth: xoauth2`)."""

    flow: Literal["client_credentials", "service_account", "refresh_token"] = Field(
        description="client_credentials: an application of your own in Microsoft 365. service_account: a Google "
        "service account that may act for the mailbox. refresh_token: consent given once, for any provider."
    )
    tenant: str = Field(
        "",
        pattern=r"^[A-Za-z0-9.-]*$",
        description="Microsoft's directory (tenant) id or domain; it gives `token_url`.",
    )
    token_url: Annotated[str, AfterValidator(_check_token_url)] = Field(
        "", description="Where tokens are asked for; left out, it follows from `tenant`, or is Google's."
    )
    client_id: str = Field("", description="The application's id (client_credentials, refresh_token).")
    client_secret_env: EnvName = Field("", description="Environment variable that holds the application's secret.")
    client_secret_file: SecretFile = Field("", description="File that holds it. Instead of `client_secret_env`.")
    client_secret_expires: Day | None = Field(
        None,
        description="The day on which the application's secret expires, as the provider shows it: operations are told "
        "14 and 3 days ahead.",
    )
    refresh_token_env: EnvName = Field("", description="Environment variable that holds the refresh token.")
    refresh_token_file: SecretFile = Field("", description="File that holds it. Instead of `refresh_token_env`.")
    key_file: SecretFile = Field("", description="The JSON key file of the service account.")
    scope: str = Field("", description="What the token is for; left out, mail at Microsoft or Google, as `flow` says.")

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Each flow has what it needs."""
        flow = given.get("flow")
        for keys in _NEEDED.get(flow, ()) if isinstance(flow, str) else ():
            if not any(given[key] for key in keys):
                yield keys[0], f"is missing{''.join(f', or {key}' for key in keys[1:])} (flow: {flow})"

    @property
    def url(self) -> str:
        """Where tokens are asked for."""
        return self.token_url or (_MICROSOFT.format(tenant=quote(self.tenant)) if self.tenant else _GOOGLE)


def sign_in_faults(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Say what doesn't fit together in a block with `auth`, `oauth` and the password's places."""
    by_password = next((key for key in ("password_env", "password_file") if given[key]), "")
    if given["auth"] == "xoauth2":
        if given["oauth"] is None:
            yield "oauth", "is missing (auth: xoauth2)"
        if by_password:
            yield by_password, "goes together with auth: password, not with xoauth2"
    elif given["oauth"] is not None:
        yield "oauth", "goes together with auth: xoauth2"


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    value: str
    expires_at: datetime


class Tokens:
    """The access tokens of one mailbox. `cursor` keeps a refresh token that the provider changed."""

    def __init__(
        self, settings: OAuthSettings, username: str, *, clock: Clock, cursor: Cursor, base_dir: Path | None = None
    ) -> None:
        self._settings = settings
        self._username = username
        self._clock = clock
        self._cursor = cursor
        self._base_dir = base_dir or Path()
        self._token: _Token | None = None
        self._asking = asyncio.Lock()

    @property
    def expires_at(self) -> datetime | None:
        """When the present token expires; None if there is none."""
        return self._token.expires_at if self._token else None

    def expiries(self) -> list[tuple[str, datetime]]:
        """Return what a person has to renew, and when."""
        day = self._settings.client_secret_expires
        return [("the application's secret", datetime(day.year, day.month, day.day, tzinfo=UTC))] if day else []

    def forget(self, token: str = "") -> None:
        """The server refused this token, or the present one: ask for another next time, unless that is done."""
        if self._token is not None and token in ("", self._token.value):
            self._token = None

    async def current(self) -> str:
        """Return a token: the present one if it is good for another five minutes, else a new one.

        Several connections get the same one. Raises `SourceRejected` when the provider refuses us,
        `SourceUnavailable` when it can't be reached.
        """
        async with self._asking:  # a refresh token is good for one use at some providers
            if self._token is None or self._token.expires_at - self._clock.now() < _AHEAD:
                self._token = await self._ask()
            return self._token.value

    async def _ask(self) -> _Token:
        asked_at = self._clock.now()
        try:
            form = await self._form()
        except (SecretMissing, ValueError) as error:
            raise SourceRejected(str(error)) from error
        answer = await self._post(form)
        value, seconds = answer.get("access_token"), answer.get("expires_in", 3600)
        if not isinstance(value, str) or not value:
            raise SourceUnavailable("the token server gave no token")
        await self._keep(answer.get("refresh_token"), form)
        life = int(seconds) if str(seconds).isdigit() else 3600  # some providers write it as a string
        return _Token(value, asked_at + timedelta(seconds=life))

    async def _form(self) -> dict[str, str]:
        settings = self._settings
        if settings.flow == "service_account":
            return await asyncio.to_thread(self._statement)
        form = {"grant_type": settings.flow, "client_id": settings.client_id}
        scope = settings.scope or _SCOPES.get(settings.flow, "")
        if settings.flow == "refresh_token":
            form["refresh_token"] = await self._refresh_token()
        if secret := settings.secret("client_secret"):
            form["client_secret"] = await asyncio.to_thread(secret.read)
        return form | ({"scope": scope} if scope else {})

    def _statement(self) -> dict[str, str]:
        """Return what a service account sends: a statement for whom it acts, signed with its key."""
        key = _read_key_file(self._base_dir / secret_path(self._settings.key_file))
        now = int(self._clock.now().timestamp())
        claims = {
            "iss": key["client_email"],
            "sub": self._username,
            "scope": self._settings.scope or _SCOPES["service_account"],
            "aud": self._settings.url,
            "iat": now,
            "exp": now + _STATEMENT_S,
        }
        signed = _rs256.token(_rs256.read_key(key["private_key"]), claims, key.get("private_key_id", ""))
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}

    async def _refresh_token(self) -> str:
        """Return the newest refresh token that descends from the configured one."""
        secret = self._settings.secret("refresh_token")
        configured = await asyncio.to_thread(secret.read) if secret else ""
        kept = await self._kept()
        return str(kept["refresh_token"]) if kept.get("from") == _digest(configured) else configured

    async def _kept(self) -> dict[str, Any]:
        try:
            return await self._cursor.get() or {}
        except StoreBusy as error:
            raise SourceUnavailable("the store is busy") from error

    async def _keep(self, fresh: object, form: Mapping[str, str]) -> None:
        secret = self._settings.secret("refresh_token")
        if secret is None or not isinstance(fresh, str) or not fresh or fresh == form.get("refresh_token"):
            return
        configured = await asyncio.to_thread(secret.read)
        try:
            await self._cursor.set({"refresh_token": fresh, "from": _digest(configured)})
        except StoreBusy as error:  # without it the next start would fail: better try again while the old one is good
            raise SourceUnavailable("the store is busy") from error

    async def _post(self, form: Mapping[str, str]) -> dict[str, Any]:
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as http,
                http.post(self._settings.url, data=form, allow_redirects=False) as response,
            ):
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SourceUnavailable(f"the token server can't be reached ({type(error).__name__})") from error
        answer = _parsed(body)
        if status == 200:
            return answer
        why = f"the token server answered {status} {_reason(answer)}".strip()
        rejected = status in _REJECTED and answer.get("error") not in _PASSING
        raise SourceRejected(why) if rejected else SourceUnavailable(why)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _reason(answer: Mapping[str, Any]) -> str:
    """Return the provider's error (RFC 6749, section 5.2) in one short line, without addresses."""
    said = [answer.get("error"), answer.get("error_description")]
    text = " ".join(" ".join(part.split()) for part in said if isinstance(part, str))
    return re.sub(r"\S+@\S+", "…", "".join(c for c in text if c.isprintable()))[:200]


def _read_key_file(path: Path) -> dict[str, str]:
    try:
        key = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"the key file can't be read ({error.strerror})") from error
    except ValueError:
        raise ValueError("the key file isn't JSON") from None  # the cause would hold the key
    if not isinstance(key, dict) or not all(isinstance(key.get(k), str) for k in ("client_email", "private_key")):
        raise ValueError("the key file isn't that of a service account")
    return {name: value for name, value in key.items() if isinstance(value, str)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
