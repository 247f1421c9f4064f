"""What the named places of router/failpoints.py cost while none is on: the time to pass all of a message's places."""

from __future__ import annotations

import timeit

from benchmarks.figures import Figure
from router.failpoints import PLACES, reach

_ROUNDS, _TIMES = 5, 200_000
_PASSED = 10  # by a message that comes in by form and leaves by SMTP
_MESSAGE_US = 2000.0  # of processor time that a message takes at 500 a second on one core
_MOST = 0.001  # of that


def measure() -> list[Figure]:
    """Return the share of a message's processor time that its places take."""
    place = next(iter(PLACES))
    seconds = min(timeit.repeat(lambda: reach(place), number=_TIMES, repeat=_ROUNDS))
    nothing = min(timeit.repeat(lambda: None, number=_TIMES, repeat=_ROUNDS))
    one_us = (seconds - nothing) / _TIMES * 1e6
    return [
        Figure(
            name="failpoints.share_when_off",
            value=round(one_us * _PASSED / _MESSAGE_US, 6),
            unit="share",
            n=_ROUNDS * _TIMES,
            better="lower",
            limit=_MOST,
            note="beside 2 ms, which a message may take at 500 a second",
            detail={"nanoseconds_each": round(one_us * 1000, 1), "places": _PASSED},
        )
    ]
