"""Passwords of local accounts: which are good enough, argon2id, and how long a guesser has to wait."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from router.console import addresses
from router.errors import StoreBusy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

T = TypeVar("T")
SHORTEST, LONGEST = 12, 256  # characters
_AT_ONCE, _MOST_WAITING = 1, 40  # hashes: each takes a core for 50 ms, and 46 MB; messages need the others
_FEWEST_DIFFERENT = 5
# What the lists of leaked passwords begin with, without digits and signs; longer ones are mostly these, twice or
# joined.
_COMMON = frozenset(
    """password passwort passw passwd contrasena letmein welcome bienvenido iloveyou teamo changeme changeit admin
    administrator superuser root user guest login signin secret default temp temporary test testing qwerty qwertz
    qwertyuiop asdf asdfgh asdfghjkl zxcv zxcvbn zxcvbnm qazwsx qazwsxedc princess sunshine dragon monkey football
    baseball basketball soccer hockey superman batman trustno starwars whatever computer internet master shadow
    michael jordan jessica ashley summer winter spring autumn fall school teacher student principal district
    education classroom signpost""".split()  # noqa: SIM905  a list of so many is harder to read
)
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiop", "asdfghjkl", "zxcvbnm")
# By what a sign-in is about: how many failures are free, before each next one doubles the wait.
FREE = {"both": 5, "account": 30, "address": 200}
FORGET = timedelta(hours=1)
_FIRST_WAIT_S, _LONGEST_WAIT_S = 15, 900
_LONGEST_OF_ADDRESS_S = 2  # a school is one address: nobody there may lock all others out


def fault(password: str, *about: str) -> str:
    """Return in a sentence why a password won't do, "" if it will; `about` are names that belong to its owner."""
    if len(password) < SHORTEST:
        return f"A password has at least {SHORTEST} characters; several words are easier to remember than signs."
    if len(password) > LONGEST:
        return f"A password has at most {LONGEST} characters."
    if len(set(password.casefold())) < _FEWEST_DIFFERENT:
        return "This password repeats few characters, and would be guessed."
    rest = "".join(character for character in password.casefold() if character.isalpha())
    if _is_of(rest, {*_COMMON, *_words(about)}) or _is_run(password.casefold()):
        return "This password is among the first that are guessed: a common word, a row of keys, or your own name."
    return ""


def _words(about: tuple[str, ...]) -> set[str]:
    parts = {part for text in about for part in text.casefold().replace("@", " ").replace(".", " ").split()}
    return {"".join(filter(str.isalpha, part)) for part in parts if len(part) > 2}


def _is_of(letters: str, words: set[str]) -> bool:
    """Return whether a text is nothing but one or two such words, however often, and at most two letters more."""
    left, used = letters, 0
    for word in sorted(words - {""}, key=len, reverse=True):
        used += word in left
        left = left.replace(word, "")
    return len(left) <= 2 and used <= 2


def _is_run(password: str) -> bool:
    rows = [*_ROWS, *(row[::-1] for row in _ROWS)]
    return any(password in row * 4 for row in rows)


def _argon2() -> PasswordHasher:
    """Return argon2id (RFC 9106) with 46 MiB, one pass and one lane (OWASP, Password Storage Cheat Sheet)."""
    return PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)


def hashed(password: str) -> str:
    """Return what is kept of a password; takes a core for 50 ms."""
    return _argon2().hash(password)


class Hasher:
    """Hashes passwords, one at a time and in a thread."""

    def __init__(self) -> None:
        self._hasher = _argon2()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """Return what is kept of a password."""
        return await self._in_turn(partial(self._hasher.hash, password))

    async def fits(self, password: str, hashed: str | None) -> bool:
        """Return whether a password is the one that a hash was made of; None, for nobody, takes as long and is not."""
        if not self._nobody:
            self._nobody = await self.hash("nobody's password")
        matched = await self._in_turn(partial(self._matches, hashed or self._nobody, password[: LONGEST + 1]))
        return matched and hashed is not None

    def is_weak(self, hashed: str) -> bool:
        """Return whether a hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(hashed)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise StoreBusy("too many sign in at this moment")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def keys_of(email: str, address: str, browser: str = "") -> dict[str, str]:
    """Return by what failures are counted: the account, known or not, the address, and both. No address is kept.

    Of an IPv6 address its network: somebody there would otherwise begin anew with each of 2^64 addresses. A `browser`
    in which this account has signed in before counts by itself alone.
    """
    parts = {"account": email.strip().casefold(), "address": addresses.place(address)}
    parts["both"] = f"{parts['account']} {parts['address']}"
    if browser:
        parts = {"both": f"{parts['account']} browser {browser}"}
    return {kind: f"{kind}:{sha256(text.encode()).hexdigest()[:48]}" for kind, text in parts.items()}


def wait_s(keys: Mapping[str, str], failed: Mapping[str, tuple[int, datetime]], now: datetime) -> float:
    """Return for how many seconds no further attempt counts; pure."""
    return max((_wait_s(kind, failed[key], now) for kind, key in keys.items() if key in failed), default=0.0)


def _wait_s(kind: str, failed: tuple[int, datetime], now: datetime) -> float:
    times, last_at = failed
    beyond = times - FREE[kind]
    if beyond < 0 or now - last_at >= FORGET:
        return 0.0
    longest = _LONGEST_OF_ADDRESS_S if kind == "address" else _LONGEST_WAIT_S
    wait = min(_FIRST_WAIT_S * 2 ** min(beyond, 10), longest)
    return max(0.0, float(wait) - (now - last_at).total_seconds())
