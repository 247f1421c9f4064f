"""A connection that comes to nothing is let go of."""

from __future__ import annotations

import asyncio

import pytest
from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPHeloError

from channels._smtp import Link, Patience
from router.testing import within


async def test_a_server_that_takes_no_greeting_keeps_no_connection():
    """Refused at EHLO and HELO, as a relay that doesn't know us does: each attempt would leave a socket open."""
    closed = asyncio.Event()

    async def refuses(reader, writer):
        writer.write(b"220 relay.example ESMTP\r\n")
        while await reader.readline():
            writer.write(b"550 5.7.1 go away\r\n")
        writer.close()
        closed.set()

    async with await asyncio.start_server(refuses, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = SMTP(hostname="127.0.0.1", port=port, start_tls=False)
        with pytest.raises(SMTPHeloError):
            await Link.open(client, Patience(connect_s=5, greeting_s=5))
        await within(closed.wait())
