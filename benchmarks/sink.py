"""A light SMTP server that notes when each mail was complete.

`python -m benchmarks.sink` prints its port, then for every mail a line `time recipient token`: CLOCK_MONOTONIC in
seconds (the same clock in every process of the machine) when the last dot came, and the token of `requests.py` found
in the mail ("-" if there is none). It runs until SIGTERM.
`--latency S` lets every last dot wait so long for its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import sys
import time

from benchmarks.requests import TOKEN

_END = b"\r\n.\r\n"
_GREETING = b"220 sink.test ESMTP\r\n"
_EHLO = b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 52428800\r\n"
_OK = b"250 2.0.0 OK\r\n"
_RECIPIENT = re.compile(rb"<([^>]*)>")


class Session(asyncio.Protocol):
    """One connection: commands a line each, then a mail up to its last dot."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._buffer = bytearray()
        self._recipient = b""
        self._in_data = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        """Take commands and mails as far as they are complete."""
        seen = max(0, len(self._buffer) - len(_END))
        self._buffer += data
        while self._mail(seen) if self._in_data else self._line():
            seen = 0

    def _mail(self, seen: int) -> bool:
        end = self._buffer.find(_END, seen)
        if end < 0:
            return False
        self._note(bytes(self._buffer[:end]))
        del self._buffer[: end + len(_END)]
        self._in_data = False
        if self._latency_s:
            asyncio.get_running_loop().call_later(self._latency_s, self._answer, _OK)
        else:
            self._answer(_OK)
        return True

    def _note(self, mail: bytes) -> None:
        found = TOKEN.search(mail)
        token = found[0].decode() if found else "-"
        sys.stdout.write(f"{time.monotonic():.6f} {self._recipient.decode()} {token}\n")
        sys.stdout.flush()

    def _line(self) -> bool:
        line, ended, _rest = self._buffer.partition(b"\r\n")
        if not ended:
            return False
        del self._buffer[: len(line) + 2]
        self._command(bytes(line))
        return True

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"EHLO":
            self._answer(_EHLO)
        elif verb == b"DATA":
            self._in_data = True
            self._answer(b"354 Go on\r\n")
        elif verb == b"QUIT":
            self._answer(b"221 2.0.0 Bye\r\n")
            assert self._transport is not None
            self._transport.close()
        else:
            if verb == b"RCPT":
                found = _RECIPIENT.search(line)
                self._recipient = found[1] if found else b"-"
            self._answer(_OK)

    def _answer(self, reply: bytes) -> None:
        assert self._transport is not None
        self._transport.write(reply)


async def serve(latency_s: float) -> None:
    """Serve until SIGTERM."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(lambda: Session(latency_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    asyncio.run(serve(parser.parse_args().latency))
