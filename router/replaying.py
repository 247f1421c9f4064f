"""What would change if messages were decided again: counted one by one, so that a million of them need no memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from router.records import Reason, State
from router.routing.route import intended

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.records import Decision
    from router.routing.route import Verdict
    from router.store.decided import Decided

EXAMPLES = 5  # messages named for each change
_UNASKED = (Reason.ABSTAINED, Reason.MODEL_DOWN, Reason.UNREADABLE)


@dataclass(kw_only=True)
class Noted:
    """How many messages, and a few of their ids."""

    n: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, message_id: str) -> None:
        """Count a message."""
        self.n += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(message_id)

    def view(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return {"n": self.n, "examples": self.examples}


@dataclass(kw_only=True)
class Comparison:
    """How another model or configuration compares with what was decided; `add` one message after the other.

    `heirs` names the department that answers now for one that is no longer there, where there is such.
    """

    heirs: Mapping[str, str] = field(default_factory=dict)
    n: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    same: Counter[str] = field(default_factory=Counter)
    changes: defaultdict[tuple[str, str], Noted] = field(default_factory=lambda: defaultdict(Noted))
    alarms: defaultdict[str, Noted] = field(default_factory=lambda: defaultdict(Noted))
    abstained: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)

    def leaves_out(self, decided: Decided) -> bool:
        """Return whether a message can't be compared, and count why."""
        if decided.decision is None:
            why = "people"
        elif intended(decided.decision)[1] is Reason.THREAD:
            why = "conversations"
        else:
            return False
        self.left_out[why] += 1
        return True

    def add(self, decided: Decided, verdict: Verdict) -> None:
        """Count a message with what would become of it now."""
        assert decided.decision is not None
        desks, reason = intended(decided.decision)
        before, after = " and ".join(desks), _where(verdict)
        self.n += 1
        self.before[before] += 1
        self.after[after] += 1
        if before == after:
            self.same[before] += 1
        else:
            self.changes[before, after].note(decided.message.id)
        self.abstained["before"] += reason in _UNASKED
        self.abstained["after"] += verdict.decision is not None and verdict.decision.reason in _UNASKED
        if bool(decided.decision.urgent) != bool(verdict.urgent):
            self.alarms["gained" if verdict.urgent else "lost"].note(decided.message.id)
        if decided.belongs:
            self._judge(decided.belongs, desks, verdict.decision)

    def _judge(self, belongs: str, desks: tuple[str, ...], decision: Decision | None) -> None:
        """Count a message of which people have confirmed where it belongs; any of its desks may be the right one."""
        now, *had = (self.heirs.get(desk, desk) for desk in (belongs, *desks))
        self.right["n"] += 1
        self.right["before"] += now in had
        self.right["after"] += decision is not None and now in (decision.department, *decision.also)

    def view(self) -> dict[str, Any]:
        """Return the figures as a JSON value; changes and departments with most messages first."""
        changes = sorted(self.changes.items(), key=lambda item: (-item[1].n, item[0]))
        names = sorted({*self.before, *self.after}, key=lambda name: (-self.before[name] - self.after[name], name))
        return {
            "messages": self.n,
            "left_out": {"conversations": self.left_out["conversations"], "people": self.left_out["people"]},
            "same": self.same.total(),
            "changed": self.n - self.same.total(),
            "abstained": {when: self.abstained[when] for when in ("before", "after")},
            "urgent": {what: self.alarms[what].view() for what in ("gained", "lost")},
            "corrections": {name: self.right[name] for name in ("n", "before", "after")},
            "departments": [
                {"department": name, "before": self.before[name], "after": self.after[name], "same": self.same[name]}
                for name in names
            ],
            "changes": [{"from": before, "to": after, **noted.view()} for (before, after), noted in changes],
        }


def _where(verdict: Verdict) -> str:
    """Return the departments, the first one first, or what would become of the message otherwise."""
    if verdict.state is State.ROUTED and verdict.decision is not None:
        return " and ".join((verdict.decision.department, *verdict.decision.also))
    return f"({verdict.state.value})"
