"""Certificates: what a listener of ours offers, renewed while it runs, and when a certificate ends."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python's ssl has no name for
_LONG_LIVED = timedelta(days=42)  # shorter ones are renewed by a machine, a few days ahead


def ends_at(certificate: Mapping[str, Any]) -> datetime:
    """Return until when a certificate (as `ssl.SSLSocket.getpeercert` shows it) is good."""
    return _time(certificate, "notAfter")


def is_long_lived(certificate: Mapping[str, Any]) -> bool:
    """Return whether somebody may forget to renew it: it is issued for more than six weeks."""
    return ends_at(certificate) - _time(certificate, "notBefore") > _LONG_LIVED


def _time(certificate: Mapping[str, Any], name: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate[name])), UTC)


def presented(server_side: ssl.SSLContext, chain: Path, *, at_any_time: bool = False) -> dict[str, Any]:
    """Return a listener's certificate as a client sees it, by a handshake in memory; `chain` vouches for itself.

    Raises `ssl.SSLError` if it isn't good; with `at_any_time` it may be expired.
    """
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname = False
    client_side.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if at_any_time:
        client_side.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    client_side.load_verify_locations(chain)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client_side.wrap_bio(down, up), server_side.wrap_bio(up, down, server_side=True)]
    for _ in range(4):
        for side in sides:
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return dict(sides[0].getpeercert() or {})


class Served:
    """A certificate and its key in files, as a listener offers them: once renewed, the next connection gets it."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self._context: ssl.SSLContext | None = None
        self._stamp: tuple[int, ...] = ()
        self.ends_at: datetime | None = None  # of the certificate that is offered

    def context(self) -> ssl.SSLContext:
        """Return what to offer; raise `OSError` if that can't be read and there was nothing good before."""
        try:
            stamp = tuple(path.stat().st_mtime_ns for path in (self._chain, self._key))
            if self._context is None or stamp != self._stamp:
                self._load()
                self._stamp = stamp
        except OSError:  # SSLError is one; the two files may be in the middle of being replaced
            if self._context is None:
                raise
        assert self._context is not None
        return self._context

    def _load(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._chain, self._key)
        self._context, self.ends_at = context, None
        with suppress(OSError, KeyError):  # a handshake is a courtesy here: what can't be read is offered all the same
            self.ends_at = ends_at(presented(context, self._chain, at_any_time=True))
