"""Deal rows into folds so that each label is spread evenly and near-duplicates stay together."""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def deal(labels: Sequence[str], groups: Sequence[str], folds: int, seed: int) -> NDArray[np.intp]:
    """Return each row's fold, 0..folds-1. Rows of one group (unless it is "") share a fold.

    Larger groups are dealt first, each to the fold that has the fewest rows of its commonest label, then the fewest
    rows at all; the order among equals is shuffled by `seed`.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[f"group {group}" if group else f"row {row}"].append(row)
    order = list(members.values())
    Random(seed).shuffle(order)
    order.sort(key=len, reverse=True)
    result = np.zeros(len(labels), dtype=np.intp)
    of_label: dict[str, list[int]] = defaultdict(lambda: [0] * folds)
    totals = [0] * folds
    for rows in order:
        label = Counter(labels[row] for row in rows).most_common(1)[0][0]
        counts = of_label[label]
        fold = min(range(folds), key=lambda number: (counts[number], totals[number]))
        counts[fold] += len(rows)
        totals[fold] += len(rows)
        result[rows] = fold
    return result
