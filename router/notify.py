"""Tell the service manager how the daemon is: started, reloading, stopping, alive (systemd's notify protocol).

Without a manager that asked for it (no `NOTIFY_SOCKET`) every call does nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

from router.errors import SignpostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_EXTENSION_S, _EXTEND_EVERY_S = 60.0, 20.0
_LONGEST_START_S = 3600.0  # a start that takes longer is stuck: the manager may end it
_PATIENCE_S = 2.0  # for a manager that doesn't read: it is about to be restarted itself
_LONGEST_STATUS = 500  # characters


class Notify:
    """One process's line to its service manager: datagrams as in sd_notify(3).

    `address` is the path of a Unix socket, or an abstract one that begins with "@"; "" if nobody listens.
    `watchdog_s` is how long the manager waits for a sign of life before it restarts us, 0 if it doesn't.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s
        self._started = threading.Event()

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Notify:
        """Return the line that the manager named in the environment (sd_notify(3), sd_watchdog_enabled(3)).

        Raises `SignpostError` for an address that is neither a path nor abstract: a start that nobody hears of would
        be ended as one that failed.
        """
        address = env.get("NOTIFY_SOCKET", "")
        if address and address[0] not in "/@":
            raise SignpostError("NOTIFY_SOCKET must be an absolute path, or an abstract socket that begins with @")
        is_ours = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        given = env.get("WATCHDOG_USEC", "")
        return cls(address, int(given) / 1e6 if is_ours and given.isdecimal() else 0.0)

    def starting(self) -> None:
        """Ask for more time until `ready`: a migration or a first training may take longer than a start usually does.

        A thread asks, because the first model is trained before there is an event loop.
        """
        if self._address:
            threading.Thread(target=self._extend, name="notify-starting", daemon=True).start()

    def ready(self, status: str) -> None:
        """Say that the daemon takes messages in: after the start, and after a reload."""
        self._started.set()
        self._send(f"READY=1\n{_status(status)}")

    def reloading(self) -> None:
        """Say that the configuration is read again; `ready` must follow, whether it could be used or not."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Say that the daemon takes nothing in any more and finishes what is under way."""
        self._started.set()
        self._send(f"STOPPING=1\n{_status('finishing what is under way')}")

    async def keep_watchdog(self, alive: Callable[[], bool]) -> None:
        """Give a sign of life twice per watchdog period, for ever, while the event loop turns and `alive` says so."""
        if not self._address or not self.watchdog_s:
            await asyncio.Event().wait()
        while True:
            if alive():
                self._send("WATCHDOG=1", patience_s=0.0)
            await asyncio.sleep(self.watchdog_s / 2)

    def _extend(self) -> None:
        until = time.monotonic() + _LONGEST_START_S
        while not self._started.is_set() and time.monotonic() < until:
            self._send(f"EXTEND_TIMEOUT_USEC={int(_EXTENSION_S * 1e6)}")
            self._started.wait(_EXTEND_EVERY_S)

    def _send(self, text: str, patience_s: float = _PATIENCE_S) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.settimeout(patience_s)
            try:
                line.sendto(text.encode(), self._address)
            except OSError:
                return  # nobody can be told; a manager that really is gone restarts us or doesn't need to know


def _status(text: str) -> str:
    """Return a sentence for `systemctl status`, on one line."""
    return "STATUS=" + " ".join(text.split())[:_LONGEST_STATUS]
