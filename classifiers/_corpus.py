"""The bundled corpus: messages written for this project, with the department that has to act on them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from classifiers._text import from_row, from_text
from router.errors import SignpostError
from router.interfaces import Example

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.resources.abc import Traversable

    from router.interfaces import ModelInput

OUT_OF_SCOPE = "out_of_scope"
"""The label of messages that no department of the district has to act on."""

GLOSSARY = "glossary"
"""The source of examples that are no messages but terms that point to a department: learnt from, never tried."""

_PREPARATION = 3  # raise it when the text preparation changes, so that models trained before count as older


@dataclass(frozen=True, slots=True)
class Corpus:
    """Labelled rows and glossary terms as they stand in the files, and a fingerprint of both."""

    rows: tuple[dict[str, Any], ...]
    fingerprint: str
    terms: tuple[tuple[str, str, str], ...] = ()  # department, language, term

    def vocabulary(self) -> list[Example]:
        """Return the glossaries' terms as examples."""
        return [
            Example(input=from_text("", term, language=language), department=department, source=GLOSSARY)
            for department, language, term in self.terms
        ]

    def examples(self) -> list[Example]:
        """Return the in-scope rows as examples."""
        plain = self.plain_typical()
        return [example(row, plain=plain) for row in self.rows if row["department"] != OUT_OF_SCOPE]

    def plain_typical(self) -> float:
        """Return what a plain row counts, where thresholds are found, for all of them to make up their share."""
        plain, others = 0, 0.0
        for row in self.rows:
            tags = row.get("tags") or ()
            if "plain" in tags:
                plain += row["department"] != OUT_OF_SCOPE
            elif row["department"] != OUT_OF_SCOPE:
                others += HARD_WEIGHT if "hard" in tags else 1.0
        return PLAIN_SHARE / (1 - PLAIN_SHARE) * others / plain if plain and others else 1.0

    def out_of_scope(self) -> list[ModelInput]:
        """Return the rows that should make a model abstain."""
        return [from_row(row) for row in self.rows if row["department"] == OUT_OF_SCOPE]


HARD_WEIGHT = 0.2
"""What a row tagged `hard` counts where thresholds are found: such rows make up a tenth of the corpus on purpose, but
far less of real mail. They are learnt from like all others: out of fold that meant fewer mistakes on the rest, too."""

PLAIN_SHARE = 2 / 3
"""What share of real messages is taken to be as plain as the rows tagged so, where thresholds are found: most people
write plainly, while most of the corpus was written so that telling its departments apart takes care."""


def example(row: dict[str, Any], source: str = "corpus", plain: float = 1.0) -> Example:
    """Return a data row `{"subject", "body", "department", "language", "medium", "group"}` as an example.

    `plain` is how typical an in-scope row tagged so is.
    """
    tags = row.get("tags") or ()
    hard = HARD_WEIGHT if "hard" in tags else 1.0
    return Example(
        input=from_row(row),
        department=str(row["department"]),
        typical=plain if "plain" in tags and row["department"] != OUT_OF_SCOPE else hard,
        group=str(row.get("group") or ""),
        source=source,
        urgent=bool(row.get("urgent")),
    )


def load_corpus(folder: Traversable | None = None) -> Corpus:
    """Return the corpus in `folder` (the bundled one by default): every `*.jsonl` file, sorted by name.

    Glossaries are the files `glossary/DEPARTMENT.LANGUAGE.txt`, one term a line.
    Raise `SignpostError` with file and line for a row that can't be read.
    """
    folder = files("classifiers") / "corpus" if folder is None else folder
    sources = sorted((file for file in folder.iterdir() if file.name.endswith(".jsonl")), key=lambda file: file.name)
    digest = hashlib.sha256(f"preparation {_PREPARATION}\n".encode())
    rows: list[dict[str, Any]] = []
    for source in sources:
        data = source.read_bytes()
        digest.update(hashlib.sha256(data).digest())
        rows += _rows(source.name, data.decode().split("\n"))
    terms = list(_terms(folder / "glossary", digest))
    return Corpus(tuple(rows), digest.hexdigest(), tuple(terms))


def _terms(folder: Traversable, digest: hashlib._Hash) -> Iterable[tuple[str, str, str]]:
    if not folder.is_dir():
        return
    for source in sorted((file for file in folder.iterdir() if file.name.endswith(".txt")), key=lambda file: file.name):
        data = source.read_bytes()
        digest.update(hashlib.sha256(source.name.encode() + data).digest())
        department, _, language = source.name.removesuffix(".txt").rpartition(".")
        for line in data.decode().split("\n"):
            if line.strip():
                yield department, language, line.strip()


def _rows(name: str, lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SignpostError(f"{name}:{number}: this line isn't JSON: {error}") from error
        if not isinstance(row, dict) or not isinstance(row.get("department"), str) or not row["department"]:
            raise SignpostError(f"{name}:{number}: a row needs a department")
        yield row
