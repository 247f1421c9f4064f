"""Message ids: short enough to read out over the phone, ordered by time, never confused with another."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from struct import unpack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
LENGTH = 12
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]  # two digits at a time
_TIME_DIGITS = 7
_EPOCH_S = 1_735_689_600  # 2025-01-01: 35 bits of 1/16 s last until 2093
_ALIKE = str.maketrans({"O": "0", "I": "1", "L": "1"})
_PATTERN = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")


def new_message_ids(times: Sequence[datetime]) -> list[str]:
    """Return an id of 12 characters for each time: 35 bits of it (1/16 s) and 25 random bits.

    Two ids made in the same 1/16 s collide with probability 2**-25; the store makes a new one then. The random bits
    are asked for together: each time Python asks the system, other threads may take the interpreter's lock away.
    """
    numbers = unpack(f"{len(times)}I", os.urandom(4 * len(times)))
    return [_id(time, number >> 7) for time, number in zip(times, numbers, strict=True)]


def normalise(text: str) -> str:
    """Return the id a person meant (dashes, spaces, lower case, O for 0 are forgiven), or "" if it can't be one."""
    candidate = re.sub(r"[\s-]", "", text[:64]).upper().translate(_ALIKE)
    return candidate if _PATTERN.fullmatch(candidate) else ""


def _id(time: datetime, number: int) -> str:
    ticks = max(0, int((time.timestamp() - _EPOCH_S) * 16)) & (1 << 35) - 1
    return _time_digits(ticks) + ALPHABET[number >> 20] + _PAIRS[number >> 10 & 1023] + _PAIRS[number & 1023]


@lru_cache(16)
def _time_digits(ticks: int) -> str:
    """Return the digits that all ids of one moment share: messages come in groups."""
    return "".join([ALPHABET[ticks >> shift & 31] for shift in range(5 * (_TIME_DIGITS - 1), -1, -5)])
