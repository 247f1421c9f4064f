"""Fresh models on public sets: three of intents, with noise and few rows, and three of real messages."""

from __future__ import annotations

import sys
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure
from benchmarks.fresh import Peer, accuracy, auroc, figures, learn
from benchmarks.noise import as_text_message, typos
from benchmarks.public import DATA, INTENTS, TRANSFER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.public import Row, Set

QUICK = "hwu64"
_ABSENT = "skipped: the public sets aren't beside this repository (they are for measuring and aren't shipped)"
_LIMITS = {
    "hwu64": {"accuracy": 0.890, "ten_shot": 0.73},
    "banking77": {"accuracy": 0.918, "ten_shot": 0.76},
    "clinc150": {"accuracy": 0.938, "ten_shot": 0.83, "auroc": 0.96},
}
_PLAIN = {"help_desk": (0.855, 0.860), "public_service": (0.675, 0.591), "text_like": (0.679, 0.655)}
_ECE, _TEXT_LOSS, _TYPO_LOSS = 0.02, 0.01, 0.07
# Accuracies as published: Larson et al. 2019, table 2 (CLINC150, full); Casanueva et al. 2020 (BANKING77); ten-shot:
# the table of the repository Few-Shot-Intent-Detection, whose splits these are; services: AutoFAQ's comparison.
_PUBLISHED: dict[str, dict[str, float]] = {
    "hwu64.ten_shot": {"RoBERTa": 0.829, "USE": 0.8375, "USE+ConveRT": 0.8583, "Watson": 0.690, "Dialogflow": 0.656},
    "banking77.accuracy": {"BERT-large, tuned": 0.9366, "USE+ConveRT": 0.9336},
    "banking77.ten_shot": {"RoBERTa": 0.8427, "USE": 0.8423, "USE+ConveRT": 0.8519},
    "clinc150.accuracy": {
        "SVM": 0.910,
        "FastText": 0.890,
        "MLP on USE": 0.935,
        "DialogFlow": 0.917,
        "BERT-large": 0.969,
    },
    "clinc150.ten_shot": {"RoBERTa": 0.9155, "USE": 0.9085, "USE+ConveRT": 0.9326},
}


def intents(*, quick: bool = False) -> list[Figure]:
    """Return the figures of the intent sets; with `quick` those of one, without noise."""
    if not (DATA / "intents").is_dir():
        return [Figure(name="intents", value=None, unit="share", n=0, note=_ABSENT)]
    found: list[Figure] = []
    for name, load in INTENTS.items():
        if not quick or name == QUICK:
            found += _intents_of(name, load(), quick=quick)
    return found


def _intents_of(name: str, data: Set, *, quick: bool) -> Iterator[Figure]:
    _say(f"{name}: {len(data.train)} rows …")
    fresh, peer = learn(data.train, data.strangers), Peer(data.train)
    own = figures(fresh.model, data.test)
    seen = {"train_s": round(fresh.seconds, 1), "train_cpu_s": round(fresh.cpu_s, 1), "rows": len(data.train)}
    theirs = peer.accuracy(data.test)
    yield _figure(
        name, "accuracy", own["accuracy"], len(data.test), peer=theirs, detail={**seen, **_interval(own, "accuracy")}
    )
    yield _figure(
        name,
        "macro_f1",
        own["macro_f1"],
        len(data.test),
        peer=peer.macro_f1(data.test),
        detail=_interval(own, "macro_f1"),
    )
    yield Figure(
        name=f"intents.{name}.ece", value=own["ece"], unit="share", n=len(data.test), better="lower", limit=_ECE,
        detail=_interval(own, "ece"),
    )  # fmt: skip
    if data.test_strangers:
        inside = [text for text, _label in data.test]
        value, plain = (each.auroc(inside, data.test_strangers) for each in (_Asked(fresh.model), peer))
        detail = {"strangers_learnt": len(data.strangers), "strangers_asked": len(data.test_strangers)}
        yield _figure(name, "auroc", value, len(inside), peer=plain, detail=detail)
    _say(f"{name}: ten of each label …")
    few = learn(data.few)
    yield _figure(
        name,
        "ten_shot",
        accuracy(few.model, data.test),
        len(data.test),
        peer=Peer(data.few).accuracy(data.test),
        detail={},
    )
    if not quick:
        yield from _noisy(name, data.test, lambda rows: accuracy(fresh.model, rows), peer.accuracy)


class _Asked:
    """Our model with the peer's way of being asked."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def auroc(self, inside: Sequence[str], outside: Sequence[str]) -> float:
        """Return how well the score tells texts apart."""
        return auroc(self._model, inside, outside)


def _noisy(
    name: str, rows: Sequence[Row], ours: Callable[[Sequence[Row]], float], theirs: Callable[[Sequence[Row]], float]
) -> Iterator[Figure]:
    """Yield what noise costs: accuracy on the test texts less that on noisy copies of them."""
    clean, plain = ours(rows), theirs(rows)
    for kind, make, limit in (("text_style", as_text_message, _TEXT_LOSS), ("typos", typos, _TYPO_LOSS)):
        random = Random(0)
        copies = [(make(text, random), label) for text, label in rows]
        noisy, theirs_noisy = ours(copies), theirs(copies)
        yield Figure(
            name=f"intents.{name}.{kind}_loss",
            value=round(clean - noisy, 4),
            unit="share",
            n=len(rows),
            better="lower",
            limit=limit,
            peer=round(plain - theirs_noisy, 4),
            detail={"accuracy": round(noisy, 4), "peer_accuracy": round(theirs_noisy, 4)},
        )


def transfer(*, quick: bool = False) -> list[Figure]:
    """Return the figures of the real messages, a fresh model trained on four fifths of each set's own rows."""
    if quick or not (DATA / "real").is_dir():
        note = "left out of the quick run" if quick else _ABSENT
        return [Figure(name="transfer", value=None, unit="share", n=0, note=note)]
    found: list[Figure] = []
    for name, load in TRANSFER.items():
        data = load()
        _say(f"{name}: {len(data.train)} rows …")
        fresh, peer = learn(data.train), Peer(data.train)
        own = figures(fresh.model, data.test)
        pairs = (("accuracy", peer.accuracy(data.test)), ("macro_f1", peer.macro_f1(data.test)))
        for (figure, theirs), limit in zip(pairs, _PLAIN[name], strict=True):
            detail = {
                "rows": len(data.train),
                "train_s": round(fresh.seconds, 1),
                "ece": own["ece"],
                **_interval(own, figure),
            }
            found.append(
                Figure(
                    name=f"transfer.{name}.{figure}", value=own[figure], unit="share", n=len(data.test), limit=limit,
                    peer=round(theirs, 4), detail=detail, note="the limit is what the plain peer reached elsewhere",
                )
            )  # fmt: skip
    return found


def _figure(name: str, figure: str, value: float, n: int, *, peer: float, detail: dict[str, Any]) -> Figure:
    published = _PUBLISHED.get(f"{name}.{figure}")
    return Figure(
        name=f"intents.{name}.{figure}",
        value=round(value, 4),
        unit="share",
        n=n,
        limit=_LIMITS[name].get(figure),
        peer=round(peer, 4),
        note="the peer is TfidfVectorizer and LogisticRegression with their defaults, in the same run",
        detail={**detail, **({"published": published} if published else {})},
    )


def _interval(own: dict[str, Any], figure: str) -> dict[str, Any]:
    return {"interval_95": own["intervals"][figure]}


def _say(text: str) -> None:
    print(text, file=sys.stderr)
