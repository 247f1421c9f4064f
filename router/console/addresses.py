"""Where a request is from, and what of that counts as one place."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

_SITE_BITS = 64  # RFC 6177: whoever has IPv6 at all has at least as many addresses as fit into one such network


def of(request: web.Request) -> str:
    """Return where a request is from; behind a proxy on this machine what that one says, and no other.

    The proxy's word is the last one, in the last header of that name: some add a header of their own to the browser's.
    """
    remote = request.remote or ""
    known = _read(remote)
    if known is None or not known.is_loopback:
        return str(known or remote)
    said = _read(",".join(request.headers.getall("X-Forwarded-For", [])).rpartition(",")[2].strip())
    return str(said or known)


def place(address: str) -> str:
    """Return what attempts from an address are counted by: an IPv4 address, or the network of an IPv6 one."""
    known = _read(address)
    if isinstance(known, IPv6Address):
        return str(IPv6Network((int(known), _SITE_BITS), strict=False))
    return str(known or address)


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address, an IPv4 one that came in an IPv6 one (RFC 4291, section 2.5.5.2) as what it is."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
