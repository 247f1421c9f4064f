"""What a threshold is worth, and what is told by one: the figures of `docs/howto/thresholds.md`."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.accuracy import validation
from benchmarks.figures import Figure
from benchmarks.held_out import thirds
from benchmarks.model import bundled_model
from classifiers import linear
from classifiers._calibrate import Trial, operating_points, share_weights
from classifiers._corpus import OUT_OF_SCOPE, load_corpus
from classifiers._corpus import example as example_of
from classifiers._evaluate import evaluate
from classifiers._figures import share
from classifiers._text import from_row
from router.records import Content, Department
from router.routing.spam import suspicion
from router.routing.split import matters, parts
from router.serving import thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.held_out import Row, Third
    from classifiers._artifact import Artifact
    from router.interfaces import ModelInput
    from router.records import Prediction

TARGETS = (0.05, 0.08, 0.1)
_TOPICS = "two_topics"  # the tag of messages with two matters
_DRAWS, _DRAWN = 100, (1_000, 3_000)
_NONE: Mapping[str, float] = MappingProxyType({})
_LANGUAGES = -0.03  # Spanish may be that much worse than English
_LIMITS = {"accuracy": 0.82, "coverage": 0.60, "selective_accuracy": 0.95, "out_of_scope": 0.85}
_SKIPPED = "skipped: there is no validation set beside this repository"


def measure(*, quick: bool) -> list[Figure]:
    """Return the first day's figures on the validation set and, unless `quick`, what the corpus says out of fold."""
    figures = first_day("thresholds", bundled_model(), _LIMITS)
    if not quick:
        answers = [answer for third in thirds() for answer in _answers(third)]
        figures += [*_draws(answers), *_two_topics(answers), *_spam(answers)]
    return figures


def first_day(title: str, artifact: Artifact, wanted: Mapping[str, float]) -> list[Figure]:
    """Return what a model that knows no message of the district's is worth on the validation set."""
    rows = validation()
    if not rows:
        return [Figure(name=f"{title}.accuracy", value=None, unit="share", n=0, note=_SKIPPED)]
    model = linear.load(artifact)
    figures: list[Figure] = []
    for target in TARGETS:
        limits = thresholds(artifact.meta, target)
        found = evaluate(model, rows, limits.min_confidence, limits.min_score)
        found["out_of_scope"]["intervals"]["out_of_scope"] = found["out_of_scope"]["intervals"].pop("recall")
        if not figures:
            figures += [_of(title, found, name, wanted=wanted) for name in ("accuracy", "macro_f1")]
            figures += [_of(title, found, name) for name in ("auroc", "aurc", "ece")]
            english, spanish = (found["per_language"][each] for each in ("en", "es"))
            figures += [_of(title, each, "accuracy", f".{name}") for name, each in (("en", english), ("es", spanish))]
            figures.append(_ahead(title, spanish, english))
        asked = wanted if target == TARGETS[0] else {}
        outside = found["out_of_scope"] | {"out_of_scope": found["out_of_scope"]["recall"]}
        routed = [(found, "coverage"), (found, "selective_accuracy"), (outside, "out_of_scope")]
        figures += [_of(title, each, name, f".at_{target:g}", asked) for each, name in routed]
    return figures


def _of(
    title: str, found: Mapping[str, Any], name: str, which: str = "", wanted: Mapping[str, float] = _NONE
) -> Figure:
    return Figure(
        name=f"{title}.{name}{which}",
        value=found[name],
        unit="" if name in {"auroc", "aurc", "ece"} else "share",
        n=found["n"],
        better="lower" if name in {"aurc", "ece"} else "higher",
        limit=wanted.get(name),
        detail={"interval_95": found["intervals"][name]},
    )


