"""A model's card in Markdown: what it is for, what it was made of, how good it is, and what became of it.

After Mitchell et al. 2019, Model Cards for Model Reporting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.learning.outvote import told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HEADLINES = (
    ("accuracy", "right first choice"),
    ("macro_f1", "macro F1 of the first choice"),
    ("coverage", "routed without a person"),
    ("selective_accuracy", "right among the routed"),
    ("ece", "calibration error (the less the better)"),
)
_USE = (
    "It reads the text of a message to a school district and says which department is likely meant, and how sure it "
    "is. Below its threshold the message goes to the fallback department, where a person reads it. It decides nothing "
    "about people, and it is not made for other texts. Urgent messages are looked for by words as well."
)


def card(view: Mapping[str, Any]) -> str:
    """Return the card of a version, from what `models show` knows of it."""
    metrics, verdict = view["metrics"], view["verdict"]
    parts = [
        f"# Model {view['version']}",
        _facts(view),
        "## What it is for",
        _USE,
        "## What it was made of",
        _made_of(view, metrics),
        "## How good it is",
        *_figures(metrics.get("held_out") or {}),
        "## The gate",
        str(verdict.get("sentence", "")) or "No gate was asked.",
        *_gate(verdict),
        "## What became of it",
        _history(view.get("history") or ()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(view: Mapping[str, Any]) -> str:
    facts = (
        ("Type", view["type"]),
        ("State", view["state"] + (" (pinned)" if view.get("pinned") else "")),
        ("Made", view["created_at"]),
        ("Serving since", view["promoted_at"] or "never"),
        ("Compared with", view["parent"] or "no other: it was the first"),
        ("SHA-256", f"`{view['sha256']}`"),
    )
    return "\n".join(f"- {name}: {_plain(value)}" for name, value in facts)


def _made_of(view: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    counts, left_out = metrics.get("counts") or {}, metrics.get("left_out") or {}
    lines = [f"- Fingerprint of the data: `{view['fingerprint']}`"]
    lines += [f"- Messages from {name}: {count}" for name, count in counts.items()]
    lines += [f"- Left out: {count} ({_plain(why)})" for why, count in left_out.items()]
    lines += [f"- {_plain(sentence)}" for sentence in told(metrics.get("outvoted") or ())]
    if learnt := metrics.get("learnt"):
        lines.append(f"- What people said: {', '.join(map(_plain, learnt))}")
    lines += [f"- {name} {number}" for name, number in (metrics.get("libraries") or {}).items()]
    parameters = metrics.get("parameters") or {}
    lines += [f"- Parameter {name}: {_plain(value)}" for name, value in parameters.items() if value is not None]
    return "\n".join(lines)


def _figures(figures: Mapping[str, Any]) -> Iterable[str]:
    if not figures:
        yield "It wasn't measured on held-out messages."
        return
    yield (
        f"Measured on {figures.get('n', 0)} messages that no model ever learns from, at thresholds for "
        f"{_percent(figures.get('target_error'))} wrong answers among the routed."
    )
    intervals = figures.get("intervals") or {}
    rows = [[words, _percent(figures.get(name)), _between(intervals.get(name))] for name, words in HEADLINES]
    if urgent := figures.get("urgent"):
        rows += [[f"urgent messages: {name}", _percent(urgent.get(name)), ""] for name in ("recall", "precision")]
    yield _table(["", "share", "95 % interval"], rows)
    departments = figures.get("per_department") or {}
    rows = [[name, f["n"], _percent(f["precision"]), _percent(f["recall"])] for name, f in departments.items()]
    yield _table(["department", "messages", "precision", "recall"], rows)
    languages = figures.get("per_language") or {}
    rows = [[name or "unknown", f.get("n"), _percent(f.get("accuracy"))] for name, f in languages.items()]
    yield _table(["language", "messages", "right first choice"], rows)


def _gate(verdict: Mapping[str, Any]) -> Iterable[str]:
    rows = [
        [check["what"], check["n"], _percent(check["champion"]), _percent(check["challenger"]), check["outcome"]]
        for check in verdict.get("checks") or ()
    ]
    if rows:
        yield _table(["check", "messages", "before", "this model", "outcome"], rows)
    replayed = verdict.get("replayed") or {}
    if replayed.get("n"):
        names = ("fixed", "still_right", "still_wrong", "newly_wrong")
        counted = ", ".join(f"{replayed.get(name, 0)} {name.replace('_', ' ')}" for name in names)
        yield f"Past misroutes shown again: {replayed['n']} ({counted})."


def _history(events: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    people = {name: number for number, name in enumerate(dict.fromkeys(filter(None, (e["by"] for e in events))), 1)}
    for event in events:  # a card may be shown around: it says that people decided, and not who they are
        by = f" by person {people[event['by']]}" if event["by"] else ""
        why = f": {_plain(event['why'])}" if event["why"] else ""
        lines.append(f"- {event['at']}: {event['what'].replace('_', ' ')}{by}{why}")
    return "\n".join(lines)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)


def _plain(value: object) -> str:
    """Return a value on one line that can't be taken for Markdown's own signs."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _between(interval: Sequence[float] | None) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}" if interval else ""
