"""Field types any block of settings can use: durations, rates, addresses, times and patterns.

Each type parses, refuses with a plain sentence that never repeats the value, and describes itself (`x-type` in its
JSON schema), so that messages, reference pages and editors all say the same.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Annotated, Any

import re2
from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
)
from pydantic import WithJsonSchema as _Schema

from router import colours
from router.interfaces import Settings

_DURATION = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m(?!s))?(?:(\d{1,8})s)?(?:(\d{1,9})ms)?")
_DURATION_UNITS = ("days", "hours", "minutes", "seconds", "milliseconds")
_RATE = re.compile(r"(\d{1,7}) ?/ ?(s|sec|second|min|minute|h|hour|d|day)")
_RATE_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")

DURATION_WORDS = "a duration such as 30s, 5m, 2h or 1d"
RATE_WORDS = "a rate such as 30/min, 5/s or 1000/day"
LISTEN_WORDS = "an address to listen on such as 127.0.0.1:8080 or [::1]:8080"
TIME_WORDS = "a time of day such as 07:30"
PATTERN_WORDS = "a regular expression (RE2)"
COLOUR_WORDS = f"a colour such as {colours.DEFAULT}"


def typed(words: str, pattern: str | None = None) -> _Schema:
    """Return the JSON schema of a string, described in `words`."""
    schema: dict[str, Any] = {"type": "string", "x-type": words}
    return _Schema(schema | ({"pattern": pattern} if pattern else {}))


# --- durations, rates, times ------------------------------------------------------------------------------------------


def parse_duration(value: object) -> timedelta:
    """Read "30s", "5m", "1h30m", "250ms" or "1d"; raise ValueError for anything else, a bare number too."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError(f"must be {DURATION_WORDS}")
    return timedelta(**{unit: int(n) for unit, n in zip(_DURATION_UNITS, match.groups(), strict=True) if n})


def _check_positive(duration: timedelta) -> timedelta:
    if not duration:
        raise ValueError("must be longer than 0s")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration the way it is read, in the largest whole units ("1h30m")."""
    rest, parts = duration // timedelta(milliseconds=1), ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `count` messages in `seconds`."""

    count: int
    seconds: int

    @property
    def per_second(self) -> float:
        """Messages per second."""
        return self.count / self.seconds

    def __str__(self) -> str:
        unit = next(unit for unit, seconds in _RATE_SECONDS.items() if seconds == self.seconds)
        return f"{self.count}/{ {'m': 'min', 'd': 'day'}.get(unit, unit) }"


def parse_rate(value: object) -> Pace:
    """Read "30/min", "5/s", "1000/day"; raise ValueError otherwise."""
    if isinstance(value, Pace):
        return value
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError(f"must be {RATE_WORDS}")
    return Pace(int(match[1]), _RATE_SECONDS[match[2][0]])


def parse_time(value: object) -> time:
    """Read "07:30"; raise ValueError otherwise."""
    if isinstance(value, time):
        return value
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"must be {TIME_WORDS}")
    return time(int(match[1]), int(match[2]))


# --- hosts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address with a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Tell whether traffic to this host stays on the machine; a name other than localhost counts as outside."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def check_host(value: str) -> str:
    """Return a host name or IP address as it is; raise ValueError if it can't be one."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if len(value) > 253 or not _HOST.fullmatch(value):
            raise ValueError("must be a host name or an IP address") from None
    return value


def parse_listen(value: object) -> Address:
    """Read "127.0.0.1:8080" or "[::1]:8080" (port 0: the system chooses one); raise ValueError otherwise."""
    if isinstance(value, Address):
        return value
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"must be {LISTEN_WORDS}")
    if not host or (":" in host) != bracketed:
        raise ValueError(f"must be {LISTEN_WORDS}")
    return Address(check_host(host.strip("[]")), int(port))


# --- patterns ---------------------------------------------------------------------------------------------------------


def compile_pattern(text: str) -> Any:
    """Compile a regular expression that ignores case and runs in linear time (RE2); raise ValueError if it is wrong."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"isn't a regular expression that RE2 understands: {reason}") from error


def _check_pattern(text: str) -> str:
    compile_pattern(text)
    return text


# --- colours ----------------------------------------------------------------------------------------------------------


def check_colour(value: str) -> str:
    """Return a colour that white text on it can be read on; raise ValueError for another, and for what is none."""
    if not colours.is_colour(value):
        raise ValueError(f"must be {COLOUR_WORDS}")
    if not colours.is_readable(value):
        raise ValueError("is too light: white text on it couldn't be read (contrast below 4.5)")
    return value


# --- the types --------------------------------------------------------------------------------------------------------

Duration = Annotated[
    timedelta, PlainValidator(parse_duration), PlainSerializer(format_duration, return_type=str), typed(DURATION_WORDS)
]
PositiveDuration = Annotated[Duration, AfterValidator(_check_positive)]
Rate = Annotated[Pace, PlainValidator(parse_rate), PlainSerializer(str, return_type=str), typed(RATE_WORDS)]
ListenAddress = Annotated[
    Address, PlainValidator(parse_listen), PlainSerializer(str, return_type=str), typed(LISTEN_WORDS)
]
TimeOfDay = Annotated[
    time,
    PlainValidator(parse_time),
    PlainSerializer(lambda value: value.strftime("%H:%M"), return_type=str),
    typed(TIME_WORDS),
]
Host = Annotated[str, AfterValidator(check_host), typed("a host name or an IP address")]
Port = Annotated[int, Field(ge=1, le=65535)]
Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_check_pattern), typed(PATTERN_WORDS)]
Colour = Annotated[str, AfterValidator(check_colour), typed(COLOUR_WORDS)]


class TakesIn(Settings):
    """Base of the settings of a channel that messages come in by."""

    expect_every: PositiveDuration | None = Field(
        None,
        description="Tell operations when no message at all has come in for so long, such as 2d; left out, silence is "
        "no trouble.",
    )
