"""What the process that trains is told: everything it needs of the configuration, as one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from router.learning.lessons import Rules
from router.records import Department

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A training to be done. `store_url` holds the password, so an order goes through a pipe and is never shown.

    It is "" where nothing is learnt from a store. `out` is the folder of a model that stands outside the registry.
    `memory` is how many bytes the process may use for data. `by_hand`: a person ordered it, who is told how far it is,
    and says which files to learn from. `compare`: tell what each source of messages helped.
    """

    store_url: str = field(repr=False)
    classifier: str  # the type's name
    settings: Mapping[str, Any]
    departments: tuple[Department, ...]
    fallback: str
    target_error: float
    rules: Rules
    files: tuple[str, ...] = ()  # of labelled messages, besides those in the store
    corpus: bool = True  # whether the bundled messages are learnt from
    memory: int
    by_hand: bool = False
    compare: bool = False
    out: str = ""

    def line(self) -> bytes:
        """Return the order as a line."""
        desks = [asdict(replace(desk, deliver=())) for desk in self.departments]
        rules = asdict(self.rules) | {"silence_after": self.rules.silence_after.total_seconds()}
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        said = plain | {"settings": dict(self.settings), "departments": desks, "rules": rules}
        return json.dumps(said).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Order:
        """Return the order that was written as a line."""
        said = json.loads(line)
        desks = [Department(**{**desk, "covers": tuple(desk["covers"]), "deliver": ()}) for desk in said["departments"]]
        rules = said["rules"] | {"silence_after": timedelta(seconds=said["rules"]["silence_after"])}
        return cls(**{**said, "departments": tuple(desks), "rules": Rules(**rules), "files": tuple(said["files"])})
