"""What a model may learn from: corpus, confirmed corrections and files, in one fingerprinted set.

A part of it, chosen for good by a hash of each message's text, is held out: no model ever trains on it, so that any
two models can be compared on it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from classifiers._corpus import OUT_OF_SCOPE, example
from classifiers._text import prepare
from router.interfaces import Example
from router.learning.duplicates import grouped
from router.learning.files import is_empty, refuse
from router.learning.lessons import CORPUS, CORRECTION, WEAK, WORDS
from router.learning.outvote import Outvoted, Terms, moves_of, outvote, reasons
from router.learning.tables import plain_name
from router.store.codec import content_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from classifiers._corpus import Corpus
    from router.interfaces import ModelInput
    from router.learning.files import FileRow
    from router.learning.lessons import Lesson
    from router.records import Department, Prediction

    Rank = Callable[[Sequence[ModelInput]], list[Prediction]]

HELD_OUT_SHARE = 0.15
FILE = "file"  # "file NAME" where it has one
_HARDLY = 0.001  # how much a weak label counts where thresholds are found: it agrees with the model that gave it
_LIKELY = 0.5  # how sure the model that serves must be of a silent message of which the one before it wasn't
_HASHES = 1 << 64
_MOST_NAMES = 19  # unknown ones that are told at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Labelled rows. `out_of_scope` are the ones no label fits (their department is `out_of_scope`).

    `terms` are the glossaries' (no messages: learnt from, never held out, compared or replayed).

    `fingerprint` is a SHA-256 over all rows, whatever their order. `counts` says how many rows came from where,
    `left_out` how many were not used and why, `outvoted` which of the bundled ones. `learnt` names the people's words
    it was made of (see `Lesson.key`), `misrouted` the texts (`text_of`) of messages that the router had sent elsewhere,
    as people said.
    """

    examples: tuple[Example, ...]
    out_of_scope: tuple[Example, ...]
    fingerprint: str
    terms: tuple[Example, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    learnt: tuple[str, ...] = ()
    misrouted: frozenset[str] = frozenset()
    outvoted: tuple[Outvoted, ...] = ()


def build(
    *,
    corpus: Corpus | None = None,
    lessons: Sequence[Lesson] = (),
    files: Sequence[FileRow] = (),
    departments: Sequence[Department] = (),
    fallback: str = "",
    rank: Rank | None = None,
    any_label: bool = False,
    outvoting: Terms | None = None,
) -> Dataset:
    """Put together what there is to learn from.

    `lessons` are the district's own (`router.learning.lessons.gather`). Departments become labels of the model by what
    they cover; where one covers several, `rank` (the champion's `predict`) chooses among them. A correction to the
    fallback, or to a department that covers nothing, says that no label fits. Files may name labels or departments;
    raise `SignpostError` for every other name, unless `any_label`. `outvoting` says when corrections outvote bundled
    rows; None: never.
    """
    left_out: Counter[str] = Counter()
    labels = Labels(departments, fallback, rank)
    plain = corpus.plain_typical() if corpus else 1.0
    rows = [example(row, CORPUS, plain) for row in corpus.rows] if corpus else []
    taught = {row.department for row in rows}
    meant = {} if any_label else _meant(files, labels, taught)
    rows += _file_rows(files, meant, labels, taught, left_out)
    rows += _lesson_rows(lessons, labels, left_out)
    rows, lost = outvote(grouped(_without_copies(rows, left_out)), moves_of(lessons, labels), outvoting)
    left_out.update(reasons(lost))
    words = tuple(corpus.vocabulary()) if corpus else ()
    return Dataset(
        examples=tuple(row for row in rows if row.department != OUT_OF_SCOPE),
        out_of_scope=tuple(row for row in rows if row.department == OUT_OF_SCOPE),
        terms=words,
        fingerprint=fingerprint([*rows, *words]),
        counts=dict(Counter(kind_of(row.source) for row in (*rows, *words))),
        left_out=dict(left_out),
        learnt=tuple(sorted({lesson.key for lesson in lessons if lesson.key})),
        misrouted=_misrouted(lessons),
        outvoted=lost,
    )


def _misrouted(lessons: Sequence[Lesson]) -> frozenset[str]:
    found = (lesson for lesson in lessons if lesson.misrouted or lesson.source == CORRECTION)
    return frozenset(text_of(prepare(content_from_json(each.content), each.medium)) for each in found)


class Labels:
    """From the district's departments to the labels of the model."""

    def __init__(self, departments: Sequence[Department], fallback: str, rank: Rank | None) -> None:
        self._departments = {department.id: department for department in departments}
        self._covered = {label for department in departments for label in department.covers}
        self._fallback = fallback
        self._rank = rank

    def known(self) -> set[str]:
        """Return every label that is covered and every department there is."""
        return self._covered | self._departments.keys() | {OUT_OF_SCOPE}

    def names(self) -> dict[str, str]:
        """Return the department of each name for people."""
        return {department.name: department.id for department in self._departments.values()}

    def of(self, department: str, model_input: ModelInput) -> tuple[str, str]:
        """Return the label that a message for this department teaches; or "" and why there is none."""
        desk = self._departments.get(department)
        if department == self._fallback or (desk is not None and not desk.covers):
            return OUT_OF_SCOPE, ""
        if desk is None and department in self._covered:  # renamed or merged since: who covers its label answers for it
            return department, ""
        if desk is None:
            return "", "the department is no longer in the configuration"
        if len(desk.covers) == 1:
            return desk.covers[0], ""
        if self._rank is None:
            return "", "the department covers several labels, and there is no model yet to tell them apart"
        ranking = self._rank([model_input])[0].ranking
        likeliest = next((label for label, _ in ranking if label in desk.covers), "")
        return likeliest, "" if likeliest else "the model knows none of the labels that the department covers"

    def covered_by(self, department: str) -> frozenset[str]:
        """Return the labels that a message in this department may have had; none for the fallback."""
        desk = self._departments.get(department)
        return frozenset(desk.covers if desk is not None else {department} & self._covered)

    def likely(self, label: str, model_input: ModelInput) -> bool:
        """Return whether the model that serves chooses a label, rather than all others together."""
        first, share = self._rank([model_input])[0].likely[0] if self._rank else ("", 0.0)
        return first == label and share >= _LIKELY

    def taught(self, lesson: Lesson, model_input: ModelInput) -> tuple[str, str]:
        """Return the same for a message of the district; a model's own label stands if the department covers it."""
        desk = self._departments.get(lesson.to_department)
        if lesson.label and desk is not None and lesson.label in desk.covers:
            return lesson.label, ""
        return self.of(lesson.to_department, model_input)

    def named(self, name: str, model_input: ModelInput, known: set[str]) -> tuple[str, str]:
        """Return the same for a name in a file, which may be a label (of the corpus, or covered) or a department."""
        if name not in self._departments or name in self._covered | known:
            return name, ""
        return self.of(name, model_input)


def _meant(files: Sequence[FileRow], labels: Labels, taught: set[str]) -> dict[str, str]:
    """Return which label or department each name in the files means; raise `SignpostError` for those that mean none.

    Letter case, accents and what stands between words don't matter ("Human Resources" is human-resources), and a
    department may be called by its name for people.
    """
    known = labels.known() | taught
    plain = {plain_name(name): ident for name, ident in labels.names().items()} | {
        plain_name(id_): id_ for id_ in known
    }
    named = {row.department for row in files}
    meant = {name: name if name in known else plain.get(plain_name(name), "") for name in named}
    _refuse_unknown([row for row in files if not meant[row.department]], plain)
    return meant


def _refuse_unknown(rows: Sequence[FileRow], plain: Mapping[str, str]) -> None:
    """Tell each unknown name once, with where it stands first, how often, and what may be meant."""
    counts, first = Counter(row.department for row in rows), {row.department: row for row in reversed(rows)}
    problems = []
    for name, count in counts.items():
        close = list(dict.fromkeys(plain[word] for word in get_close_matches(plain_name(name), plain, n=3)))
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        often = f" ({count} messages)" if count > 1 else ""
        problems.append(f"{first[name].where}: there is no department or label '{name}'{often}{hint}")
    if problems:
        refuse([*problems[:_MOST_NAMES], f"Known are: {', '.join(sorted(set(plain.values())))}"])


def _file_rows(
    files: Sequence[FileRow], meant: Mapping[str, str], labels: Labels, known: set[str], left_out: Counter[str]
) -> list[Example]:
    rows = []
    for row in files:
        label, why_not = labels.named(meant.get(row.department, row.department), row.input, known)
        if why_not:
            left_out[why_not] += 1
        else:
            source = f"{FILE} {row.source}".strip()
            rows.append(Example(input=row.input, department=label, group=row.group, source=source, urgent=row.urgent))
    return rows


def kind_of(source: str) -> str:
    """Return what kind of source a row comes from: corpus, file (whichever it is), glossary, or that of a lesson."""
    return source.partition(" ")[0]


def _lesson_rows(lessons: Sequence[Lesson], labels: Labels, left_out: Counter[str]) -> list[Example]:
    rows = []
    for lesson in lessons:
        model_input = prepare(content_from_json(lesson.content), lesson.medium)
        label, why_not = labels.taught(lesson, model_input)
        if is_empty(model_input):
            why_not = "the message holds no text"
        elif lesson.unsure and not labels.likely(label, model_input):
            why_not = "nobody flagged it, but no model was sure of it"
        if why_not:
            left_out[why_not] += 1
            continue
        typical = _HARDLY if lesson.source in WEAK else 1.0
        rows.append(
            Example(
                input=model_input,
                department=label,
                weight=lesson.weight,
                source=lesson.source,
                typical=typical,
                urgent=lesson.urgent,
                alarmed=lesson.alarmed,
            )
        )
    return rows


def _without_copies(rows: Sequence[Example], left_out: Counter[str]) -> list[Example]:
    """Keep one of each text and label (the weightiest, then a person's).

    What people corrected overrules the same text elsewhere. A weak label is left out where anything else says
    otherwise. What is known of urgency stays, whoever said so.

    The order stays: a classifier that draws random numbers row by row then treats the corpus as it did before, and a
    challenger differs from the champion by what is new, not by chance.
    """
    corrected: dict[str, set[str]] = {}
    known: dict[str, set[str]] = {}
    for row in rows:
        if row.source in WORDS:
            corrected.setdefault(_text(row), set()).add(row.department)
        if row.source not in WEAK:
            known.setdefault(_text(row), set()).add(row.department)
    kept: dict[tuple[str, str], Example] = {}
    for row in sorted(rows, key=lambda row: (-row.weight, row.source not in WORDS)):
        told = corrected.get(_text(row), {row.department})
        if len(told) > 1:
            left_out["the same text was corrected to different departments"] += 1
        elif row.department not in told:
            left_out["a correction of the same text says otherwise"] += 1
        elif row.source in WEAK and row.department not in known.get(_text(row), {row.department}):
            left_out["nobody flagged it, but the same text is known to belong elsewhere"] += 1
        elif (_text(row), row.department) in kept:
            left_out["the same text is there already"] += 1
        else:
            kept[_text(row), row.department] = row
    urgent = {_text(row) for row in rows if row.urgent}
    alarmed = {_text(row) for row in rows if row.alarmed}
    return [
        replace(row, urgent=_text(row) in urgent or row.urgent, alarmed=_text(row) in alarmed)
        for row in rows
        if kept.get((_text(row), row.department)) is row
    ]


def _text(row: Example) -> str:
    return text_of(row.input)


def text_of(model_input: ModelInput) -> str:
    """Return by what two messages count as the same."""
    return f"{model_input.subject}\n{model_input.body}".casefold()


# --- the split --------------------------------------------------------------------------------------------------------


def is_held_out(row: Example) -> bool:
    """Return whether a grouped row belongs to the permanent test set: about 15 % of the groups, by hash."""
    return int(row.group[:16], 16) < HELD_OUT_SHARE * _HASHES


def split(rows: Iterable[Example]) -> tuple[list[Example], list[Example]]:
    """Return the rows to train on and the rows held out.

    A weak label is never held out, for the model that gave it would be right by definition; nor is it trained on where
    a message that begins alike may be held out.
    """
    training: list[Example] = []
    held_out: list[Example] = []
    for row in rows:
        if not is_held_out(row):
            training.append(row)
        elif row.source not in WEAK:
            held_out.append(row)
    return training, held_out


def fingerprint(rows: Iterable[Example]) -> str:
    """Return a SHA-256 (hexadecimal) over what the rows say, independent of their order."""
    lines = sorted(
        json.dumps(
            [row.department, kind_of(row.source), row.weight, row.group, row.urgent, *_said(row.input)],
            ensure_ascii=True,
        )
        for row in rows
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _said(model_input: ModelInput) -> tuple[str, ...]:
    return (model_input.subject, model_input.body, model_input.language, model_input.topic, model_input.medium)
