"""What the district's own messages teach, and how far: confirmed corrections, audits, and messages nobody flagged.

Whatever people disagree about is left out, and so is what one person, or about one department, says at once too often.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from router.learning.conflicts import conflicts
from router.store import corrections, taught

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from router.records import Correction

CORPUS = "corpus"  # bundled messages, which are no lessons
CORRECTION, AUDIT, TACIT, SILENCE = "correction", "audit", "tacit", "silence"
WORDS = (CORRECTION, AUDIT)
"""Sources of what a person said of a message. What only time or silence says is weak: nothing is judged by it."""

WEAK = (TACIT, SILENCE)

CORRECTION_WEIGHT = 1.0
"""As any labelled message. What is corrected is what a model got wrong: the hardest messages, from the borders between
departments. Counted three times, they drew typical messages over with them (measured: docs/learning.md)."""

TACIT_WEIGHT = 0.3
_NONE: Mapping[str, str] = MappingProxyType({})
_NEXT = "they come in the next training"
_ALONE = "only votes confirmed them: they come as soon as a person has confirmed or labelled something by name"
_DISAGREE = "people disagree about the message; see: signpost corrections list --conflicts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A message of the district and the department it belongs to.

    `from_department` is the one that it was corrected away from, "" where nothing was corrected.
    `key` names who said so ("correction 12", "tacit 12", "audit 0WE3MXMK4J3E meals"), "" where nobody did; `people` are
    those behind it. `label` is the model's own, where the model said so, or that of a department which another has
    taken over. `urgent` and `alarmed`: see `Example`. `misrouted`: an audit found that it had gone elsewhere. `voted`:
    two votes confirmed it, and nobody by name. `unsure`: only silence says so, and the model wasn't sure when it routed
    it.
    """

    message_id: str
    to_department: str
    medium: str
    content: Any
    id: int | None = None  # of the correction
    key: str = ""
    source: str = CORRECTION
    weight: float = CORRECTION_WEIGHT
    urgent: bool | None = None
    alarmed: bool = False
    misrouted: bool = False
    voted: bool = False
    label: str = ""
    unsure: bool = False
    from_department: str = ""
    people: frozenset[str] = frozenset()
    said_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How far each kind of word counts; the settings under `learning` (see `config._learning`).

    `heirs` are the departments that answer now for former ones (`router.learning.heirs`).
    """

    silence_weight: float = 0.0
    silence_confidence: float = 0.9
    silence_after: timedelta = timedelta(days=14)
    silence_most: int = 5000
    person: int = 50
    department: int = 100
    cycle: int = 500
    votes_address: int = 5
    votes_department: int = 10
    votes_cycle: int = 25
    outvote: int = 5
    outvote_share: float = 0.33
    heirs: Mapping[str, str] = field(default_factory=dict)


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
    lessons = said(connection, rules.heirs)
    contradicted = conflicts(lessons, _passed_on(connection, rules.heirs))
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


def said(connection: Connection, heirs: Mapping[str, str] = _NONE) -> list[Lesson]:
    """Return what people said and nobody has taken back: confirmed corrections and audits, the oldest first."""
    audits = list(map(_of_audit, taught.answered(connection)))
    judged, voters = {lesson.message_id: lesson.urgent for lesson in audits}, corrections.voters(connection)
    lessons = [
        _of_correction(row, voters.get(row.id, ()), judged.get(row.message_id))
        for row in corrections.confirmed_rows(connection)
    ]
    inherited = (_inherited(lesson, heirs) for lesson in (*lessons, *audits))
    return sorted(inherited, key=lambda lesson: (lesson.said_at, lesson.key))


def disputed(connection: Connection, heirs: Mapping[str, str] = _NONE) -> Mapping[str, frozenset[str]]:
    """Return the keys of what people disagree about, each with the keys of those that say otherwise."""
    return conflicts(said(connection, heirs), _passed_on(connection, heirs))


def _inherited(lesson: Lesson, heirs: Mapping[str, str]) -> Lesson:
    """Return a lesson as one of the department that is there now; the former one's name is the label it teaches."""
    former = lesson.to_department
    return replace(lesson, to_department=heirs[former], label=former) if former in heirs else lesson


def _passed_on(connection: Connection, heirs: Mapping[str, str]) -> list[Correction]:
    """Return what was said of messages that were passed on twice or more, by the departments that are there now."""
    return [
        replace(
            each,
            from_department=heirs.get(each.from_department, each.from_department),
            to_department=heirs.get(each.to_department, each.to_department),
        )
        for each in corrections.of_disputed(connection)
    ]


