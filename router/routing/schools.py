"""The second axis: which school a message is about, from the form's choice or from its names in the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import re2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.records import Message, School


class Schools:
    """Recognises schools by name and alias, as whole words; no answer if two different schools are named."""

    def __init__(self, schools: Sequence[School]) -> None:
        self._ids = {school.id for school in schools}
        self._school_of = {
            _plain(name): school.id for school in schools for name in (school.name, *school.aliases) if name
        }
        self._pattern = _pattern(list(self._school_of))

    def recognise(self, message: Message) -> str:
        """Return a school's id, or "" if none or several are named."""
        content = message.content
        if content.school in self._ids:
            return content.school
        if self._pattern is None:
            return ""
        text = f"{content.subject}\n{content.text}"[:20_000]
        found = {self._school_of[_plain(match.group(1))] for match in self._pattern.finditer(text)}
        return found.pop() if len(found) == 1 else ""


def _pattern(names: list[str]) -> re2.Regexp | None:
    """Longest names first, so that "Lincoln Elementary" isn't read as "Lincoln"."""
    if not names:
        return None
    options = re2.Options()
    options.case_sensitive = False
    ordered = sorted(names, key=len, reverse=True)
    alternatives = "|".join(r"\s+".join(re2.escape(word) for word in name.split()) for name in ordered)
    return re2.compile(rf"(?:^|[^\pL\pN])({alternatives})(?:$|[^\pL\pN])", options)  # RE2's \b knows only ASCII


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()
