"""The words in which a message's way is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from router.records import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.records import Decision

CHANNELS = {"email": "a mail", "sms": "a text message", "web_form": "a web form"}
STEPS = {
    Reason.RULE: "A rule of the district sent it to",
    Reason.THREAD: "It continues an earlier message, so it went to",
    Reason.MODEL: "The model sent it to",
    Reason.ABSTAINED: "The router wasn't sure, so it went to",
    Reason.UNREADABLE: "It couldn't be read, so it went with its original to",
    Reason.MODEL_DOWN: "No model could answer, so it went to",
    Reason.OBSERVE: "The router only observes for now, so it went to",
    Reason.CORRECTION: "A person sent it to",
    Reason.DISPUTED: "It was disputed, so it went to",
}
_SURE = re.compile(r"([a-z0-9-]+) at [0-9]")  # as `router.routing.policy` says it, with a department's id
_BELOW = re.compile(r"([a-z0-9-]+) at ([0-9.]+%) is below the ([0-9.]+%) it needs")
_CLEAR = {
    Reason.RULE: "The rule is called {detail}",
    Reason.OBSERVE: "By itself it {detail}",
}


def because(decision: Decision, name: Callable[[str], str]) -> str:
    """Return why a decision was made, "" where the sentence before says it all; `name` names departments."""
    if not decision.detail:
        return ""
    if decision.suspicion:
        return sentence(f"it looks like spam: {decision.suspicion}")
    if decision.reason in (Reason.MODEL, Reason.ABSTAINED):
        return sentence(_figures(decision.detail, name))
    return sentence(_CLEAR.get(decision.reason, "{detail}").format(detail=decision.detail))


def _figures(detail: str, name: Callable[[str], str]) -> str:
    if below := _BELOW.match(detail):
        desk, sure, needed = below.groups()
        return f"perhaps {name(desk)}: {sure} sure, and {needed} is needed to send it there by itself"
    begins = _SURE.match(detail)
    return name(begins[1]) + detail[begins.end(1) :] if begins else detail


def sentence(text: str) -> str:
    """Return a text with a capital at its beginning and a full stop at its end."""
    plain = " ".join(text.split())
    return plain[:1].upper() + plain[1:] + ("" if plain.endswith((".", "!", "?", "…")) else ".")


def percent(share: float) -> str:
    """Return a share for people."""
    return f"{share:.0%}" if share < 0.995 else f"{share:.1%}"


def person(by: str) -> str:
    """Return who did something, at the beginning of a sentence."""
    return {"": "A person", "link": "The department's link", "two votes": "Two departments"}.get(by, by)
