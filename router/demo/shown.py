"""How the demo's pages say things: places by their names, times on the district's clock, reasons in plain words."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from router.records import Medium, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from router.destinations import Desks
    from router.store.models import ModelRow

MEDIA = {Medium.EMAIL.value: "E-mail", Medium.SMS.value: "Text message", Medium.WEB_FORM.value: "Web form"}
REASONS = {
    Reason.MODEL.value: "The wording",
    Reason.RULE.value: "A rule of the district",
    Reason.THREAD.value: "It continues an earlier message",
    Reason.ABSTAINED.value: "Not sure enough: a person looks",
    Reason.UNREADABLE.value: "It couldn’t be read: a person looks",
    Reason.MODEL_DOWN.value: "No model could be asked: a person looks",
    Reason.CORRECTION.value: "Somebody passed it on",
    Reason.DISPUTED.value: "Departments disagree: a person decides",
    Reason.OBSERVE.value: "Only watching for now",
}
MODEL_STATES = {
    "champion": "serves now",
    "challenger": "passed, doesn’t serve",
    "refused": "refused",
    "retired": "served before",
    "rolled_back": "went back from",
}
_BEGINNING = 120  # characters, where `message_row_view` cuts
_FIGURES = (
    ("accuracy", "First choice right"),
    ("selective_accuracy", "Right when routed"),
)
_ROUTED = "Routed without a person"


class Shown:
    """Turns views (`router.views`) into what the templates print."""

    def __init__(self, desks: Desks, zone: ZoneInfo) -> None:
        self._desks = desks
        self._zone = zone

    def clock(self, at: str) -> str:
        """Return a view's time (ISO 8601) on the district's clock, to the second."""
        return f"{datetime.fromisoformat(at).astimezone(self._zone):%H:%M:%S}"

    def day(self, at: str) -> str:
        """Return a view's time with its day."""
        return f"{datetime.fromisoformat(at).astimezone(self._zone):%d %B %Y, %H:%M:%S}"

    def place(self, department: str) -> str:
        """Return a department's name, "" for none."""
        return self._desks.name(department) if department else ""

    def row(self, view: Mapping[str, Any]) -> dict[str, Any]:
        """Return one line of the list of messages."""
        return {
            **view,
            "time": self.clock(view["received_at"]),
            "medium_name": MEDIA.get(view["medium"], view["medium"]),
            "beginning": _shortened(view["beginning"]),
            "place": self.place(view["department"]),
            "guess": self._guess(view),
            "reason_text": REASONS.get(view["reason"], ""),
            "percent": percent(view["confidence"]),
            "school_name": self._desks.school_name(view["school"]),
        }

    def _guess(self, view: Mapping[str, Any]) -> str:
        """Return what the model thought where it wasn't sure enough: its confidence is about that, not the fallback."""
        suggestions = view["suggestions"] if view["reason"] == Reason.ABSTAINED.value else []
        return self.place(suggestions[0]) if suggestions else ""

    def message(self, view: Mapping[str, Any]) -> dict[str, Any]:
        """Return everything about one message."""
        return {
            **view,
            "time": self.day(view["received_at"]),
            "medium_name": MEDIA.get(view["medium"], view["medium"]),
            "decisions": [self._decision(decision) for decision in view["decisions"]],
            "deliveries": [{**d, "place": self.place(d["department"])} for d in view["deliveries"]],
            "corrections": [self.correction(correction) for correction in view["corrections"]],
        }

    def _decision(self, view: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **view,
            "time": self.clock(view["decided_at"]),
            "place": self.place(view["department"]),
            "guess": self._guess(view),
            "reason_text": REASONS.get(view["reason"], view["reason"]),
            "percent": percent(view["confidence"]),
            "school_name": self._desks.school_name(view["school"]),
            "ranked": [(self.place(label), p, percent(p)) for label, p in view["ranking"]],
        }

    def correction(self, view: Mapping[str, Any]) -> dict[str, Any]:
        """Return one correction."""
        return {
            **view,
            "time": self.day(view["at"]),
            "from_name": self.place(view["from"]),
            "to_name": self.place(view["to"]),
        }

    def model(self, row: ModelRow) -> dict[str, Any]:
        """Return one version of the model with its figures."""
        held_out = row.metrics.get("held_out") or {}
        wanted = held_out.get("target_error")
        figures = [*_FIGURES, ("coverage", _ROUTED + (f", at {100 * wanted:g}% wrong" if wanted else ""))]
        measured = [(name, held_out[key]) for key, name in figures if isinstance(held_out.get(key), int | float)]
        return {
            "version": row.version,
            "type": row.type,
            "state": row.state,
            "state_text": MODEL_STATES.get(row.state, row.state),
            "time": self.day(row.created_at.isoformat()),
            "figures": [(name, value, percent(value)) for name, value in measured],
            "n": held_out.get("n"),
            "learnt_from": row.metrics.get("counts") or {},
            "verdict": row.verdict.get("sentence", ""),
        }


def _shortened(text: str) -> str:
    """Return the beginning of a message up to a whole word."""
    return f"{text.rpartition(' ')[0] or text}…" if len(text) >= _BEGINNING else text


def percent(share: float | None) -> str:
    """Return a share as a percentage, "" for None."""
    return "" if share is None else f"{share:.0%}"
