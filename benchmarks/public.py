"""Public sets of labelled texts, as they lie beside this repository: for measuring only, never shipped."""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from benchmarks.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    Row = tuple[str, str]
    """A text and its label."""

DATA = ROOT.parent / "shared" / "data"
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Set:
    """Rows to learn from, rows to be asked, and texts that belong to no label: to learn from, and to be asked."""

    train: Sequence[Row]
    test: Sequence[Row]
    few: Sequence[Row] = ()  # ten of each label
    strangers: Sequence[str] = ()
    test_strangers: Sequence[str] = ()


def hwu64() -> Set:
    """Return HWU64 (Liu et al. 2019) with the splits of Zhang et al. 2020: train and valid are learnt from."""
    return Set(
        [*_lines("HWU64", "train"), *_lines("HWU64", "valid")], _lines("HWU64", "test"), _lines("HWU64", "train_10")
    )


def banking77() -> Set:
    """Return BANKING77 (Casanueva et al. 2020), official split."""
    train, test = (_csv(DATA / "intents/banking77" / name, "text", "category") for name in ("train.csv", "test.csv"))
    return Set(train, test, _lines("BANKING77", "train_10"))


def clinc150() -> Set:
    """Return CLINC150 (Larson et al. 2019), data_full: its 100 out-of-scope training texts are learnt from, too."""
    data = json.loads((DATA / "intents/clinc150/data_full.json").read_bytes())
    rows = {name: [(text, label) for text, label in data[name]] for name in ("train", "test")}
    strangers, asked = ([text for text, _label in data[name]] for name in ("oos_train", "oos_test"))
    return Set(rows["train"], rows["test"], _lines("CLINC150", "train_10"), strangers, asked)


def _lines(name: str, split: str) -> list[Row]:
    folder = DATA / "intents/fewshot" / name / split
    texts, labels = ((folder / part).read_text(encoding="utf-8").split("\n") for part in ("seq.in", "label"))
    return [(text.strip(), label.strip()) for text, label in zip(texts, labels, strict=False) if text.strip()]


def _csv(path: Path, text: str, label: str) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row[text].strip(), row[label]) for row in csv.DictReader(file) if row[text].strip()]


def help_desk() -> Set:
    """Return real mails to a help desk, 8 queues, split at random 80 to 20; released lower-cased and without names."""
    with gzip.open(
        next((DATA / "real/endava_it_tickets").glob("*.csv.gz")), "rt", encoding="utf-8", newline=""
    ) as file:
        return _split((row["Document"], row["Topic_group"]) for row in csv.DictReader(file))


def public_service() -> Set:
    """Return real comments to a hospital, 9 labels, split likewise."""
    return _split(_csv(DATA / "real/nhs_fft_feedback/phase1_text_data.csv", "feedback", "label"))


def text_like() -> Set:
    """Return sentences in the manner of text messages, 9 labels that five people voted on, split likewise."""
    rows = _sheet(DATA / "real/sad_stress_sms/SAD_v1.xlsx")
    names = next(rows)
    text, label = names.index("sentence"), names.index("top_label")
    return _split((row[text], row[label]) for row in rows if len(row) > max(text, label))


def _split(rows: Iterable[Row]) -> Set:
    """Drop copies of a text and put a fifth of each label aside."""
    known = {" ".join(text.lower().split()): (text, label) for text, label in rows if text.strip() and label}
    order = sorted(known.values())
    random.Random(0).shuffle(order)
    order.sort(key=lambda row: row[1])
    test = [row for number, row in enumerate(order) if number % round(1 / _TEST_SHARE) == 0]
    return Set([row for number, row in enumerate(order) if number % round(1 / _TEST_SHARE)], test)


def _sheet(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a workbook's first sheet (ECMA-376), which needs no library for texts."""
    with zipfile.ZipFile(path) as book:
        shared = [
            "".join(part.text or "" for part in entry.iter(f"{_SHEET}t"))
            for entry in ET.fromstring(book.read("xl/sharedStrings.xml")).iter(f"{_SHEET}si")
        ]
        sheet = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
    for row in sheet.iter(f"{_SHEET}row"):
        cells: dict[int, str] = {}
        for cell in row.iter(f"{_SHEET}c"):
            value = cell.find(f"{_SHEET}v")
            content = (value.text or "") if value is not None else ""
            cells[_column(cell.get("r", "A"))] = shared[int(content)] if cell.get("t") == "s" and content else content
        yield [cells.get(number, "") for number in range(max(cells, default=-1) + 1)]


def _column(reference: str) -> int:
    letters = re.match(r"[A-Z]+", reference)
    number = 0
    for letter in letters[0] if letters else "A":
        number = number * 26 + ord(letter) - 64
    return number - 1


INTENTS: dict[str, Callable[[], Set]] = {"hwu64": hwu64, "banking77": banking77, "clinc150": clinc150}
TRANSFER: dict[str, Callable[[], Set]] = {
    "help_desk": help_desk,
    "public_service": public_service,
    "text_like": text_like,
}
