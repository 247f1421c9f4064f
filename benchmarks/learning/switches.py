"""What a daemon has no setting to switch off, for a simulation without it: the gate, and its rehearsals."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from router.learning import train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.learning.snapshot import Snapshot
    from router.learning.train import Trained
    from router.learning.verdicts import Verdict


@contextmanager
def rehearsing(*, on: bool) -> Iterator[None]:
    """Let the trainings within rehearse where few messages are held out, or not."""
    names = vars(train)
    known = names["is_open"]
    names["is_open"] = known if on else _never
    try:
        yield
    finally:
        names["is_open"] = known


def _never(_verdict: Verdict) -> bool:
    return False


def unsuspecting(seen: Snapshot) -> Snapshot:
    """Return the same where nobody is said most of: no refusal leads to a second training without their words."""
    return replace(seen, lessons=replace(seen.lessons, loudest=("", 0)))


def let_pass(model: Trained) -> Trained:
    """Return a model that may serve, whatever the gate said of it."""
    return replace(model, verdict=replace(model.verdict, passed=True, checks=()))
