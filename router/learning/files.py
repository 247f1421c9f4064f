"""Read labelled messages from what a district has: tables, mailboxes, and folders named after departments."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from channels._html import html_to_text
from classifiers._corpus import OUT_OF_SCOPE
from classifiers._text import from_row
from router.errors import SignpostError
from router.learning.mailboxes import is_mailbox, mails, understood
from router.learning.tables import csv_rows, json_rows

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping, Sequence

    from router.interfaces import ModelInput, Progress

_MOST_PROBLEMS = 20  # told at once
_TOLD_EVERY = 500  # rows
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"", "false", "no", "0", "none"})
_TEXTS = ("department", "subject", "body", "language", "channel", "medium", "topic", "group")
_TABLES = frozenset({".jsonl", ".ndjson", ".csv", ".tsv"})
_MARKUP = re.compile(r"<(?:p|br|div|html|body|span|table)\b[^<>]{0,200}>", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A labelled message of a file. `department` as it stands there; `where` is `file:line` for people.

    `source` is what the file was named as. `row` is the row as it stands in a table, empty for a mailbox and where
    nobody asked for it.
    """

    where: str
    department: str
    input: ModelInput
    urgent: bool = False
    group: str = ""
    source: str = ""
    row: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with a file: nothing is learnt until a person has mended it."""

    told: str


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """Why a message teaches nothing: it is counted and passed over."""

    why: str


def read_files(
    sources: Sequence[str],
    left_out: Counter[str] | None = None,
    progress: Progress | None = None,
    *,
    whole: bool = False,
) -> list[FileRow]:
    """Return the rows of every source, in order; with `whole` each with the row as it stands in its table.

    A source is a table (`.jsonl`, `.csv`, `.tsv` with columns department, subject, body, …), `DEPARTMENT=PATH` for a
    mailbox (Maildir, mbox, a folder of `.eml` files) or a table without that column, or a folder whose subfolders and
    `.mbox` files are named after departments. Messages without text, delivery reports and automatic answers are
    counted in `left_out`. Raise one `SignpostError` with a sentence, file and line for each of the first twenty rows
    that can't be used.
    """
    rows: list[FileRow] = []
    faults: list[str] = []
    for source in sources:
        for read in _read(source, whole=whole):
            if isinstance(read, FileRow):
                rows.append(read)
            elif isinstance(read, _Fault):
                faults.append(read.told)
            elif left_out is not None:
                left_out[read.why] += 1
            if progress and len(rows) % _TOLD_EVERY == 0 and rows:
                progress(f"reading the messages ({len(rows):,} so far)", 0.0)
    refuse(faults)
    return rows


def refuse(problems: Sequence[str]) -> None:
    """Raise `SignpostError` with the first twenty problems, if there are any."""
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        raise SignpostError("\n".join([*problems[:_MOST_PROBLEMS], *([f"… and {more} more"] if more > 0 else [])]))


def _read(source: str, *, whole: bool) -> Iterator[FileRow | _Fault | _LeftOut]:
    path = Path(source).expanduser()
    department, equals, named_path = source.partition("=")
    try:
        if equals and not path.exists():
            if department.strip():
                yield from _named(source, department.strip(), Path(named_path).expanduser(), whole=whole)
            else:
                yield _Fault(f"{source}: the department before = is missing")
        elif path.suffix.lower() in _TABLES:
            yield from _table(source, path, "", whole=whole)
        elif path.is_dir() and not (path / "cur").is_dir():
            yield from _folders(source, path)
        else:
            path.stat()  # a missing file is told as such
            yield _Fault(f"{source}: name its department: DEPARTMENT={source}, or give a .jsonl or .csv file")
    except OSError as error:
        yield _Fault(f"{source}: can't be read: {error.strerror or error}")


def _named(source: str, department: str, path: Path, *, whole: bool) -> Iterator[FileRow | _Fault | _LeftOut]:
    """Yield what a path holds, all of it for one department."""
    if path.suffix.lower() in _TABLES and path.is_file():
        yield from _table(source, path, department, whole=whole)
    elif not (path / "cur").is_dir() and not is_mailbox(path):
        what = "Maildir (it has no folder 'cur'), nor a folder with .eml or .mbox files" if path.is_dir() else "mail"
        yield _Fault(f"{path}: is no {what}")
    else:
        yield from _mailbox(source, department, path)


def _folders(source: str, path: Path) -> Iterator[FileRow | _Fault | _LeftOut]:
    """Yield the mails of a folder whose subfolders and mbox files are named after departments."""
    found = False
    for inner in sorted(path.iterdir()):
        hidden = inner.name.startswith(".") and not (inner / "cur").is_dir()  # Maildir++ begins folders with a dot
        if not hidden and (inner.is_dir() or inner.suffix.lower() == ".mbox") and is_mailbox(inner):
            found = True
            name = inner.name.removeprefix(".")
            yield from _mailbox(source, name[:-5] if name.lower().endswith(".mbox") else name, inner)
    if not found:
        yield _Fault(
            f"{source}: holds no folder of mails named after a department; for one department: DEPARTMENT={source}"
        )


def _mailbox(source: str, department: str, path: Path) -> Iterator[FileRow | _Fault | _LeftOut]:
    for name, said, why_not in understood(mails(path)):
        where = f"{path}:{name}" if name else str(path)
        yield _LeftOut(why_not) if why_not else FileRow(where=where, department=department, input=said, source=source)


def _table(source: str, path: Path, department: str, *, whole: bool) -> Iterator[FileRow | _Fault | _LeftOut]:
    is_json = path.suffix.lower() in {".jsonl", ".ndjson"}
    for number, row in json_rows(path) if is_json else csv_rows(path, department):
        where = f"{path}:{number}"
        if isinstance(row, str):
            yield _Fault(f"{where}: {row}")
        else:
            yield _row(source, where, {"department": department, **row} if department else row, whole=whole)


def _row(source: str, where: str, row: dict[str, Any], *, whole: bool) -> FileRow | _Fault | _LeftOut:
    wrong = next((name for name in _TEXTS if not isinstance(row.get(name) or "", str)), "")
    if wrong:
        return _Fault(f"{where}: {wrong} must be a text")
    department, urgent = (row.get("department") or "").strip(), str(row.get("urgent", "")).strip().lower()
    if not department:
        return _Fault(f"{where}: department is missing")
    if urgent not in _TRUE | _FALSE:
        return _Fault(f"{where}: urgent must be true or false")
    if _MARKUP.search((row.get("body") or "")[:2_000]):
        row = {**row, "body": html_to_text(row["body"])}
    said = from_row(row)
    if is_empty(said) and department != OUT_OF_SCOPE:  # a blank message is no department's business
        return _LeftOut("the message holds no text")
    return FileRow(
        where=where,
        department=department,
        input=said,
        urgent=urgent in _TRUE,
        group=row.get("group") or "",
        source=source,
        row=row if whole else {},
    )


def is_empty(model_input: ModelInput) -> bool:
    """Return whether there is nothing to learn from."""
    return not model_input.subject.strip() and not model_input.body.strip()
