"""Read labelled messages from files: `.jsonl`, `.csv`, and mailboxes (Maildir or mbox) as `DEPARTMENT=PATH`."""

from __future__ import annotations

import csv
import json
import mailbox
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from channels._mime import understand
from classifiers._corpus import OUT_OF_SCOPE
from classifiers._text import from_row, prepare
from router.errors import SignpostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from router.interfaces import ModelInput

_MOST_PROBLEMS = 20  # told at once
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"", "false", "no", "0", "none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A labelled message of a file. `department` as it stands there; `where` is `file:line` for people.

    `row` is the row as it stands in a .jsonl or .csv file, empty for a mailbox.
    """

    where: str
    department: str
    input: ModelInput
    urgent: bool = False
    group: str = ""
    row: Mapping[str, Any] = field(default_factory=dict)


def read_files(sources: Sequence[str]) -> list[FileRow]:
    """Return the rows of every source, in order.

    A source is the path of a `.jsonl` or `.csv` file (fields `subject, body, department, language, channel, urgent,
    group`; department and a subject or body are needed), or `DEPARTMENT=PATH` for a Maildir or an mbox file. Raise
    one `SignpostError` with a sentence, file and line for each of the first twenty rows that can't be used.
    """
    rows: list[FileRow] = []
    problems: list[str] = []
    for source in sources:
        for row in _read(source):
            if isinstance(row, FileRow):
                rows.append(row)
            else:
                problems.append(row)
    refuse(problems)
    return rows


def refuse(problems: Sequence[str]) -> None:
    """Raise `SignpostError` with the first twenty problems, if there are any."""
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        raise SignpostError("\n".join([*problems[:_MOST_PROBLEMS], *([f"… and {more} more"] if more > 0 else [])]))


def _read(source: str) -> Iterator[FileRow | str]:
    """Yield rows, and sentences about what isn't one."""
    path = Path(source)
    department, equals, mailbox_path = source.partition("=")
    try:
        if equals and not path.exists():
            yield from _mailbox_rows(department.strip(), Path(mailbox_path).expanduser())
        elif path.suffix.lower() == ".jsonl":
            yield from _jsonl_rows(path)
        elif path.suffix.lower() == ".csv":
            yield from _csv_rows(path)
        else:
            yield f"{source}: must be a .jsonl or .csv file, or DEPARTMENT=PATH for a Maildir or mbox"
    except OSError as error:
        yield f"{source}: can't be read: {error.strerror or error}"


def _jsonl_rows(path: Path) -> Iterator[FileRow | str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _json_row(f"{path}:{number}", line)


def _json_row(where: str, line: bytes) -> FileRow | str:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return f"{where}: this line isn't UTF-8"
    except ValueError as error:
        return f"{where}: this line isn't JSON: {error}"
    except RecursionError:
        return f"{where}: this line is nested too deeply"
    return _row(where, row) if isinstance(row, dict) else f"{where}: this line must be a JSON object"


def _csv_rows(path: Path) -> Iterator[FileRow | str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            names = set(reader.fieldnames or ())
            if "department" not in names or not names & {"subject", "body"}:
                yield f"{path}:1: the first line must name the columns, among them department and subject or body"
                return
            for row in reader:
                where = f"{path}:{reader.line_num}"
                yield f"{where}: more fields than the first line names" if None in row else _row(where, row)
        except UnicodeDecodeError:
            yield f"{path}:{reader.line_num + 1}: this file isn't UTF-8"
        except csv.Error as error:
            yield f"{path}:{reader.line_num}: this line isn't CSV: {error}"


def _row(where: str, row: Mapping[str, Any]) -> FileRow | str:
    texts = ("department", "subject", "body", "language", "channel", "medium", "topic", "group")
    wrong = next((name for name in texts if not isinstance(row.get(name) or "", str)), "")
    if wrong:
        return f"{where}: {wrong} must be a text"
    department, urgent = (row.get("department") or "").strip(), str(row.get("urgent", "")).strip().lower()
    if not department:
        return f"{where}: department is missing"
    if urgent not in _TRUE | _FALSE:
        return f"{where}: urgent must be true or false"
    model_input = from_row(row)
    if is_empty(model_input) and department != OUT_OF_SCOPE:  # a blank message is no department's business
        return f"{where}: subject and body are both empty"
    group = row.get("group") or ""
    return FileRow(where=where, department=department, input=model_input, urgent=urgent in _TRUE, group=group, row=row)


def is_empty(model_input: ModelInput) -> bool:
    """Return whether there is nothing to learn from."""
    return not model_input.subject.strip() and not model_input.body.strip()


def _mailbox_rows(department: str, path: Path) -> Iterator[FileRow | str]:
    if not department:
        yield f"={path}: the department before = is missing"
        return
    if path.is_dir() and not (path / "cur").is_dir():
        yield f"{path}: is a folder, but not a Maildir (it has no folder 'cur')"
        return
    for name, original in _mails(path):
        where = f"{path}:{name}"
        model_input = prepare(understand(original, {}, "email"), "email")
        if is_empty(model_input):
            yield f"{where}: this mail holds no text"
        else:
            yield FileRow(where=where, department=department, input=model_input)


def _mails(path: Path) -> Iterable[tuple[str, bytes]]:
    """Yield the mails with their file's name or, in an mbox, their number."""
    if not path.is_dir():
        path.stat()  # a missing file is told as such
    box: mailbox.Mailbox[Any] = (
        mailbox.Maildir(path, create=False) if path.is_dir() else mailbox.mbox(path, create=False)
    )
    try:
        for number, key in enumerate(sorted(box.keys()), start=1):
            yield (str(key) if path.is_dir() else f"mail {number}"), box.get_bytes(key)
    finally:
        box.close()
