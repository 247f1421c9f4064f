"""One HTTP request of a check: asked once, patiently, never redirected; its answer, or a finding that says why not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, TCPConnector

from channels import _failures_mending as mending
from channels._check_line import said_time
from channels._webhook_body import read_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from socket import socket

    from aiohttp import AddrInfoType

    from router.findings import Finding

_MAX_ANSWER = 500_000  # octets


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `at` is the time by the server's clock, None if it doesn't say."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: datetime | None


async def ask(
    method: str,
    url: str,
    *,
    limit_s: float,
    headers: Mapping[str, str] | None = None,
    socket_factory: Callable[[AddrInfoType], socket] | None = None,
) -> Answer | Finding:
    """Return the answer, whatever its status, or why there is none."""
    sent = {"User-Agent": "Signpost", "Accept-Encoding": "identity", **(headers or {})}
    connector = TCPConnector(force_close=True, socket_factory=socket_factory)
    try:
        async with (
            asyncio.timeout(limit_s),
            ClientSession(connector=connector) as http,
            http.request(method, url, headers=sent, allow_redirects=False) as response,
        ):
            at = said_time(response.headers.get("Date", ""))
            return Answer(response.status, response.headers.copy(), await read_answer(response, _MAX_ANSWER), at)
    except (ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
        return mending.request(error, url, *place_of(url))


def place_of(url: str) -> tuple[str, int]:
    """Return the host and the port of an HTTP address."""
    parts: Any = urlsplit(url)
    return parts.hostname or url, parts.port or (80 if parts.scheme == "http" else 443)
