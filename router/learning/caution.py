"""A model that is trained again is at least as ready to raise alarms as the one before."""

from __future__ import annotations

from dataclasses import replace
from math import floor
from typing import TYPE_CHECKING

from router.learning.alarms import missed
from router.routing.urgent import sense_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from classifiers._artifact import Artifact
    from router.interfaces import Classifier, Example

MOST_MORE = 0.005  # of the messages that aren't urgent may raise an alarm that didn't
_LEAST = 0.5  # of the threshold that was learnt


def careful(
    artifact: Artifact,
    load: Callable[[Artifact], Classifier],
    champion: Classifier,
    held_out: Sequence[Example],
    strangers: Sequence[Example],
) -> Artifact:
    """Return a challenger with its threshold for urgency lowered so far that it loses no alarm the champion raises.

    Retrained on a little more, a model is a little less sure of some urgent message, and whoever is told of it should
    not depend on that. Where it would cost more false alarms than `MOST_MORE`, or lies far below what was learnt, it is
    left as it is, and the gate refuses it. The held-out messages decide about this one number alone, and only for more
    alarms.
    """
    challenger = load(artifact)
    sense, known = sense_of(challenger), artifact.meta.get("urgent")
    messages = (*held_out, *strangers)
    lost = missed(challenger, messages) - missed(champion, messages)
    if not lost or sense is None or not isinstance(known, dict):
        return artifact
    least = floor(min(sense.likely([messages[number].input for number in lost])) * 1e5) / 1e5
    others = [row.input for row in messages if not row.alarming]
    more = sum(least <= likely < sense.threshold for likely in sense.likely(others))
    if least < _LEAST * sense.threshold or more > MOST_MORE * len(others):
        return artifact
    lowered = known | {"threshold": least, "learnt_threshold": sense.threshold}
    return replace(artifact, meta={**artifact.meta, "urgent": lowered})