def admit(lessons: Sequence[Lesson], rules: Rules, learnt: Collection[str], left_out: Counter[str]) -> list[Lesson]:
    """Return what was learnt before, and of what is new so much as the caps allow, the oldest first.

    What only votes confirmed has lower caps of its own, and is new only beside something that a person said by name:
    whoever has got hold of links can press both buttons, and must not move a model by that alone.
    """
    all_of_them = _Room(rules.person, rules.department, rules.cycle)
    votes = _Room(rules.votes_address, rules.votes_department, rules.votes_cycle, " that only votes confirmed")
    named = any(lesson.source in WORDS and not lesson.voted and lesson.key not in learnt for lesson in lessons)
    admitted: list[Lesson] = []
    for lesson in lessons:
        rooms = [all_of_them, votes] if lesson.voted else [all_of_them]
        if lesson.key in learnt:
            admitted.append(lesson)
        elif lesson.voted and not named:
            left_out[_ALONE] += 1
        elif why := next(filter(None, (room.full_for(lesson) for room in rooms)), ""):
            left_out[why] += 1
        else:
            for room in rooms:
                room.add(lesson)
            admitted.append(lesson)
    return admitted


class _Room:
    """How much is still left of one kind of caps."""

    def __init__(self, person: int, department: int, cycle: int, which: str = "") -> None:
        self._limits = person, department, cycle
        self._which = which
        self._people: Counter[str] = Counter()
        self._departments: Counter[str] = Counter()

    def full_for(self, lesson: Lesson) -> str:
        """Return which cap leaves a lesson out, "" if none does."""
        person, department, cycle = self._limits
        if any(self._people[each] >= person for each in lesson.people):
            return f"more than {person} new ones{self._which} of one person: {_NEXT}"
        if self._departments[lesson.to_department] >= department:
            return f"more than {department} new ones{self._which} for one department: {_NEXT}"
        return f"more than {cycle} new ones{self._which} in all: {_NEXT}" if self._departments.total() >= cycle else ""

    def add(self, lesson: Lesson) -> None:
        """Count a lesson that is learnt from."""
        self._people.update(lesson.people)
        self._departments[lesson.to_department] += 1


def _of_correction(row: Row[Any], voters: Sequence[str], urgent: bool | None) -> Lesson:
    """Return what a correction teaches; `urgent` is what an audit of the same message said of that."""
    tacit = row.confirmed_via == corrections.TACIT
    return Lesson(
        message_id=row.message_id,
        to_department=row.to_department,
        from_department=row.from_department or "",
        medium=row.medium,
        content=row.content,
        id=row.id,
        key=f"{TACIT if tacit else CORRECTION} {row.id}",  # when a person confirms it as well, that is new
        source=TACIT if tacit else CORRECTION,
        weight=TACIT_WEIGHT if tacit else CORRECTION_WEIGHT,
        urgent=urgent,
        alarmed=bool(row.alarm) and urgent is not False,
        voted=row.confirmed_via == corrections.VOTES,
        people=_people(row, voters),
        said_at=row.settled_at,
    )


def _people(row: Row[Any], voters: Sequence[str]) -> frozenset[str]:
    """Return who is behind a correction: who flagged and who confirmed it, or the addresses whose links were used."""
    flagged = f"the address {row.mailbox}" if row.mailbox else row.by
    confirmed = "" if row.confirmed_via in {corrections.VOTES, corrections.TACIT} else row.confirmed_by
    others = (f"the address {each}" for each in voters)
    return frozenset(person.casefold() for person in (flagged, confirmed, *others) if person)


def _of_audit(row: Row[Any]) -> Lesson:
    return Lesson(
        message_id=row.message_id,
        to_department=row.answer,
        medium=row.medium,
        content=row.content,
        key=f"{AUDIT} {row.message_id} {row.answer}{' urgent' if row.answer_urgent else ''}",  # another answer is new
        source=AUDIT,
        urgent=bool(row.answer_urgent),
        misrouted=bool(row.wrong),
        people=frozenset({row.by.casefold()}),
        said_at=row.answered_at,
    )


def _silent(connection: Connection, rules: Rules, now: datetime, known: Collection[str]) -> list[Lesson]:
    """Return messages that stayed where the model put them, the newest first."""
    if not (rules.silence_weight and rules.silence_most):
        return []
    rows = taught.silent(connection, now - rules.silence_after, rules.silence_most)
    return [
        Lesson(
            message_id=row.id,
            to_department=row.department,
            medium=row.medium,
            content=row.content,
            source=SILENCE,
            weight=rules.silence_weight,
            label=_first_label(row.prediction),
            unsure=row.confidence < rules.silence_confidence,
        )
        for row in rows
        if row.id not in known and not (row.prediction or {}).get("also")
    ]


def _first_label(prediction: Mapping[str, Any] | None) -> str:
    ranking = (prediction or {}).get("ranking") or [[""]]
    return str(ranking[0][0])
