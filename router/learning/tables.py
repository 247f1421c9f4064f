"""Read labelled rows from tables as other programs write them: CSV of any delimiter and encoding, JSON Lines."""

from __future__ import annotations

import codecs
import csv
import json
import re
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    Numbered = tuple[int, "dict[str, Any] | str"]
    """A line's number with its row, or with a sentence that says why it is none."""

_COLUMNS = {
    "department": "dept departamento label category categoria queue team etiqueta",
    "subject": "title summary asunto titulo",
    "body": "text message description content comment question mensaje cuerpo texto descripcion message_body",
    "language": "lang idioma",
    "channel": "medium medio canal",
    "urgent": "urgente",
}
_OURS = {word: ours for ours, words in _COLUMNS.items() for word in (ours, *words.split())}
_DELIMITERS = ",;\t|"
_MOST_IN_A_FIELD = 16 * 1024 * 1024
_PIECE = 1 << 20
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_TABLE_NEEDS = "the first line must name the columns, among them department and subject or body"


def plain_name(text: str) -> str:
    """Return a name as it is compared: small letters without accents, everything else a single underscore."""
    bare = "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    return re.sub(r"[\W_]+", "_", bare).strip("_")


def our_names(names: Sequence[str]) -> dict[str, str]:
    """Return what each column is for us. A name of our own goes before a foreign one, and the first before others."""
    plain = {name: plain_name(name) for name in names}
    meant = {name: _OURS.get(word, word) for name, word in plain.items()}
    taken: dict[str, str] = {}
    for name in sorted(names, key=lambda name: plain[name] != meant[name]):
        taken.setdefault(meant[name], name)
    return {name: ours if taken[ours] == name else name for name, ours in meant.items()}


def json_rows(path: Path) -> Iterator[Numbered]:
    """Yield the objects of a JSON Lines file with our names for their fields."""
    known: dict[tuple[str, ...], dict[str, str]] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            row = _object(line)
            if isinstance(row, dict):
                keys = tuple(row)
                if keys not in known and len(known) < 1000:
                    known[keys] = our_names(keys)
                ours = known.get(keys) or our_names(keys)
                row = {ours[key]: value for key, value in row.items()}
            yield number, row


def _object(line: bytes) -> dict[str, Any] | str:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "this line isn't UTF-8"
    except ValueError as error:
        return f"this line isn't JSON: {error}"
    except RecursionError:
        return "this line is nested too deeply"
    return row if isinstance(row, dict) else "this line must be a JSON object"


def csv_rows(path: Path, department: str = "") -> Iterator[Numbered]:
    """Yield the rows of a table, a line's number being where its row ends.

    The delimiter is the one with which the first line names our columns; the text is UTF-8, UTF-16 with its mark, or
    else taken for Windows-1252. `department` stands for the column of that name where it is missing.
    """
    encoding = _encoding(path)
    with path.open(encoding=encoding, errors="replace", newline="") as file, _large_fields():
        first = file.readline(_PIECE)
        skipped = 1 if re.fullmatch(r"sep=.\s*", first) else 0  # Excel's own way to say which
        delimiter = first[4] if skipped else _delimiter(first)
        file.seek(0)
        reader = csv.reader(_lines(file, skipped), delimiter=delimiter)
        try:
            ours = our_names(names := next(reader, []))
            columns = [ours[name] for name in names]
            if not _is_table(columns, department):
                yield 1 + skipped, _TABLE_NEEDS
                return
            for fields in reader:
                if any(field.strip() for field in fields):
                    yield reader.line_num + skipped, _row(columns, fields, department)
        except csv.Error as error:
            yield reader.line_num + skipped, f"this line isn't CSV: {error}"


def _row(columns: Sequence[str], fields: Sequence[str], department: str) -> dict[str, Any] | str:
    if any(field.strip() for field in fields[len(columns) :]):
        return "more fields than the first line names"
    named: Mapping[str, str] = {"department": department} if department else {}
    return {**named, **dict(zip(columns, fields, strict=False))}


def _is_table(columns: Sequence[str], department: str) -> bool:
    return bool(department or "department" in columns) and not {"subject", "body"}.isdisjoint(columns)


def _delimiter(first: str) -> str:
    """Return the delimiter with which the line holds most of our columns, a comma in doubt."""

    def known(delimiter: str) -> int:
        names = next(csv.reader([first], delimiter=delimiter), [])
        return len({plain_name(name) for name in names} & _OURS.keys())

    return max(_DELIMITERS, key=known)


def _lines(file: Any, skipped: int) -> Iterator[str]:
    for number, line in enumerate(file):
        if number >= skipped:
            yield line.replace("\0", "")


def _encoding(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        head = file.read(4)
        for mark, name in _BOMS:
            if head.startswith(mark):
                return name
        file.seek(0)
        try:
            for piece in iter(lambda: file.read(_PIECE), b""):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


@contextmanager
def _large_fields() -> Iterator[None]:
    """Let a field be as large as a mail while the block runs."""
    before = csv.field_size_limit(_MOST_IN_A_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)
