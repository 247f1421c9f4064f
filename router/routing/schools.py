"""The second axis: which school a message is about, and how that was recognised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from router.contacts import read
from router.language import is_common
from router.routing.school_cues import is_ambiguous, is_placed
from router.routing.school_forms import (
    LEVELS,
    SCHOOL_WORDS,
    SHORT_LEVELS,
    Form,
    Forms,
    bare_words,
    level_of,
    may_stand_alone,
    plain,
    tokens_of,
    words_of,
)
from router.secrets import secret_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.contacts import Contacts
    from router.records import Message, School
    from router.routing.school_forms import Token

MAX_TEXT = 20_000  # characters in which names are looked for
_MAX_TOKENS_SPELLED = 600  # words in which slips are looked for: they cost more, and a school is named early
_MAX_SHOWN = 60
_MOST_AHEAD = 256  # messages: several batches
_HOWS = ("form", "name", "alias", "initials", "spelling", "contact")

# What makes a name that stands alone a street, a town, a person or a thing.
_AFTER = words_of(
    """street st avenue ave av road rd drive dr lane ln boulevard blvd court ct way place pl plaza circle cir parkway
    pkwy highway hwy terrace trail tr square sq bridge tunnel park county city town township village state dc nebraska
    hospital clinic church mall apartments apartment apts apt heights estates towers memorial monument museum
    university college day birthday avenida calle condado ciudad parque"""
)
_PLACES_BEFORE = words_of("on near calle avenida ave av street condado county parque lago lake fort mount mt")
_PEOPLE_BEFORE = words_of(
    """mr mrs ms miss mx dr sr sra srta don dona coach principal officer teacher maestra maestro profe profesor
    profesora president presidente abraham abe thomas son daughter child kid boy girl hijo hija nino nina brother
    sister hermano hermana student nephew niece grandson granddaughter nieto nieta named name llama"""
)
_TITLES = words_of("mr mrs ms dr sr sra srta")
_CORNERS = frozenset({"corner", "esquina", "intersection"})
_DISTRICT = frozenset({"district", "districts", "distrito", "board", "system", "unified", "isd", "usd"})
_ORDINAL = re.compile(r"\d{1,3}(?:st|nd|rd|th)")
_LINKS = frozenset({"de", "la", "del", "the"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """Which school was recognised ("" if none or several), how, and by which words of the message.

    `how` is form, name, alias, initials, spelling or contact. `several` are the schools named where none was chosen.
    """

    school: str = ""
    how: str = ""
    words: str = ""
    several: tuple[str, ...] = ()


class Mention(NamedTuple):
    """A school that a text names."""

    school: str
    how: str
    words: str


class Schools:
    """Recognises the school: the form's choice, else the one the text names, else the writer's by the contact list.

    If a text names several, the writer's own counts if it is among them, otherwise none. `organization` is the
    district's name: a school that is called after it isn't meant by "Maple Valley School".
    """

    def __init__(self, schools: Sequence[School], *, organization: str = "", contacts: Contacts | None = None) -> None:
        self.known = tuple(schools)
        self._ids = {school.id for school in schools}
        self._forms = Forms(schools)
        self._organization = "".join(token.word for token in tokens_of(organization))
        self._contacts = contacts
        self._ahead: dict[str, tuple[Message, Recognition]] = {}  # what rules asked about, for who asks next

    @classmethod
    def reading(cls, schools: Sequence[School], organization: str, contacts_file: str) -> Schools:
        """Return what recognises schools, with the contact list read, if there is one; raise `SignpostError`."""
        contacts = read(secret_path(contacts_file), schools) if contacts_file else None
        return cls(schools, organization=organization, contacts=contacts)

    @property
    def contacts(self) -> Contacts | None:
        """The contact list, None if there is none."""
        return self._contacts

    def recognise(self, message: Message) -> str:
        """Return a school's id, or "" if none or several are named; it is remembered until somebody looks."""
        seen = self._look(message)
        if len(self._ahead) >= _MOST_AHEAD:
            self._ahead.clear()
        self._ahead[message.id] = message, seen
        return seen.school

    def look(self, message: Message) -> Recognition:
        """Return which school a message is about, and how that was recognised."""
        asked, seen = self._ahead.pop(message.id, (None, None))
        return seen if seen and asked is message else self._look(message)

    def _look(self, message: Message) -> Recognition:
        content = message.content
        if content.school in self._ids:
            return Recognition(school=content.school, how="form")
        named = self.mentions(f"{content.subject}\n\n{content.text}")
        schools = tuple(dict.fromkeys(mention.school for mention in named))
        if len(schools) == 1:
            best = min(named, key=lambda mention: _HOWS.index(mention.how))
            return Recognition(school=best.school, how=best.how, words=best.words)
        known = self._contacts.school_of(message) if self._contacts else ""
        if known in (schools or self._ids):
            return Recognition(school=known, how="contact")
        return Recognition(several=schools)

    def mentions(self, text: str) -> list[Mention]:
        """Return every school that a text names, in no order. Looks at 20,000 characters, at 600 words for slips."""
        if not self._ids:
            return []
        text = text[:MAX_TEXT]
        bare = plain(text)
        words = bare_words(bare)
        exact, near = self._forms.places(words, _MAX_TOKENS_SPELLED)
        if not (exact or near or self._forms.may_be_initials(words, bare)):
            return []  # as in most messages
        reading = _Reading(self._forms, self._organization, tokens_of(text), shouting=text.isupper())
        return reading.mentions(exact, near)


