"""What part of the messages somebody may see: every list, count, search and export of the console asks with one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """Departments and schools whose messages somebody may see.

    `departments` and `schools`: None means all of them; an empty set means none.  Where both are given a message must
    fit both; a message of no school fits any `schools`.  What has no decision yet, and so no department, is seen by
    those alone who see all departments.  Who got a copy of a message may look at it, too: `router.store.holders`.
    """

    departments: frozenset[str] | None = None
    schools: frozenset[str] | None = None

    def __str__(self) -> str:
        """Name it alike in every process: the order of a set isn't."""
        seen = (self.departments, self.schools)
        return " in ".join("all" if names is None else "+".join(sorted(names)) or "none" for names in seen)

    def sees(self, department: str, school: str = "") -> bool:
        """Return whether a message that is with `department` ("": none yet) is within."""
        if self.departments is not None and department not in self.departments:
            return False
        return self.schools is None or not school or school in self.schools


EVERYTHING = Scope()
