"""The learning curve: how good a model gets from a part of the bundled messages, to tell whether more would help."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

from classifiers._figures import share
from router.learning.train import part_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from classifiers._corpus import Corpus
    from router.interfaces import Classifier, ClassifierType, Progress, Settings

    Right = Callable[[Classifier], tuple[int, int]]
    """Tells how many of how many labelled messages a model's first choice is right for."""

SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)


@dataclass(frozen=True, slots=True)
class Point:
    """A model that learnt from so many messages: its accuracy with the 95 % interval."""

    messages: int
    accuracy: float
    interval: tuple[float, float]


def learning_curve(
    classifier: ClassifierType,
    settings: Settings,
    corpus: Corpus,
    right: Right,
    progress: Progress,
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> list[Point]:
    """Train on growing parts of the corpus (each holds the one before) and measure every model the same way.

    The glossaries are learnt in full every time, so that the last point is the bundled model. Takes minutes of one
    processor.
    """
    points = []
    done, total = 0.0, sum(shares)
    vocabulary = corpus.vocabulary()
    for part in shares:
        smaller = some_of(corpus, part, seed)
        tell = _telling(part_of(progress, done / total, (done + part) / total), len(smaller.rows))
        examples = [*smaller.examples(), *vocabulary]
        artifact = classifier.train(examples, smaller.out_of_scope(), settings, tell, seed=seed)
        points.append(_point(len(smaller.rows), *right(classifier.load(artifact))))
        done += part
    progress("done", 1.0)
    return points


def _telling(progress: Progress, messages: int) -> Progress:
    return lambda _doing, at: progress(f"learning from {messages:,} messages", at)


def _point(messages: int, right: int, n: int) -> Point:
    accuracy, interval = share(right, n)
    return Point(messages, accuracy or 0.0, (interval[0], interval[1]) if interval else (0.0, 1.0))


def some_of(corpus: Corpus, part: float, seed: int) -> Corpus:
    """Return a corpus with about this share of each department's messages; near-duplicates (a group) stay together.

    A larger share holds every message of a smaller one.
    """
    groups: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for number, row in enumerate(corpus.rows):
        groups[str(row["department"])][str(row.get("group") or f"row {number}")].append(row)
    kept: list[dict[str, Any]] = []
    for department, members in sorted(groups.items()):
        order = sorted(members)
        Random(f"{seed} {department}").shuffle(order)
        wanted = part * sum(map(len, members.values()))
        for name in order:
            if wanted < 0.5:
                break
            kept += members[name]
            wanted -= len(members[name])
    return replace(corpus, rows=tuple(kept))
