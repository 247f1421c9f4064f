"""What the district's own messages teach, and how far: confirmed corrections, audits, and messages nobody flagged.

Whatever people disagree about is left out, and so is what one person, or about one department, says at once too often.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from router.learning.conflicts import conflicts
from router.store import corrections, taught

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

CORRECTION, AUDIT, TACIT, SILENCE = "correction", "audit", "tacit", "silence"
WORDS = (CORRECTION, AUDIT)
"""Sources of what a person said of a message. What only time or silence says is weak: nothing is judged by it."""

CORRECTION_WEIGHT = 3.0  # a person looked at it, and it is what this district's families write
TACIT_WEIGHT = 0.3
_DISAGREE = "people disagree about the message; see: signpost corrections list --conflicts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A message of the district and the department it belongs to.

    `key` names who said so ("correction 12", "audit 0WE3MXMK4J3E"), "" where nobody did; `people` are those behind it.
    `label` is the model's own, where it was the model that said so.
    """

    message_id: str
    to_department: str
    medium: str
    content: Any
    id: int | None = None  # of the correction
    key: str = ""
    source: str = CORRECTION
    weight: float = CORRECTION_WEIGHT
    urgent: bool = False
    label: str = ""
    people: frozenset[str] = frozenset()
    said_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How far each kind of word counts; the settings under `learning` (see `config._learning`)."""

    silence_weight: float = 0.0
    silence_confidence: float = 0.9
    silence_after: timedelta = timedelta(days=14)
    silence_most: int = 5000
    person: int = 50
    department: int = 100
    cycle: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What may be learnt from. `left_out` counts what isn't, by why.

    `new` is how many words of people the model that serves hasn't learnt from yet, `waiting` how many more there are
    that the caps leave for the next time. `loudest` is who is behind the most new ones, and of how many.
    """

    rows: tuple[Lesson, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    new: int = 0
    waiting: int = 0
    loudest: tuple[str, int] = ("", 0)


def gather(connection: Connection, rules: Rules, now: datetime, learnt: Collection[str] = ()) -> Lessons:
    """Read from the store what may be learnt from.

    `learnt` are the keys of what the model that serves has learnt from (`learnt` in its metadata): the caps are for
    what is new.
    """
    lessons = said(connection)
    contradicted = conflicts(lessons, corrections.of_disputed(connection))
    agreed = [lesson for lesson in lessons if lesson.key not in contradicted]
    left_out = Counter({_DISAGREE: len(lessons) - len(agreed)})
    admitted = admit(agreed, rules, frozenset(learnt), left_out)
    new = [lesson for lesson in admitted if lesson.key not in learnt]
    loud = Counter(person for lesson in new for person in lesson.people)
    silence = _silent(connection, rules, now, {lesson.message_id for lesson in lessons})
    return Lessons(
        rows=(*admitted, *silence),
        left_out={why: n for why, n in left_out.items() if n},
        new=sum(lesson.source in WORDS for lesson in new),
        waiting=len(agreed) - len(admitted),
        loudest=min(loud.items(), key=lambda item: (-item[1], item[0]), default=("", 0)),
    )


def said(connection: Connection) -> list[Lesson]:
    """Return what people said and nobody has taken back: confirmed corrections and audits, the oldest first."""
    lessons = [
        *map(_of_correction, corrections.confirmed_rows(connection)),
        *map(_of_audit, taught.answered(connection)),
    ]
    return sorted(lessons, key=lambda lesson: (lesson.said_at, lesson.key))


def disputed(connection: Connection) -> Mapping[str, frozenset[str]]:
    """Return the keys of what people disagree about, each with the keys of those that say otherwise."""
    return conflicts(said(connection), corrections.of_disputed(connection))


def admit(lessons: Sequence[Lesson], rules: Rules, learnt: Collection[str], left_out: Counter[str]) -> list[Lesson]:
    """Return what was learnt before, and of what is new so much as the caps allow, the oldest first."""
    admitted: list[Lesson] = []
    people: Counter[str] = Counter()
    departments: Counter[str] = Counter()
    new = 0
    for lesson in lessons:
        if lesson.key in learnt:
            admitted.append(lesson)
        elif any(people[person] >= rules.person for person in lesson.people):
            left_out[f"more than {rules.person} new ones of one person: they come in the next training"] += 1
        elif departments[lesson.to_department] >= rules.department:
            left_out[f"more than {rules.department} new ones for one department: they come in the next training"] += 1
        elif new >= rules.cycle:
            left_out[f"more than {rules.cycle} new ones in all: they come in the next training"] += 1
        else:
            people.update(lesson.people)
            departments[lesson.to_department] += 1
            new += 1
            admitted.append(lesson)
    return admitted


def _of_correction(row: Row[Any]) -> Lesson:
    tacit = row.confirmed_via == corrections.TACIT
    return Lesson(
        message_id=row.message_id,
        to_department=row.to_department,
        medium=row.medium,
        content=row.content,
        id=row.id,
        key=f"{CORRECTION} {row.id}",
        source=TACIT if tacit else CORRECTION,
        weight=TACIT_WEIGHT if tacit else CORRECTION_WEIGHT,
        people=_people(row),
        said_at=row.settled_at,
    )


def _people(row: Row[Any]) -> frozenset[str]:
    """Return who is behind a correction: who flagged it, or the address whose link was used, and who confirmed it."""
    flagged = f"the address {row.mailbox}" if row.mailbox else row.by
    confirmed = "" if row.confirmed_via in {corrections.VOTES, corrections.TACIT} else row.confirmed_by
    return frozenset(person.casefold() for person in (flagged, confirmed) if person)


def _of_audit(row: Row[Any]) -> Lesson:
    return Lesson(
        message_id=row.message_id,
        to_department=row.answer,
        medium=row.medium,
        content=row.content,
        key=f"{AUDIT} {row.message_id}",
        source=AUDIT,
        urgent=bool(row.answer_urgent),
        people=frozenset({row.by.casefold()}),
        said_at=row.answered_at,
    )


def _silent(connection: Connection, rules: Rules, now: datetime, known: Collection[str]) -> list[Lesson]:
    """Return messages that stayed where the model put them, the newest first."""
    if not (rules.silence_weight and rules.silence_most):
        return []
    rows = taught.silent(connection, now - rules.silence_after, rules.silence_confidence, rules.silence_most)
    return [
        Lesson(
            message_id=row.id,
            to_department=row.department,
            medium=row.medium,
            content=row.content,
            source=SILENCE,
            weight=rules.silence_weight,
            label=_first_label(row.prediction),
        )
        for row in rows
        if row.id not in known and not (row.prediction or {}).get("also")
    ]


def _first_label(prediction: Mapping[str, Any] | None) -> str:
    ranking = (prediction or {}).get("ranking") or [[""]]
    return str(ranking[0][0])
