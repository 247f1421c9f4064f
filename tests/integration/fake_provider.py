"""A small OpenID provider on a loopback port: real discovery, real keys, real signatures, and every way to lie."""

from __future__ import annotations

import base64
import hmac
import json
import time
from contextlib import asynccontextmanager
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

CLIENT, SECRET = "the-client", "hush"


class FakeProvider:
    """Its `claims` go into the next ID token over the right ones; `lies` change how it is made or sent."""

    def __init__(self, port):
        self.issuer = f"http://127.0.0.1:{port}"
        self.keys = {"k1": RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})}
        self.other_key = RSAKey.generate_key(2048, {"kid": "k1"})
        self.signs_with = "k1"
        self.claims = {}
        self.lies = {}
        self.given = {}  # what belongs to a code
        self.fetched = []

    def application(self):
        """Return what answers."""
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self._discovery)
        application.router.add_get("/keys", self._keys)
        application.router.add_post("/token", self._token)
        return application

    def new_key(self, kid, *, elliptic=False):
        """Sign with another key from now on."""
        parameters = {"kid": kid, "use": "sig"}
        self.keys[kid] = ECKey.generate_key("P-256", parameters) if elliptic else RSAKey.generate_key(2048, parameters)
        self.signs_with = kid

    def approve(self, location, subject="s-1", **claims):
        """Be the person who is sent here and agrees; return the query of the way back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        code = f"code-{len(self.given)}"
        self.given[code] = asked, {"sub": subject, **claims}
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    async def _discovery(self, _request):
        self.fetched.append("discovery")
        if "discovery" in self.lies:
            return self.lies["discovery"]()
        return web.json_response(
            {
                "issuer": self.lies.get("issuer", self.issuer),
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": self.lies.get("token_endpoint", f"{self.issuer}/token"),
                "jwks_uri": f"{self.issuer}/keys",
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _keys(self, _request):
        self.fetched.append("keys")
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys.values()]})

    async def _token(self, request):
        self.fetched.append("token")
        form = await request.post()
        asked, said = self.given.pop(form.get("code"), (None, None))
        basic = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        challenge = base64.urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
        fits = (
            asked
            and request.headers.get("Authorization") == basic
            and challenge.decode() == asked["code_challenge"]
            and form["redirect_uri"] == asked["redirect_uri"]
        )
        if not fits:
            return web.json_response({"error": "invalid_grant"}, status=400)
        if "token" in self.lies:
            return self.lies["token"]()
        return web.json_response({"token_type": "Bearer", "id_token": self._id_token(asked, said)})

    def _id_token(self, asked, said):
        now = int(time.time())
        right = {"iss": self.issuer, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": asked["nonce"]}
        claims = {name: value for name, value in {**right, **said, **self.claims}.items() if value is not None}
        kind = self.lies.get("alg", "ES256" if isinstance(self.keys[self.signs_with], ECKey) else "RS256")
        header = {"alg": kind, "kid": self.lies.get("kid", self.signs_with)}
        if kind in {"none", "HS256"}:
            return self._by_hand(header, claims)
        key = self.other_key if self.lies.get("key") else self.keys[self.signs_with]
        return jws.serialize_compact(header, json.dumps(claims), key, algorithms=[kind])

    def _by_hand(self, header, claims):
        """Return a token as no library makes it: without a signature, or with the public key as a shared secret."""
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        secret = self.keys["k1"].as_pem(private=False)
        mac = hmac.digest(secret, signed.encode(), "sha256") if header["alg"] == "HS256" else b""
        return f"{signed}.{_encoded(mac)}"


def _encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@asynccontextmanager
async def fake_provider(port):
    """Run the provider until the block ends."""
    provider = FakeProvider(port)
    runner = web.AppRunner(provider.application())
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield provider
    finally:
        await runner.cleanup()
