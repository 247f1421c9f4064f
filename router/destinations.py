"""Where a decision is delivered: the department's desk, or a school's own desk for that department."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.records import Decision, Department, Destination, School


class Desks:
    """The departments and schools of the district, by id."""

    def __init__(self, departments: Sequence[Department], schools: Sequence[School], fallback: str) -> None:
        self.departments = {department.id: department for department in departments}
        self.schools = {school.id: school for school in schools}
        self.fallback = fallback

    def destinations(self, decision: Decision) -> tuple[Destination, ...]:
        """Return where to deliver; a department that has left the configuration falls back."""
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
