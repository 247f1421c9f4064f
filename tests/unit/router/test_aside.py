"""Large messages are worked on in a thread, small ones where they are."""

from __future__ import annotations

import threading

import pytest

from router.aside import LARGE, aside


@pytest.mark.parametrize(("octets", "here"), [(LARGE, True), (LARGE + 1, False)])
async def test_only_what_is_large_goes_to_a_thread(octets, here):
    """A thread costs more than hashing a kilobyte; a hash of 25 MB would keep everybody waiting."""
    thread, length = await aside(lambda data: (threading.current_thread(), len(data)), bytes(octets))
    assert (thread is threading.current_thread(), length) == (here, octets)
