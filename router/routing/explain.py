"""Why a message goes where it goes: the step, the words and thresholds behind it, and what would change it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from router.records import Reason
from router.routing.policy import Thresholds, choose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.interfaces import Classifier, ModelInput
    from router.records import Decision, Department, Message, Prediction

_MOST_RANKED = 5
_MOST_REMOVED = 5  # words left out in search of another answer
_STEPS = {
    Reason.RULE: "rules",
    Reason.THREAD: "threads",
    Reason.UNREADABLE: "unreadable",
    Reason.CORRECTION: "a person's correction",
    Reason.DISPUTED: "a person's correction",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A model that can be asked again about the message, and the thresholds its answers must reach."""

    classifier: Classifier
    thresholds: Thresholds
    model_input: ModelInput


def explanation(
    message: Message,
    decision: Decision,
    prediction: Prediction | None,
    *,
    departments: Sequence[Department],
    fallback: str,
    asked: Asked | None = None,
) -> dict[str, Any]:
    """Return the explanation as a JSON value.

    `prediction` is the model's answer, whether or not it decided. Without `asked` (its model is gone) there are no
    words and no thresholds.
    """
    model = _model(prediction, departments, asked) if prediction else None
    return {
        "id": message.id,
        "department": decision.department,
        "step": _step(decision),
        "reason": decision.reason.value,
        "detail": decision.detail,
        "confidence": decision.confidence,
        "urgent": decision.urgent,
        "school": decision.school,
        "language": message.content.language,
        "model": model,
        "would_change": _changes(decision, prediction, departments, fallback, asked),
    }


def _step(decision: Decision) -> str:
    if decision.reason is Reason.ABSTAINED and decision.detail.startswith("suspicious"):
        return "suspicion"
    return _STEPS.get(decision.reason, "model")


def _model(prediction: Prediction, departments: Sequence[Department], asked: Asked | None) -> dict[str, Any]:
    view: dict[str, Any] = {
        "version": prediction.model,
        "score": round(prediction.score, 4),
        "ranking": [[label, round(p, 4)] for label, p in prediction.ranking[:_MOST_RANKED]],
        "departments": [[desk.id, round(p, 4)] for desk, p in standing(prediction, departments)[:_MOST_RANKED]],
    }
    if asked:
        view["min_confidence"] = asked.thresholds.min_confidence
        view["min_score"] = asked.thresholds.min_score
        known = [label for label, _ in prediction.ranking[:2] if label in asked.classifier.labels]
        view["words"] = {
            label: [list(w) for w in asked.classifier.explain(asked.model_input, label)] for label in known
        }
    return view


def standing(prediction: Prediction, departments: Sequence[Department]) -> list[tuple[Department, float]]:
    """Return what each department's labels add up to, best first; departments that cover nothing are left out."""
    of = dict(prediction.ranking)
    desks = [(desk, sum(of.get(label, 0.0) for label in desk.covers)) for desk in departments if desk.covers]
    return sorted(desks, key=lambda pair: -pair[1])


def _changes(
    decision: Decision,
    prediction: Prediction | None,
    departments: Sequence[Department],
    fallback: str,
    asked: Asked | None,
) -> list[str]:
    """Return sentences on what would have led elsewhere."""
    if prediction is None:
        return []
    if asked is None:
        return [f"The model {prediction.model} isn't in the registry any more: its thresholds aren't known."]
    choice = choose(prediction, departments, asked.thresholds)
    if _step(decision) != "model":
        model_says = choice.department or f"{fallback or 'no department'} (it abstains)"
        return [f"Without {_who(decision)} the model would have decided: {model_says}; {choice.why}."]
    said = _thresholds_said(prediction, departments, fallback, asked.thresholds)
    return [*said, *_fewer_words(choice.department, departments, fallback, asked)]


def _who(decision: Decision) -> str:
    if decision.reason is Reason.RULE:
        return f"the rule '{decision.detail}'"
    return {Reason.THREAD: "the earlier message", Reason.UNREADABLE: "the fault"}.get(decision.reason, "that")


def _thresholds_said(
    prediction: Prediction, departments: Sequence[Department], fallback: str, thresholds: Thresholds
) -> list[str]:
    ranked = standing(prediction, departments)
    if not ranked:
        return ["No department covers any label of the model."]
    best, confidence = ranked[0]
    label, p = prediction.ranking[0]
    if not any(label in desk.covers for desk in departments) and p > confidence:
        return [f"If a department covered {label}, it would get the message (at {p:.1%})."]
    needed = max(thresholds.min_confidence, best.min_confidence or 0.0)
    if needed > 1:
        said = [
            "The model is not sure enough of anything to reach the wanted error rate: everything goes to the fallback."
        ]
    else:
        below = fallback or "no department"
        said = [f"Below {needed:.1%}: {below}. At {needed:.1%} or more: {best.id}. It has {confidence:.1%}."]
    if prediction.score < thresholds.min_score:
        said.append(
            f"Its likeness to known messages is {prediction.score:.2f}; "
            f"from {thresholds.min_score:.2f} on it would count."
        )
    if len(ranked) > 1:
        said.append(f"The runner-up is {ranked[1][0].id} at {ranked[1][1]:.1%}.")
    return said


def _fewer_words(present: str | None, departments: Sequence[Department], fallback: str, asked: Asked) -> list[str]:
    """Leave out the words that speak most strongly for the first choice until the answer changes."""
    model_input, removed = asked.model_input, list[str]()
    label = asked.classifier.predict([model_input])[0].ranking[0][0]
    for word, weight in asked.classifier.explain(model_input, label):
        if weight <= 0 or len(removed) == _MOST_REMOVED:
            continue
        removed.append(word)
        model_input = _without(model_input, word)
        now = choose(asked.classifier.predict([model_input])[0], departments, asked.thresholds).department
        if now != present:
            words = ", ".join(f"“{each}”" for each in removed)
            return [f"Without {words} it would go to {now or fallback or 'no department'}."]
    return []


def _without(model_input: ModelInput, word: str) -> ModelInput:
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
    return replace(model_input, subject=pattern.sub(" ", model_input.subject), body=pattern.sub(" ", model_input.body))
