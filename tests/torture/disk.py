"""A disk that fails on order, for processes that are started with its `env`: diskfault.c, preloaded, does it."""

from __future__ import annotations

import errno
import mmap
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

WRITES, SYNCS = 1, 2
EVER = 2**31 - 1
_SOURCE = Path(__file__).with_name("diskfault.c")
_ORDERS = struct.Struct("6i488s")  # struct orders there
_NUMBERS = struct.Struct("6i")


class Disk:
    """The files whose paths begin with `prefix`, and what befalls them."""

    def __init__(self, folder, prefix):
        self._prefix = str(prefix).encode()
        orders = folder / "diskfault"
        if not orders.exists():
            orders.write_bytes(bytes(_ORDERS.size))
        orders.chmod(0o666)  # a database server runs as a user of its own
        with orders.open("r+b") as file:
            self._orders = mmap.mmap(file.fileno(), _ORDERS.size)
        self.env = {"LD_PRELOAD": str(_built(folder)), "DISKFAULT": str(orders)}

    def fail(self, calls, error, *, after=0, times=1):
        """Let `times` calls of a kind (WRITES, SYNCS or both) fail with an errno, after so many that still succeed."""
        self.heal()
        self._orders[:] = _ORDERS.pack(0, error, after, times, 0, 0, self._prefix)
        self._orders[:4] = struct.pack("i", calls)  # last: it is in force from here on

    def fill(self):
        """Let there be no room, until `heal`."""
        self.fail(WRITES, errno.ENOSPC, times=EVER)

    def heal(self):
        """Let nothing fail any more, and return how many calls have failed since the last order."""
        self._orders[:4] = bytes(4)
        return self.failed

    @property
    def failed(self):
        """How many calls have failed since the last order."""
        return _NUMBERS.unpack(self._orders[: _NUMBERS.size])[5]


def _built(folder):
    library = folder / "diskfault.so"
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler on this machine (cc)")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True)
    return library
