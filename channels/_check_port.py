"""A port of this machine, looked at without listening on it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.settings import Address

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what to connect to, in place of "every address"


def why_not_bound(address: Address) -> OSError | None:
    """Return why an address can't be bound, None if it can; nobody finds a door there that closes behind him."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        return error
    return None


def near(address: Address) -> Address:
    """Return where this machine itself reaches what listens on an address."""
    return type(address)(_ANYWHERE.get(address.host, address.host), address.port)
