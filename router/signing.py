"""Signed links and ids: tokens that reveal nothing, made for one purpose, with the district's own keys."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from hmac import digest
from typing import TYPE_CHECKING

from itsdangerous import BadData, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode, int_to_bytes

from router.errors import NotAuthentic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from hashlib import _Hash as Hash

_BLOCK = 64  # octets, of SHA-256
_INNER, _OUTER = (bytes(octet ^ mask for octet in range(256)) for mask in (0x36, 0x5C))  # RFC 2104, section 2


class KeyRing:
    """The signing keys of a district; the newest signs, all verify. A token begins with its key's id.

    `keys` are (id, secret), the newest last. `mail_secret` never changes: outgoing Message-IDs are made of it.
    """

    def __init__(self, keys: Sequence[tuple[str, str]], mail_secret: str) -> None:
        self._keys = dict(keys)
        self._newest = keys[-1][0]
        self._mail_secret = mail_secret.encode()
        self._signers: dict[tuple[str, str], TimestampSigner] = {}
        self._begun: dict[str, tuple[Hash, Hash]] = {}  # signatures by the newest key, by purpose

    def sign(self, text: str, purpose: str, at: datetime | None = None) -> str:
        """Return a URL-safe token that carries the text and when it was signed: now, or at a time of its own."""
        begun = self._begun.get(purpose) or self._begin(purpose)
        seconds = int(at.timestamp() if at else time.time())
        signed = base64_encode(text) + b"." + _timestamp(seconds)  # as a `TimestampSigner` does it, in one go
        return f"{self._newest}.{signed.decode()}.{base64_encode(_ended(*begun, signed)).decode()}"

    def unsign(self, token: str, purpose: str, max_age_s: float | None = None) -> str:
        """Return the text; raise `NotAuthentic` if forged, meant for another purpose, or older than `max_age_s`."""
        key_id, _, signed = token[:2048].partition(".")
        if key_id not in self._keys:
            raise NotAuthentic("this link isn't one of ours, or it is too old")
        try:
            value, at = self._signer(key_id, purpose).unsign(signed, return_timestamp=True)
            text = base64_decode(value).decode()
        except (BadData, UnicodeDecodeError) as error:
            raise NotAuthentic("this link isn't one of ours, or it is too old") from error
        # A token of the future is none the worse: the clock may have been ahead when it was signed.
        if max_age_s is not None and (datetime.now(UTC) - at).total_seconds() > max_age_s:
            raise NotAuthentic("this link isn't one of ours, or it is too old")
        return text

    def mail_id(self, delivery_id: int, domain: str) -> str:
        """Return the Message-ID of a delivery, with brackets: the same for every attempt, not to be guessed."""
        mac = digest(self._mail_secret, str(delivery_id).encode(), "sha256").hex()[:24]
        return f"<signpost.{delivery_id}.{mac}@{domain}>"

    def delivery_of(self, mail_id: str, domain: str) -> int | None:
        """Return the delivery that a Message-ID belongs to, None if it isn't one of ours."""
        parts = mail_id.strip("<>").split("@")[0].split(".")
        if len(parts) != 3 or parts[0] != "signpost" or not parts[1].isdecimal() or len(parts[1]) > 18:
            return None
        number = int(parts[1])
        return number if self.mail_id(number, domain) == f"<{mail_id.strip('<>')}>" else None

    def key_for(self, purpose: str) -> bytes:
        """Return a key of 128 bits for one purpose alone, made of the newest."""
        return digest(self._keys[self._newest].encode(), f"signpost key for {purpose}".encode(), "sha256")[:16]

    def _begin(self, purpose: str) -> tuple[Hash, Hash]:
        """Return both hashes of an HMAC (RFC 2104) after the key, of which every signature takes copies.

        That costs a third of what OpenSSL needs to set one up. Needs a key of at most one block: it is a digest.
        """
        key = self._signer(self._newest, purpose).derive_key().ljust(_BLOCK, b"\0")
        begun = self._begun[purpose] = sha256(key.translate(_INNER)), sha256(key.translate(_OUTER))
        return begun

    def _signer(self, key_id: str, purpose: str) -> TimestampSigner:
        """Return the signer of one key and purpose, made once: there are few purposes, and many links."""
        if (key_id, purpose) not in self._signers:
            signer = TimestampSigner(self._keys[key_id], salt=purpose, digest_method=sha256)
            self._signers[key_id, purpose] = signer
        return self._signers[key_id, purpose]


def _ended(inner: Hash, outer: Hash, signed: bytes) -> bytes:
    inner, outer = inner.copy(), outer.copy()
    inner.update(signed)
    outer.update(inner.digest())
    return outer.digest()


@lru_cache(4)
def _timestamp(seconds: int) -> bytes:
    return base64_encode(int_to_bytes(seconds))