class _Beside(NamedTuple):
    """The level and the word for a school that stand beside a name, and where the name with them ends."""

    level: str
    school_word: bool
    end: int


class _Reading:
    """One text, read for names; a word that has been taken for one isn't looked at again."""

    def __init__(self, forms: Forms, organization: str, tokens: Sequence[Token], *, shouting: bool) -> None:
        self._forms = forms
        self._organization = organization
        self._tokens = tokens
        self._shouting = shouting  # nothing but capitals: then they say nothing
        self._taken: set[int] = set()
        self._found: list[Mention] = []

    def mentions(self, exact: Sequence[int], near: Sequence[int]) -> list[Mention]:
        """Return what is named; `exact` and `near` are the words at which names, and names with slips, may begin."""
        self._initials()
        self._names(exact)
        self._spelled(near)
        return self._found

    def _names(self, starts: Sequence[int]) -> None:
        for start in starts:
            if start in self._taken:
                continue
            for end in range(min(start + self._forms.most_words + 1, len(self._tokens)), start, -1):
                letters = "".join([each.word for each in self._tokens[start:end]])
                if len(letters) <= self._forms.longest and letters in self._forms.exact:
                    self._take(start, end, letters)
                    break

    def _take(self, start: int, end: int, key: str) -> None:
        """Judge a name that stands there; whatever it is found to be, its words are used up."""
        self._taken.update(range(start, end))
        beside = self._beside(start, end, self._forms.exact[key])
        form = self._meant(start, end, key, self._forms.exact[key], beside)
        if form:
            self._note(form.school, form.how, start, beside.end)

    def _note(self, school: str, how: str, start: int, end: int) -> None:
        words = " ".join(token.raw for token in self._tokens[start:end])
        self._found.append(Mention(school, how, words[:_MAX_SHOWN]))

    def _meant(self, start: int, end: int, key: str, forms: Sequence[Form], beside: _Beside) -> Form | None:
        """Return the form that is meant by a name with what stands beside it, None if it is no school's or several'."""
        if beside.level:
            named = [form for form in forms if form.level in ("", beside.level)]
        elif beside.school_word:
            own_district = key in self._organization
            named = [] if own_district or self._is(beside.end, _DISTRICT) else [f for f in forms if f.how != "initials"]
        else:
            split = end - start > max(form.words for form in forms)  # "the north side of the building"
            bare = end - start == 1 and is_ambiguous(key) and not self._is_placed(start, end)
            named = [] if split or bare or self._is_elsewhere(start, end) else [form for form in forms if form.alone]
        return named[0] if len({form.school for form in named}) == 1 else None

    def _beside(self, start: int, end: int, forms: Sequence[Form]) -> _Beside:
        """Return what stands behind a name and before it ("Lincoln Elementary", "la primaria Lincoln")."""
        fitting = {form.level for form in forms}
        level, school_word, last, at = "", False, end, end
        while at < min(len(self._tokens), end + 4) and self._goes_with(at):
            word = self._tokens[at].word
            level = level or self._level(at, fitting)
            school_word |= word in SCHOOL_WORDS
            if word != "s" and not level_of(word) and word not in SCHOOL_WORDS:
                break
            at += 1
            last = at if level or school_word else end
        at = start
        while not level and max(0, start - 4) < at and self._tokens[at].is_near:
            at -= 1
            word = self._tokens[at].word
            level = self._level(at, fitting) if word in LEVELS else ""
            school_word |= word in SCHOOL_WORDS
            if word not in _LINKS and word not in LEVELS and word not in SCHOOL_WORDS:
                break
        return _Beside(level, school_word, last)

    def _goes_with(self, at: int) -> bool:
        token = self._tokens[at]
        return token.is_near or (token.word == "s" and token.gap in ("'", "’"))

    def _level(self, at: int, fitting: set[str]) -> str:
        """Return the level that a word names; an abbreviation that can mean something else only if it fits."""
        word = self._tokens[at].word
        if word == "high" and at and self._tokens[at - 1].word in ("junior", "jr"):
            return "m"
        if word in LEVELS:
            return LEVELS[word]
        level = SHORT_LEVELS.get(word, "")
        plain = word == "es" and not self._tokens[at].raw.isupper()  # Spanish: "is"
        return level if level in fitting and not plain else ""

    def _is(self, at: int, words: frozenset[str]) -> bool:
        return at < len(self._tokens) and self._tokens[at].word in words

    def _is_placed(self, start: int, end: int) -> bool:
        return is_placed(self._tokens, start, end, shouting=self._shouting)

    def _is_elsewhere(self, start: int, end: int) -> bool:
        """Tell whether what stands beside a name makes it a street, a town, a person or a thing."""
        before = [token.word for token in self._tokens[max(0, start - 3) : start]]
        gap = self._tokens[start].gap
        if before and (self._tokens[start].is_near or gap.strip() == ".") and self._is_person_or_place(before, gap):
            return True
        after = self._tokens[end : end + 3]
        if not after or len(after[0].gap.strip()) > 1 or "\n" in after[0].gap or "." in after[0].gap:
            return False
        words = [token.word for token in after]
        if words[0] in _AFTER or words[:2] == ["d", "c"]:
            return after[0].is_near or words[0] in ("dc", "d", "nebraska")
        crossing = words[1:] if words[0] in ("and", "y") else words if "&" in after[0].gap else []
        return bool(crossing) and (
            (bool(_ORDINAL.fullmatch(crossing[0])) and not (crossing[1:] and crossing[1].startswith("grade")))
            or not _AFTER.isdisjoint(crossing[1:2])
        )

    def _is_person_or_place(self, before: Sequence[str], gap: str) -> bool:
        if "." in gap:
            return before[-1] in _TITLES
        if before[-1] in _PEOPLE_BEFORE:  # "my son Lincoln", but not "my son at Lincoln"
            return True
        while before and before[-1] in _LINKS:
            before = before[:-1]
        return bool(before) and (before[-1] in _PLACES_BEFORE or (before[-1] == "of" and before[-2:][0] in _CORNERS))

    # --- initials -----------------------------------------------------------------------------------------------------

    def _initials(self) -> None:
        for start, end, letters, sure in self._runs_of_capitals():
            form = self._forms.initials.get(letters)
            if form is None or start in self._taken:
                continue
            if is_common(letters):  # "LES informo" is a pronoun, even in capitals
                meant = sure and (end - start > 1 or self._stands_off(end) or self._is_placed(start, end))
            else:
                meant = sure or form.how == "alias"
            if meant:
                self._taken.update(range(start, end))
                self._note(form.school, form.how, start, end)

    def _stands_off(self, at: int) -> bool:
        """Tell whether something parts the word from the one before: no verb follows in "LES: the bus was late"."""
        return at >= len(self._tokens) or not self._tokens[at].is_near or bool(self._tokens[at].gap.strip())

    def _runs_of_capitals(self) -> list[tuple[int, int, str, bool]]:
        """Return where initials may stand: "LES", "L.E.S.", "les"; and whether they can be nothing else."""
        found, at = [], 0
        while at < len(self._tokens):
            token, end = self._tokens[at], at + 1
            while len(token.raw) == 1 and end < len(self._tokens) and self._goes_on(end):
                end += 1
            letters = "".join(each.word for each in self._tokens[at:end])
            sure = end > at + 1 or (token.raw.isupper() and not self._shouting)
            found.append((at, end, letters, sure))
            at = end
        return found

    def _goes_on(self, at: int) -> bool:
        token = self._tokens[at]
        joined = token.gap.strip() == "." or (token.gap == " " and token.raw.isupper())
        return len(token.raw) == 1 and token.raw.isalpha() and joined and "\n" not in token.gap

    # --- slips --------------------------------------------------------------------------------------------------------

    def _spelled(self, starts: Sequence[int]) -> None:
        """Look for names with slips: more of them where a level stands beside it, few where nothing does."""
        for start in starts:
            for end in range(min(start + self._forms.most_words + 1, len(self._tokens)), start, -1):
                if not self._taken.isdisjoint(range(start, end)):
                    continue
                letters = "".join([token.word for token in self._tokens[start:end]])
                near = self._forms.near(letters)
                if near and self._take_spelled(start, end, letters, *near):
                    break

    def _take_spelled(self, start: int, end: int, letters: str, key: str, slips: int) -> bool:
        forms = [form for form in self._forms.exact[key] if form.how != "initials"]
        beside = self._beside(start, end, forms)
        form = self._meant(start, end, key, forms, beside)
        if form is None:
            return False
        sure = beside.level or beside.school_word
        if not sure and not may_stand_alone(key, letters, form.words, slips):
            return False
        self._taken.update(range(start, end))
        self._note(form.school, "spelling", start, beside.end)
        return True
