"""The topic that somebody chose on a form: the model isn't shown it, its answer is weighed with it. Pure.

Who chooses a department makes it ten times as likely as the model finds it by the text alone: 20 % become 71 %, 50 %
become 91 %, and 1 % becomes 9 %. So a right choice settles what was in doubt, and a wrong one doesn't outvote a text
that is clear. As words the choice would count for as much as the model happens to know the department's name.
Ten was chosen by what first choices are worth on 433 labelled messages (`docs/howto/contact-page.md`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.interfaces import ModelInput
    from router.records import Department

TIMES = 10


def hinted(model_input: ModelInput, departments: Sequence[Department]) -> tuple[ModelInput, str]:
    """Return what the model is to see, and the department that was chosen: "" if the topic isn't one of them.

    A topic that no department bears stays with the text, as words.
    """
    wanted = model_input.topic.casefold()
    for department in departments if wanted else ():
        if department.covers and wanted in (department.id.casefold(), department.name.casefold()):
            return replace(model_input, topic=""), department.id
    return model_input, ""


def weighed(
    desks: Mapping[str, float], others: Mapping[str, float], chosen: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Return how likely each department, and each of the other labels, is: `TIMES` the odds for the chosen department.

    All others keep their proportions to one another.
    """
    before = desks[chosen]
    after = TIMES * before / (1 - before + TIMES * before)
    rest = (1 - after) / (1 - before) if before < 1 else 1.0
    return (
        {desk: after if desk == chosen else p * rest for desk, p in desks.items()},
        {label: p * rest for label, p in others.items()},
    )


def told(chosen: str, alone: float) -> str:
    """Return the choice as the end of a sentence on the decision; `alone` is how likely it is by the text alone."""
    return f"; {chosen} was chosen on the form, which counts {TIMES} times (it is {alone:.0%} without)"
