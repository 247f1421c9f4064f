"""Why a message goes where it goes: the step, the words and thresholds behind it, and what would change it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from router.records import Reason
from router.routing.hint import TIMES, hinted, weighed
from router.routing.policy import Thresholds, choose
from router.routing.spam import judged
from router.routing.split import matters, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.interfaces import Classifier, ModelInput
    from router.records import Decision, Department, Message, Prediction, School
    from router.routing.schools import Recognition
    from router.routing.split import Matter

_MOST_RANKED = 5
_MOST_REMOVED = 5  # words left out in search of another answer
_HOWS = {
    "form": "chosen on the form",
    "name": "named as “{words}”",
    "alias": "by its other name “{words}”",
    "initials": "by the initials “{words}”",
    "spelling": "by “{words}”, taken for its name with a slip",
    "contact": "by the sender's entry in the contact list",
}
_STEPS = {
    Reason.RULE: "rules",
    Reason.THREAD: "threads",
    Reason.OBSERVE: "observe mode",
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
    chosen: str = ""  # the department that was chosen on a form

    @classmethod
    def about(
        cls, classifier: Classifier, thresholds: Thresholds, prepared: ModelInput, departments: Sequence[Department]
    ) -> Asked:
        """Return what was asked of a message as it was prepared for the model."""
        model_input, chosen = hinted(prepared, departments)
        return cls(classifier=classifier, thresholds=thresholds, model_input=model_input, chosen=chosen)


def explanation(
    message: Message,
    decision: Decision,
    prediction: Prediction | None,
    *,
    departments: Sequence[Department],
    fallback: str,
    schools: Sequence[School] = (),
    seen: Recognition | None = None,
    asked: Asked | None = None,
) -> dict[str, Any]:
    """Return the explanation as a JSON value.

    `prediction` is the model's answer, whether or not it decided. Without `asked` (its model is gone) there are no
    words and no thresholds. `seen` is how the school is recognised now; nothing of the contact list is told.
    """
    model = _model(prediction, departments, asked) if prediction else None
    names = {department.id: department.name for department in departments}
    return {
        "id": message.id,
        "department": decision.department,
        "department_name": names.get(decision.department, ""),
        "also": list(decision.also),
        "step": _step(decision),
        "reason": decision.reason.value,
        "detail": decision.detail,
        "because": _because(decision, prediction, departments, asked),
        "confidence": decision.confidence,
        "urgent": decision.urgent,
        "tags": list(decision.tags),
        "school": decision.school,
        "school_by": _school_by(decision, seen, schools),
        "language": message.content.language,
        "model": model,
        "spam": judged(message.content, prediction, asked),
        "would_change": _changes(decision, prediction, departments, fallback, asked),
    }


def _because(
    decision: Decision, prediction: Prediction | None, departments: Sequence[Department], asked: Asked | None
) -> str:
    """Return in one sentence why it goes there."""
    if decision.reason is Reason.RULE:
        return f"The rule '{decision.detail}' says so, before any model is asked."
    if decision.reason is Reason.THREAD:
        return f"It {decision.detail}, and goes where that one stands now."
    if _step(decision) != "model" or prediction is None or asked is None:
        return f"{decision.detail[:1].upper()}{decision.detail[1:]}." if decision.detail else ""
    needed = _needed_by(decision.department, departments, asked.thresholds)
    if decision.reason is Reason.MODEL and decision.confidence is not None:
        sure = f"The model is {decision.confidence:.1%} sure of it, and {needed:.1%} is enough."
        return f"{sure} {_hint(asked)}".strip()
    return f"The model isn't sure enough: {decision.detail}. So a person decides."


def _hint(asked: Asked) -> str:
    return (
        f"In that the choice of {asked.chosen} on the form counts: it makes it {TIMES} times as likely."
        if asked.chosen
        else ""
    )


def _school_by(decision: Decision, seen: Recognition | None, schools: Sequence[School]) -> dict[str, Any]:
    """Return how the school was recognised: a word for programs, what stood in the message, and a sentence part."""
    names = {school.id: school.name for school in schools}
    if seen and seen.several:
        named = " and ".join(names.get(school, school) for school in seen.several)
        said = f"several are named ({named}): none is chosen"
        return {"how": "several", "words": "", "said": said}
    if not decision.school:
        return {"how": "", "words": "", "said": ""}
    if seen is None or seen.school != decision.school:
        thread = decision.reason is Reason.THREAD
        said = "that of the message which this one continues" if thread else "as recognised when it was decided"
        return {"how": "thread" if thread else "", "words": "", "said": said}
    return {"how": seen.how, "words": seen.words, "said": _HOWS[seen.how].format(words=seen.words)}


def _step(decision: Decision) -> str:
    if decision.suspicion:
        return "suspicion"
    return _STEPS.get(decision.reason, "model")


def _model(prediction: Prediction, departments: Sequence[Department], asked: Asked | None) -> dict[str, Any]:
    view: dict[str, Any] = {
        "version": prediction.model,
        "score": round(prediction.score, 4),
        "ranking": [[label, round(p, 4)] for label, p in prediction.ranking[:_MOST_RANKED]],
        "departments": [[desk.id, round(p, 4)] for desk, p in standing(prediction, departments, asked)[:_MOST_RANKED]],
    }
    if asked:
        view["min_confidence"] = asked.thresholds.min_confidence
        view["min_score"] = asked.thresholds.min_score
        view["needed"] = {
            desk.id: round(need, 4) if (need := _needed(desk, asked.thresholds)) <= 1 else None  # None: never by itself
            for desk, _ in standing(prediction, departments, asked)[:_MOST_RANKED]
        }
        known = [label for label, _ in prediction.ranking[:2] if label in asked.classifier.labels]
        view["matters"] = [[each.department, round(each.confidence, 4)] for each in _matters(departments, asked)]
        view["words"] = {
            label: [list(w) for w in asked.classifier.explain(asked.model_input, label)] for label in known
        }
    return view


def _matters(departments: Sequence[Department], asked: Asked) -> Sequence[Matter]:
    """Return what the message is about if it has several matters, () if it seems to have one."""
    cut = parts(asked.model_input)
    return matters(asked.classifier.predict(cut), departments, asked.thresholds) if cut else ()


def _needed(desk: Department, thresholds: Thresholds) -> float:
    """Return how sure the model has to be to send a message there by itself."""
    return max(thresholds.min_confidence, desk.min_confidence or 0.0)


def _needed_by(department: str, departments: Sequence[Department], thresholds: Thresholds) -> float:
    desk = next((each for each in departments if each.id == department), None)
    return _needed(desk, thresholds) if desk else thresholds.min_confidence


def standing(
    prediction: Prediction, departments: Sequence[Department], asked: Asked | None = None
) -> list[tuple[Department, float]]:
    """Return what each department's labels add up to, best first; departments that cover nothing are left out.

    With what was `asked` the topic that was chosen on a form counts, too.
    """
    of = dict(prediction.likely)
    totals = {desk.id: sum(of.get(label, 0.0) for label in desk.covers) for desk in departments if desk.covers}
    if asked and asked.chosen in totals:
        totals, _ = weighed(totals, {}, asked.chosen)
    desks = [(desk, totals[desk.id]) for desk in departments if desk.covers]
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
    choice = choose(prediction, departments, asked.thresholds, asked.chosen)
    if _step(decision) != "model":
        model_says = choice.department or f"{fallback or 'no department'} (it abstains)"
        return [f"Without {_who(decision)} the model would have decided: {model_says}; {choice.why}."]
    said = _thresholds_said(prediction, departments, fallback, asked)
    said += _fewer_words(choice.department, departments, fallback, asked, first=True)
    return said + _fewer_words(choice.department, departments, fallback, asked, first=False)


def _who(decision: Decision) -> str:
    if decision.reason is Reason.RULE:
        return f"the rule '{decision.detail}'"
    known = {Reason.THREAD: "the earlier message", Reason.UNREADABLE: "the fault", Reason.OBSERVE: "observe mode"}
    if _step(decision) == "suspicion":
        return "the suspicion"
    return known.get(decision.reason, "that")


def _thresholds_said(
    prediction: Prediction, departments: Sequence[Department], fallback: str, asked: Asked
) -> list[str]:
    thresholds, ranked = asked.thresholds, standing(prediction, departments, asked)
    if not ranked:
        return ["No department covers any label of the model."]
    best, confidence = ranked[0]
    label, p = prediction.likely[0]
    if not any(label in desk.covers for desk in departments) and p > confidence:
        return [f"If a department covered {label}, it would get the message (at {p:.1%})."]
    needed = _needed(best, thresholds)
    if needed > 1:
        said = [
            "The model is not sure enough of anything to reach the wanted error rate: everything goes to the fallback."
        ]
    else:
        below = fallback or "no department"
        said = [f"Below {needed:.1%}: {below}. At {needed:.1%} or more: {best.id}. It has {confidence:.1%}."]
        if confidence < needed:
            said.append(_with_less_doubt(best, confidence, thresholds))
    if prediction.score < thresholds.min_score:
        said.append(
            f"Its likeness to known messages is {prediction.score:.2f}; "
            f"from {thresholds.min_score:.2f} on it would count."
        )
    if len(ranked) > 1:
        said.append(f"The runner-up is {ranked[1][0].id} at {ranked[1][1]:.1%}.")
    return said


def _with_less_doubt(desk: Department, confidence: float, thresholds: Thresholds) -> str:
    """Return which setting keeps the message from the department that the model thinks of."""
    own, reached = desk.min_confidence or 0.0, f"{int(confidence * 1000) / 1000:g}"
    if thresholds.min_confidence <= confidence:
        return f"At departments.{desk.id}.min_confidence {reached} or less it would have been routed to {desk.id}."
    also = f" and departments.{desk.id}.min_confidence" if own > confidence else ""
    return (
        f"At a threshold of {reached} it would have been routed to {desk.id}; the threshold follows from "
        f"routing.target_error{also}: a larger share of wrong routes allowed means a lower one."
    )


def _fewer_words(
    present: str | None, departments: Sequence[Department], fallback: str, asked: Asked, *, first: bool
) -> list[str]:
    """Leave out what speaks most strongly for the first choice (or the second) until the answer changes."""
    model_input, removed = asked.model_input, list[str]()
    ranking = asked.classifier.predict([model_input])[0].ranking
    if len(ranking) < 2 and not first:
        return []
    label = ranking[0 if first else 1][0]
    for word, weight in asked.classifier.explain(model_input, label):
        if weight <= 0 or len(removed) == _MOST_REMOVED:
            continue
        removed.append(word)
        model_input = _without(model_input, word)
        answer = asked.classifier.predict([model_input])[0]
        now = choose(answer, departments, asked.thresholds, asked.chosen).department
        if now != present:
            words = ", ".join(f"“{each}”" for each in removed)
            speaking = "" if first else f" (which speaks for {label})" if len(removed) == 1 else f" (all for {label})"
            return [f"Without {words}{speaking} it would go to {now or fallback or 'no department'}."]
    return []


def _without(model_input: ModelInput, word: str) -> ModelInput:
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
    return replace(model_input, subject=pattern.sub(" ", model_input.subject), body=pattern.sub(" ", model_input.body))
