"""A number that a browser keeps for us and can't read: it would tell how much the whole district is written to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

if TYPE_CHECKING:
    from router.signing import KeyRing

_HEADER = {"alg": "dir", "enc": "A128GCM"}  # RFC 7518, sections 4.5 and 5.3
_LONGEST, _DIGITS = 200, 18


class Sealed:
    """Numbers for one purpose, sealed with the district's newest key. The same number looks different each time."""

    def __init__(self, keys: KeyRing, purpose: str) -> None:
        self._key = OctKey.import_key(keys.key_for(purpose))

    def seal(self, number: int) -> str:
        """Return a token, which fits into an address."""
        return jwe.encrypt_compact(_HEADER, f"{number:0{_DIGITS}}".encode(), self._key)

    def open(self, token: str) -> int | None:
        """Return the number, None for what isn't one of these tokens."""
        try:
            return int(jwe.decrypt_compact(token[:_LONGEST], self._key).plaintext or b"")
        except (JoseError, ValueError):
            return None
