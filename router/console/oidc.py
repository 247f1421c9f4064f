"""What an OpenID provider says, checked: OpenID Connect Core 1.0, with PKCE (RFC 7636) and RFC 9207. Mostly pure."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from router.errors import NotAuthentic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from router.secrets import Secret

_ALGORITHMS, _KINDS = ["RS256", "ES256"], ("RSA", "EC")
_SKEW_S = 60  # by how much clocks may differ
_OLDEST_S = 600  # an ID token is used at once
_LONGEST_TOKEN = 65_536
SCOPES = "openid email profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """What somebody in one of a provider's groups is here; None: all departments, all schools."""

    group: str
    role: str
    departments: frozenset[str] | None = None
    schools: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider that the district has chosen; `require` are claims that an ID token must hold, with small letters."""

    id: str
    name: str
    issuer: str
    client_id: str
    secret: Secret | None
    require: Mapping[str, frozenset[str]] = field(default_factory=dict)
    groups_claim: str = "groups"
    groups: tuple[Mapped, ...] = ()
    scopes: str = SCOPES
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider answers, from its discovery document."""

    authorize: str
    token: str
    keys: str
    names_issuer: bool  # it says `iss` with every answer (RFC 9207), so that one without it is another's
    posts_secret: bool  # it takes the secret in the form only


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A sign-in under way, kept in the browser's signed cookie."""

    provider: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    next: str = ""

    def dump(self) -> str:
        """Return it as text."""
        return json.dumps([self.provider, self.state, self.nonce, self.verifier, self.next])

    @classmethod
    def load(cls, text: str) -> Attempt:
        """Return what `dump` made."""
        provider, state, nonce, verifier, next_ = json.loads(text)
        return cls(provider=provider, state=state, nonce=nonce, verifier=verifier, next=next_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a provider says somebody is: `subject` is who, all else is only said. `email` is "" unless verified."""

    issuer: str
    subject: str
    email: str
    name: str
    groups: frozenset[str]


def endpoints(document: Mapping[str, Any], issuer: str) -> Endpoints:
    """Read a discovery document (OpenID Connect Discovery 1.0, section 4.3); raise `NotAuthentic` for another's."""
    if document.get("issuer") != issuer:
        raise NotAuthentic("the sign-in service says that it is another one")
    found = [document.get(key) for key in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    loopback = urlsplit(issuer).scheme == "http"
    for url in found:
        if not isinstance(url, str) or not (url.startswith("https://") or (loopback and url.startswith("http://"))):
            raise NotAuthentic("the sign-in service doesn't say where it answers")
    ways = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    named = document.get("authorization_response_iss_parameter_supported") is True
    authorize, token, keys = map(str, found)
    return Endpoints(authorize, token, keys, named, "client_secret_basic" not in ways)


def authorize_url(at: Endpoints, provider: Provider, attempt: Attempt, redirect_uri: str) -> str:
    """Return where the browser is sent."""
    challenge = base64.urlsafe_b64encode(sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": provider.scopes,
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "prompt": "select_account",
    }
    domains = provider.require.get("hd", ())
    if len(domains) == 1:
        asked["hd"] = next(iter(domains))  # a hint to Google; what counts is the claim
    return f"{at.authorize}{'&' if '?' in at.authorize else '?'}{urlencode(asked)}"


def code_of(query: Mapping[str, str], attempt: Attempt, at: Endpoints, issuer: str) -> str:
    """Return the code of an answer; raise `NotAuthentic` unless it is this provider's answer to this attempt."""
    if not secrets.compare_digest(query.get("state", "").encode(), attempt.state.encode()):
        raise NotAuthentic("this sign-in wasn't begun in this browser, or too long ago; please begin again")
    if query.get("iss", issuer) != issuer or (at.names_issuer and "iss" not in query):
        raise NotAuthentic("another sign-in service answered than the one that was asked")
    if query.get("error"):
        raise NotAuthentic("the sign-in service refused, or you left it; please begin again")
    code = query.get("code", "")
    if not code or len(code) > 4096:
        raise NotAuthentic("the sign-in service sent no answer that can be used; please begin again")
    return code


def key_id(token: str) -> str:
    """Return which key signed an ID token, "" where it doesn't say; raise `NotAuthentic` for what is none."""
    try:
        if len(token) > _LONGEST_TOKEN or token.count(".") != 2:
            raise _unfit()
        return str(jws.extract_compact(token.encode()).headers().get("kid", ""))
    except (JoseError, ValueError) as error:
        raise _unfit() from error


def identity(token: str, keys: Mapping[str, Any], provider: Provider, nonce: str, now: float) -> Identity:
    """Verify an ID token (OpenID Connect Core 1.0, section 3.1.3.7) and return who it names.

    Raises `NotAuthentic`, whose sentence says nothing that a forger could use.
    """
    claims = _claims(token, keys)
    _check(claims, provider, nonce, now)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise _unfit()
    email = claims.get("email")
    verified = claims.get("email_verified") in (True, "true") and isinstance(email, str) and email.count("@") == 1
    groups = claims.get(provider.groups_claim)
    return Identity(
        issuer=provider.issuer,
        subject=subject,
        email=str(email) if verified else "",
        name=_line(claims.get("name")),
        groups=frozenset(map(str, groups if isinstance(groups, list) else [groups] if groups else [])),
    )


def _claims(token: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    fit = [key for key in keys.get("keys", ()) if key.get("use", "sig") == "sig" and key.get("kty") in _KINDS]
    try:
        chosen = KeySet.import_key_set({"keys": fit})
        payload = jws.deserialize_compact(token, chosen, algorithms=_ALGORITHMS).payload
        claims = json.loads(payload)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise _unfit() from error
    if not isinstance(claims, dict):
        raise _unfit()
    return claims


def _check(claims: Mapping[str, Any], provider: Provider, nonce: str, now: float) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    expires, issued, said = claims.get("exp"), claims.get("iat"), claims.get("nonce")
    if not all(isinstance(at, int | float) and not isinstance(at, bool) for at in (expires, issued)):
        raise _unfit()
    wrong = (
        claims.get("iss") != provider.issuer
        or provider.client_id not in audiences
        or (len(audiences) > 1 and "azp" not in claims)
        or claims.get("azp", provider.client_id) != provider.client_id
        or not isinstance(said, str)
        or not secrets.compare_digest(said.encode(), nonce.encode())
        or expires <= now - _SKEW_S  # type: ignore[operator]  # numbers: looked at above
        or not now - _OLDEST_S <= issued <= now + _SKEW_S  # type: ignore[operator]
    )
    if wrong:
        raise _unfit()
    for claim, values in provider.require.items():
        if str(claims.get(claim, "")).casefold() not in values:
            raise NotAuthentic("this account isn't one of the district's; choose the account that you have from work")


def mapping(who: Identity, groups: tuple[Mapped, ...]) -> Mapped | None:
    """Return the first line of the configuration that speaks for somebody; "*" is everybody whom the provider knows."""
    return next((each for each in groups if each.group == "*" or each.group in who.groups), None)


def _line(text: object) -> str:
    return "".join(filter(str.isprintable, text))[:200] if isinstance(text, str) else ""


def _unfit() -> NotAuthentic:
    return NotAuthentic("the sign-in service's answer doesn't hold; please begin again")
