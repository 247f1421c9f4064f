"""Plain answers in one piece: to prepare and write one aiohttp's way is an eighth of what taking a form costs."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATUSES = frozenset({202, 303})


class PlainAnswers:
    """Renders the answers to accepted posts; `headers` are those that every answer to them carries."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    def render(self, response: web.StreamResponse) -> web.StreamResponse:
        """Return the same answer ready to be written, or as it is where anything about it is out of the ordinary.

        The request must be one by HTTP/1.1 that leaves the connection open.
        """
        if type(response) is not web.Response or len(response.headers) != 1 or _is_set_up(response):
            return response
        body = response.body or b""
        [(name, value)] = response.headers.items()
        if not (response.status in _STATUSES and isinstance(body, bytes) and value.isprintable()):
            return response
        head = (
            f"HTTP/1.1 {response.status} {response.reason}\r\n{name}: {value}\r\nContent-Length: {len(body)}\r\n"
            f"Date: {_date(int(time.time()))}\r\n{self._headers}\r\n"
        )
        return _Ready(head.encode() + body)


def _is_set_up(response: web.Response) -> bool:
    return bool(response.compression or response.chunked or response._cookies or response.keep_alive is not None)


class _Ready(web.StreamResponse):
    """An answer whose bytes are all there, on a connection that stays open; of all else about it nothing is asked."""

    _keep_alive = True  # what `prepare` finds out otherwise

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write it."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        transport.write(self._data)

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: it is written."""


@lru_cache(2)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
