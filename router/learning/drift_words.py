"""What people are told of a change: a sentence each, and one notice for each kind. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.learning.drift_counts import ABSTAINED, DOUBT, LABEL, UNKNOWN
from router.records import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from router.learning.drift_proofs import Answer

_KINDS = {ABSTAINED: "topic", DOUBT: "topic", UNKNOWN: "topic", LABEL: "labels", "corrected": "corrections"}
_SUBJECTS = {
    "topic": "Families may be writing about something new",
    "labels": "Families write about other things than before",
    "corrections": "A department sends on more than before",
}
_HINTS = {
    "topic": "Pass such messages on to where they belong; what is confirmed is learnt. A new matter may want a rule, "
    "or a department of its own.",
    "labels": "That may be the season, and nothing is wrong: then there is nothing to do.",
    "corrections": "Something about its work, or what families write to it, may have changed. Please confirm what was "
    "sent on rightly, so that it is learnt.",
}


def said(answer: Answer) -> str:
    """Return a change as a sentence without names of people or words of messages."""
    name, before, after = answer.question.name, _percent(answer.before), _percent(answer.after)
    return {
        ABSTAINED: f"the model left {after} of the messages to a person, before {before}",
        DOUBT: f"the model was {_percent(1 - answer.after)} sure in the mean, before {_percent(1 - answer.before)}",
        UNKNOWN: f"{after} of the words are unknown to the model, before {before}",
        LABEL: f"{after} of the messages are about {name}, before {before}",
        "corrected": f"{after} of what {name} got was sent on, before {before}",
    }[answer.question.what]


def notices(report: Mapping[str, Any]) -> Iterator[tuple[str, Notice]]:
    """Yield what is to be told, and of which kind it is."""
    for kind, subject in _SUBJECTS.items():
        changes = [each for each in report["changes"] if _KINDS[each["what"]] == kind]
        if changes:
            topic = report["topic"] if kind == "topic" else None
            yield kind, Notice(subject=subject, text=_text(report, changes, topic, _HINTS[kind]))


def _text(report: Mapping[str, Any], changes: Sequence[Mapping[str, Any]], topic: Any, hint: str) -> str:
    lines = [
        f"In the days from {report['since']} to before {report['until']} ({report['messages']} messages), compared "
        f"with those since {report['reference_since']} ({report['reference_messages']} messages):",
        "",
        *(f"  {each['sentence']}" for each in changes),
        "",
    ]
    if topic:
        lines += [
            f"{topic['n']} messages that the model couldn't place share words that were rare before: "
            f"{', '.join(topic['words'])}",
            "For example:",
            *(f"  signpost messages show {message_id}" for message_id in topic["messages"]),
            "",
        ]
    return "\n".join([*lines, hint]) + "\n"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
