"""What beside a name says that a school is meant where a child or a thing may be called so, too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from router.language import is_common
from router.routing.school_forms import SCHOOL_WORDS, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.routing.school_forms import Token

# Children, and things, are called so as well.
_NAMES_AND_THINGS = words_of(
    """abraham adams alexander austin benjamin blair booker brooklyn carson carter carver charlotte chavez cesar clara
    clay cleveland clinton cooper curtis dallas davis diego douglas edison elliott emerson everett ford francis franklin
    frederick garfield garrison george grant hamilton harriet harrison harvey hayes henry hudson irving jackson james
    jefferson jesse john johnson jordan joseph juan kennedy king lee lewis lincoln logan longfellow luther madison maria
    marshall martin mason maya miller monroe morgan nelson newton obama orion parker patrick paul penn perry phillips
    pierce porter quincy reagan riley robert roosevelt rosa ross russell ryan sheridan sherman sierra spencer stanton
    stevenson sydney taylor thomas thoreau tubman tyler victoria walker walter warren washington wayne webster whitman
    whittier william wilson winston wright
    aspen autumn bridge bright central challenge crossroads destiny discovery eagle east faith falcon forest freedom
    frontier garden grace harmony heritage highland hill hillside hope horizon hunter independence jasper journey
    legacy liberty lake meadow mercy mission north oak ocean oasis park pathway phoenix pioneer pine prairie promise
    river sky south spring springs star summit sunrise sunset trinity triumph unity valley victory village vista west
    willow wonder woods"""
)
_PLACED = words_of("at to from in of en de attend attends attending attended asiste")  # "at Lincoln", "en Lincoln"
_GOING = words_of("va van voy vamos ir iba fue llega llego entra regresa cambio cambiar")  # "va a Lincoln"
_PARENTS = words_of(
    """mom mommy mother dad father parent parents guardian grandma grandmother grandpa grandfather aunt uncle teacher
    behalf absence mama mami madre papa papi padre padres abuela abuelo tia tio tutor tutora nombre ausencia parte
    happened gave give"""
)  # "mother of Lincoln", "la mamá de Lincoln", "what happened to Lincoln": it is a child
_SCHOOLS_OWN = words_of(
    """office cafeteria gym playground library principal secretary counselor nurse bus students families staff pta pto
    parking pickup dropoff lunchroom classroom grade grader graders kindergarten oficina gimnasio biblioteca grado"""
)
_GRADE = re.compile(r"\d{1,2}(?:st|nd|rd|th)?")


def is_ambiguous(word: str) -> bool:
    """Tell whether the one word of a school's name is a given name, too, or a word of every day."""
    return word in _NAMES_AND_THINGS or is_common(word)


def is_placed(tokens: Sequence[Token], start: int, end: int, *, shouting: bool) -> bool:
    """Tell whether the name from `start` to `end` is said to be a school's: "at Lincoln", "Lincoln's office".

    `shouting` says that the text is nothing but capitals, so that they tell nothing of surnames.
    """
    before = [token.word for token in tokens[max(0, start - 3) : start]]
    if before and before[-1] in SCHOOL_WORDS:  # "School: Lincoln"
        return True
    if _has_its_own(tokens[end : end + 5]):
        return True
    if not before or not tokens[start].is_near:
        return False
    while before[-1] in ("the", "la", "el") and len(before) > 1:
        before = before[:-1]
    if before[-1] == "a":
        return before[-2:][0] in _GOING
    if before[-1] not in _PLACED or (before[-1] in ("of", "de", "to") and before[-2:][0] in _PARENTS):
        return False
    return before[-1] in ("at", "en") or shouting or not _is_surname(tokens[end : end + 1])


def _has_its_own(after: Sequence[Token]) -> bool:
    """Tell whether what only a school has stands behind: "Lincoln's office", "Lincoln and 3rd grader"."""
    if after and after[0].word == "s" and after[0].gap in ("'", "’"):
        after = after[1:]
    while after and after[0].is_near and (after[0].word in ("and", "y") or _GRADE.fullmatch(after[0].word)):
        after = after[1:]
    return bool(after) and after[0].is_near and after[0].word in _SCHOOLS_OWN


def _is_surname(after: Sequence[Token]) -> bool:
    """Tell whether the next word may be one: "from Lincoln Hayes"."""
    return bool(after) and after[0].gap == " " and after[0].raw.istitle() and not is_common(after[0].word)
