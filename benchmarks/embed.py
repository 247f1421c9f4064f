"""The same figures with a sentence encoder beside the words: public sets, speed, and the first day."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks import thresholds
from benchmarks.accuracy import validation
from benchmarks.figures import Figure
from benchmarks.fresh import auroc, figures, learn
from benchmarks.model import ENCODER, bundled_model
from benchmarks.public import DATA, INTENTS
from benchmarks.speed import asked_alone
from classifiers import linear
from classifiers._embed import lacking
from classifiers._text import from_row, from_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.public import Set

QUICK = "hwu64"
_LIMITS = {"hwu64": 0.925, "banking77": 0.944, "clinc150": 0.963}
_ECE, _AUROC, _SHORT = 0.02, 0.975, 1_000
_FIRST_DAY = {"accuracy": 0.88, "coverage": 0.70, "selective_accuracy": 0.95, "out_of_scope": 0.85}


def measure(*, quick: bool) -> list[Figure]:
    """Return the figures, with `quick` those of one set alone; nothing where the encoder or its libraries lack."""
    if why := lacking(ENCODER):
        return [Figure(name="embed", value=None, unit="share", n=0, note=f"skipped: {why}")]
    found: list[Figure] = []
    if (DATA / "intents").is_dir():
        for name, load in INTENTS.items():
            if not quick or name == QUICK:
                found += _intents(name, load())
    return found if quick else [*found, *_first_day()]


def _intents(name: str, data: Set) -> Iterator[Figure]:
    print(f"{name} with the encoder: {len(data.train)} rows …", file=sys.stderr)
    fresh = learn(data.train, data.strangers, ENCODER)
    own = figures(fresh.model, data.test)
    seen = {"train_s": round(fresh.seconds, 1), "train_cpu_s": round(fresh.cpu_s, 1)}
    said = {each: fresh.meta["encoder"][each] for each in ("name", "asked", "shares")}
    for figure, limit, better in (("accuracy", _LIMITS[name], "higher"), ("ece", _ECE, "lower")):
        yield Figure(
            name=f"embed.{name}.{figure}", value=own[figure], unit="share", n=len(data.test), limit=limit,
            better=better, detail={"interval_95": own["intervals"][figure], **seen, **said},
        )  # fmt: skip
    if data.test_strangers:
        value = auroc(fresh.model, [text for text, _label in data.test], data.test_strangers)
        yield Figure(
            name=f"embed.{name}.auroc", value=round(value, 4), unit="share", n=len(data.test_strangers), limit=_AUROC
        )
    if name == QUICK:
        inputs = [from_text("", text) for text, _label in data.test]
        yield asked_alone("embed.speed_short", fresh.model, inputs, _SHORT)


def _first_day() -> Iterator[Figure]:
    artifact = bundled_model(ENCODER)
    yield from thresholds.first_day("embed.first_day", artifact, _FIRST_DAY)
    if rows := validation():
        inputs = [from_row(row) for row in rows]
        yield asked_alone("embed.speed_full_length", linear.load(artifact), inputs)
