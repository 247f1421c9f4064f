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


class KeyRing:
    """The signing keys of a district; the newest signs, all verify. A token begins with its key's id.

    `keys` are (id, secret), the newest last. `mail_secret` never changes: outgoing Message-IDs are made of it.
    """

    def __init__(self, keys: Sequence[tuple[str, str]], mail_secret: str) -> None:
        self._keys = dict(keys)
        self._newest = keys[-1][0]
        self._mail_secret = mail_secret.encode()
        self._signers: dict[tuple[str, str], TimestampSigner] = {}
        self._derived: dict[str, bytes] = {}  # of the newest key, by purpose

    def sign(self, text: str, purpose: str) -> str:
        """Return a URL-safe token that carries the text."""
        key = self._derived.get(purpose) or self._derive(purpose)
        signed = base64_encode(text) + b"." + _timestamp(int(time.time()))  # as a `TimestampSigner` does it, in one go
        mac = base64_encode(digest(key, signed, "sha256"))
        return f"{self._newest}.{signed.decode()}.{mac.decode()}"

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

    def _derive(self, purpose: str) -> bytes:
        key = self._derived[purpose] = self._signer(self._newest, purpose).derive_key()
        return key

    def _signer(self, key_id: str, purpose: str) -> TimestampSigner:
        """Return the signer of one key and purpose, made once: there are few purposes, and many links."""
        if (key_id, purpose) not in self._signers:
            signer = TimestampSigner(self._keys[key_id], salt=purpose, digest_method=sha256)
            self._signers[key_id, purpose] = signer
        return self._signers[key_id, purpose]


@lru_cache(4)
def _timestamp(seconds: int) -> bytes:
    return base64_encode(int_to_bytes(seconds))