def _ahead(title: str, spanish: Mapping[str, Any], english: Mapping[str, Any]) -> Figure:
    """Return how far Spanish is ahead of English; its interval by Newcombe 1998 (method 10) from those of both."""
    values = spanish["accuracy"], english["accuracy"]
    (low, high), (low_en, high_en) = (each["intervals"]["accuracy"] for each in (spanish, english))
    lead = values[0] - values[1]
    below, above = hypot(values[0] - low, high_en - values[1]), hypot(high - values[0], values[1] - low_en)
    return Figure(
        name=f"{title}.spanish_ahead",
        value=round(lead, 4),
        unit="share",
        n=spanish["n"],
        limit=_LANGUAGES,
        detail={"interval_95": [round(lead - below, 4), round(lead + above, 4)]},
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a model that didn't see a row says of it, and of its parts if it seems to have several."""

    row: Row
    model_input: ModelInput
    prediction: Prediction
    topics: int
    suspected: bool

    @property
    def in_scope(self) -> bool:
        return bool(self.row["department"] != OUT_OF_SCOPE)

    @property
    def right(self) -> bool:
        return bool(self.prediction.ranking[0][0] == self.row["department"])


def _answers(third: Third) -> list[_Answer]:
    limits = thresholds(third.meta, TARGETS[0])
    desks = [Department(id=label, name=label, covers=(label,)) for label in third.model.labels]
    inputs = [from_row(row) for row in third.rows]
    answers = []
    for row, model_input, prediction in zip(third.rows, inputs, third.model.predict(inputs), strict=True):
        cut = parts(model_input)
        topics = len(matters(third.model.predict(cut), desks, limits)) if cut else 1
        content = Content(subject=str(row.get("subject") or ""), text=str(row["body"]))
        suspected = bool(suspicion(content, prediction, limits.stranger_score))
        answers.append(_Answer(row, model_input, prediction, topics, suspected))
    return answers


def _draws(answers: Sequence[_Answer]) -> list[Figure]:
    """Find the threshold for 5 % on some of the answers, drawn again and again, and try it on the others."""
    plain = load_corpus().plain_typical()
    in_scope = np.array([answer.in_scope for answer in answers])
    typical = np.array([example_of(dict(answer.row), plain=plain).typical for answer in answers])
    every = Trial(
        np.array([answer.prediction.confidence or 0.0 for answer in answers]),
        np.array([answer.prediction.score for answer in answers]),
        in_scope,
        np.array([answer.right for answer in answers]),
        share_weights(typical, in_scope, linear.LinearSettings().out_of_scope_share),
    )
    random = np.random.default_rng(0)
    figures = []
    for drawn in _DRAWN:
        wrong = []
        for _ in range(_DRAWS):
            chosen = np.zeros(len(answers), dtype=bool)
            chosen[random.choice(len(answers), drawn, replace=False)] = True
            wrong.append(_wrong(every, chosen))
        detail = {f"above_{limit:g}": float(np.mean(np.array(wrong) > limit)) for limit in (0.06, 0.075)}
        figures.append(
            Figure(
                name=f"thresholds.wrong_of_routed.learnt_from_{drawn}",
                value=round(float(np.mean(wrong)), 4),
                unit="share",
                n=_DRAWS,
                better="lower",
                detail=detail,
            )
        )
    return figures


def _wrong(every: Trial, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    part = [getattr(every, name)[chosen] for name in Trial.__slots__]
    [(_target, least, least_score, _coverage)] = operating_points(Trial(*part), TARGETS[:1], learnt=True)
    routed = ~chosen & (every.confidence >= least) & (every.score >= least_score)
    weight = every.weight[routed]
    return float((weight * ~every.right[routed]).sum() / weight.sum()) if len(weight) else 0.0


def _two_topics(answers: Sequence[_Answer]) -> list[Figure]:
    two = [answer.topics > 1 for answer in answers if _TOPICS in (answer.row.get("tags") or ())]
    others = [answer.topics > 1 for answer in answers if _TOPICS not in (answer.row.get("tags") or ())]
    return [_share("two_topics.recognised", two), _share("two_topics.of_others", others, better="lower")]


def _spam(answers: Sequence[_Answer]) -> list[Figure]:
    """Return what is suspected of spam among the messages of departments, and among those of nobody."""
    inside = [answer.suspected for answer in answers if answer.in_scope]
    outside = [answer.suspected for answer in answers if not answer.in_scope]
    return [_share("spam.of_in_scope", inside, better="lower"), _share("spam.of_out_of_scope", outside)]


def _share(name: str, of: Sequence[bool], better: str = "higher") -> Figure:
    value, interval = share(sum(of), len(of))
    return Figure(
        name=f"thresholds.{name}", value=value, unit="share", n=len(of), better=better, detail={"interval_95": interval}
    )
