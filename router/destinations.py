"""Where a decision is delivered: the department's desk, or a school's own desk for that department."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from router.records import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from router.records import Decision, Department, Destination, School

_NO_COPIES = frozenset({Reason.CORRECTION, Reason.DISPUTED, Reason.OBSERVE})


class Desks:
    """The departments and schools of the district, by id; `copies` are who else gets a message, by its tag."""

    def __init__(
        self,
        departments: Sequence[Department],
        schools: Sequence[School],
        fallback: str,
        copies: Mapping[str, Sequence[Destination]] = MappingProxyType({}),
    ) -> None:
        self.departments = {department.id: department for department in departments}
        self.schools = {school.id: school for school in schools}
        self.fallback = fallback
        self._copies = copies

    def destinations(self, decision: Decision) -> tuple[Destination, ...]:
        """Return where to deliver, whose business it is first, then who else gets what is tagged so.

        They get it once: not again when it is passed on.
        """
        tags = () if decision.reason in _NO_COPIES else decision.tags
        copies = [destination for tag in tags for destination in self._copies.get(tag, ())]
        return tuple(dict.fromkeys((*self._desk(decision), *copies)))

    def _desk(self, decision: Decision) -> tuple[Destination, ...]:
        """Return the desk's own; a department that has left the configuration falls back."""
        school = self.schools.get(decision.school)
        if school is not None and decision.department in school.deliver:
            return school.deliver[decision.department]
        department = self.departments.get(decision.department) or self.departments[self.fallback]
        return department.deliver

    def name(self, department: str) -> str:
        """Return a department's name for people."""
        known = self.departments.get(department)
        return known.name if known else department

    def school_name(self, school: str) -> str:
        """Return a school's name for people, "" for none."""
        known = self.schools.get(school)
        return known.name if known else ""


def addresses(
    departments: Iterable[Department], schools: Iterable[School], told: Iterable[Destination] = ()
) -> frozenset[str]:
    """Return every address that is delivered to, in lower case: automatic mail from there would go round in circles."""
    at_schools = (to for school in schools for tos in school.deliver.values() for to in tos)
    at_desks = (to for department in departments for to in department.deliver)
    return frozenset(destination.to.casefold() for destination in (*told, *at_schools, *at_desks))
