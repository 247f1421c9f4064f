"""Sign with an RSA key as JSON Web Tokens want it (RS256: RFC 7518, section 3.3), without a library for it.

For the one signature an hour that a service account needs. Its time isn't independent of the key, so it is not for
servers that strangers can ask to sign.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PEM = re.compile(r"-----BEGIN (RSA )?PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END \1?PRIVATE KEY-----")
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")  # DigestInfo of RFC 8017, section 9.2
_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30
_SMALLEST_BITS = 2048


@dataclass(frozen=True, slots=True, repr=False)
class RsaKey:
    """A private key. It has no repr, so that it can't get into a log."""

    modulus: int
    public: int
    private: int

    def sign(self, data: bytes) -> bytes:
        """Return the signature by RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2)."""
        size = (self.modulus.bit_length() + 7) // 8
        digest = _SHA256 + hashlib.sha256(data).digest()
        encoded = int.from_bytes(b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest, "big")
        signature = pow(encoded, self.private, self.modulus)
        if pow(signature, self.public, self.modulus) != encoded:
            raise ValueError("the private key doesn't fit together")
        return signature.to_bytes(size, "big")


def read_key(pem: str) -> RsaKey:
    """Return the key in a PEM text, PKCS #8 (RFC 5958) or PKCS #1; raise ValueError, which never quotes the key."""
    match = _PEM.search(pem)
    if match is None:
        raise ValueError("there is no private key in PEM form")
    try:
        values = list(_values(base64.b64decode("".join(match[2].split()), validate=True)))
        numbers = list(_values(values[0][1]))
        if not match[1]:  # version, algorithm, and the PKCS #1 key in an octet string
            numbers = list(_values(next(_values(numbers[2][1]))[1]))
        _version, modulus, public, private = [int.from_bytes(value, "big") for _kind, value in numbers[:4]]
    except (IndexError, ValueError, StopIteration, binascii.Error):
        raise ValueError("the private key is damaged, or is no RSA key") from None  # the cause may show some of it
    if modulus.bit_length() < _SMALLEST_BITS or not public or not private:
        raise ValueError("the private key is damaged, or is no RSA key of 2048 bits or more")
    return RsaKey(modulus, public, private)


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and content of each value in DER (X.690)."""
    at = 0
    while at < len(data):
        kind, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        if kind not in {_INTEGER, _OCTETS, _SEQUENCE} or at + length > len(data):
            raise ValueError("not what a key is made of")
        yield kind, data[at : at + length]
        at += length


def token(key: RsaKey, claims: Mapping[str, Any], key_id: str = "") -> str:
    """Return a signed JSON Web Token (RFC 7519)."""
    header = {"alg": "RS256", "typ": "JWT"} | ({"kid": key_id} if key_id else {})
    signed = ".".join(_base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{signed}.{_base64url(key.sign(signed.encode()))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
