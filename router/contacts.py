"""The district's contact list: which school the family behind an address or a phone number belongs to.

The list is personal data: kept in memory as digests only, and nothing of it is ever logged or shown.
"""

from __future__ import annotations

import csv
from array import array
from bisect import bisect_left
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING

from router.errors import SignpostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from router.records import Message, School

_SEVERAL = 0xFFFF  # instead of a school's number: the family has children at more than one
_NO_DIGITS = str.maketrans("", "", "+-.()/ \t\u00a0\u2010\u2011\u2013")
_PHONE_WORDS = ("phone", "mobile", "cell", "telefono", "teléfono")
_MAIL_WORDS = ("mail", "correo")
_SCHOOL_WORDS = ("school", "escuela", "campus", "building")
_DELIMITERS = ",;\t|"
_MOST_ROWS = 2_000_000
_HEADER_BYTES = 65_536


class Columns:
    """Where in a row the addresses, the numbers and the school stand, by what the header says."""

    def __init__(self, header: Sequence[str]) -> None:
        names = [name.strip().casefold() for name in header]
        schools = [at for at, name in enumerate(names) if _says(name, _SCHOOL_WORDS)]
        exact = [at for at in schools if names[at] in _SCHOOL_WORDS]
        plain = [at for at in schools if not _says(names[at], _MAIL_WORDS + _PHONE_WORDS)]
        self.school = next(iter(exact or plain), -1)
        self.mails = [at for at, name in enumerate(names) if _says(name, _MAIL_WORDS) and at not in schools]
        self.phones = [at for at, name in enumerate(names) if _says(name, _PHONE_WORDS) and at not in schools]

    def fault(self) -> str:
        """Return what is missing, "" if nothing is."""
        if self.school < 0:
            return "its first line names no column for the school"
        return "" if self.mails or self.phones else "its first line names no column for an email address or a phone"


def _says(name: str, words: Sequence[str]) -> bool:
    return any(word in name for word in words)


class Contacts:
    """Schools by digest of an address or a number, in two sorted arrays: 10 bytes for each.

    `unknown` counts rows whose school isn't one of ours, `rows` all of them.
    """

    def __init__(self, found: dict[int, int], schools: Sequence[str], rows: int = 0, unknown: int = 0) -> None:
        self._keys = array("Q", sorted(found))
        self._numbers = array("H", (found[key] for key in self._keys))
        self._schools = tuple(schools)
        self.rows = rows
        self.unknown = unknown

    def __len__(self) -> int:
        return len(self._keys)

    def school_of(self, message: Message) -> str:
        """Return the school of the writer's family, "" if it isn't known or there are several."""
        content = message.content
        known = {self._find(address) for address in (content.sender, content.reply_to, content.phone) if address}
        known.discard("")
        return known.pop() if len(known) == 1 else ""

    def _find(self, address: str) -> str:
        key = _digest(key_of(address))
        at = bisect_left(self._keys, key)
        if at == len(self._keys) or self._keys[at] != key or self._numbers[at] == _SEVERAL:
            return ""
        return self._schools[self._numbers[at]]


def read(path: Path, schools: Sequence[School]) -> Contacts:
    """Read the list; raise `SignpostError` if it can't be used. Rows of other schools are left out.

    CSV with a header, in UTF-8; the columns' names decide (any that says email, phone or school), and several of a kind
    may be there. A school stands by id, name or alias. 100,000 rows take about half a second.
    """
    names: dict[str, int | None] = {
        _plain(name): number
        for number, school in enumerate(schools)
        for name in (*school.aliases, school.name, school.id)
    }
    found: dict[int, int] = {}
    rows = unknown = 0
    for said, addresses in _rows(path):
        if said not in names:  # each spelling is looked up once
            names[said] = names.get(_plain(said))
        rows, number = rows + 1, names[said]
        if number is None:
            unknown += 1
            continue
        for key in map(_digest, addresses):
            found[key] = number if found.get(key, number) == number else _SEVERAL
    return Contacts(found, [school.id for school in schools], rows, unknown)


def _rows(path: Path) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield each row's school, as it is written, and its addresses; raise `SignpostError`."""
    try:
        with _opened(path) as (columns, lines):
            for number, row in enumerate(lines):
                if number >= _MOST_ROWS:
                    raise SignpostError(f"the contact list has more than {_MOST_ROWS:,} rows")
                yield row[columns.school] if len(row) > columns.school else "", _addresses(row, columns)
    except (OSError, csv.Error, ValueError) as error:
        raise SignpostError(f"the contact list can't be read: {_why(error)}") from None  # the cause may show a row


def fault_of(path: Path) -> str:
    """Return why a file can't be a contact list, as far as its first line says, "" if it can."""
    try:
        with _opened(path):
            return ""
    except SignpostError as error:
        return str(error)
    except (OSError, csv.Error, ValueError) as error:
        return f"the contact list can't be read: {_why(error)}"


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it isn't UTF-8 text"
    return getattr(error, "strerror", None) or "it isn't CSV"


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Columns, Iterator[list[str]]]]:
    """Give the columns and the rows; raise `SignpostError` if the header names too little."""
    with path.open("rb") as stream:
        start = stream.read(_HEADER_BYTES)
    first = start.partition(b"\n")[0].decode("utf-8", "replace")
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    with path.open(encoding=encoding, newline="") as text:
        lines = csv.reader(text, delimiter=max(_DELIMITERS, key=first.count))
        columns = Columns(next(lines, []))
        if fault := columns.fault():
            raise SignpostError(f"the contact list can't be used: {fault}")
        yield columns, lines


def _addresses(row: Sequence[str], columns: Columns) -> Iterator[str]:
    for at in columns.mails:
        if at < len(row) and "@" in row[at]:
            yield key_of(row[at].strip())
    for at in columns.phones:
        if at < len(row) and (key := key_of(row[at].strip())):
            yield key


def key_of(address: str) -> str:
    """Return what all spellings of one address have in common: small letters without a +tag, or a number's digits.

    A number without + is one of the North American plan, as (555) 555-0111 is.
    """
    if "@" in address:
        local, _, domain = address.casefold().rpartition("@")
        return f"{local.partition('+')[0]}@{domain}"
    number = address.rpartition(":")[2]  # whatsapp:+15555550111
    digits = number.translate(_NO_DIGITS)
    if not digits.isdecimal():
        return ""
    if number.startswith("+") or len(digits) == 11:
        return digits
    return f"1{digits}" if len(digits) == 10 else ""


def _digest(key: str) -> int:
    return int.from_bytes(blake2b(key.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()
