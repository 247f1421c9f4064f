"""A figure beside its limit or peer, and the machine it was measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value. `better` says which way the limit counts; `detail` holds what the value was made of.

    Without a limit (and without a peer to keep up with) a figure is information: its `ok` is None.
    """

    name: str
    value: float | None
    unit: str
    n: int
    better: str = "higher"
    limit: float | None = None
    peer: float | None = None
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the figure with `ratio` (to the peer, else to the limit) and `ok`."""
        beside = self.peer if self.peer is not None else self.limit
        ratio = None if self.value is None or not beside else round(self.value / beside, 3)
        return {**asdict(self), "ratio": ratio, "ok": self._ok()}

    def _ok(self) -> bool | None:
        if self.limit is None or self.value is None:
            return None
        return self.value >= self.limit if self.better == "higher" else self.value < self.limit


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0..1) of the values don't exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * round(share * 1000) // 1000))
    return ordered[rank - 1]


def summary_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p90, p99 and the largest of some durations, in milliseconds."""
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(percentile(seconds, share) * 1000, 2) for name, share in shares.items()}


def machine() -> dict[str, Any]:
    """Return what the figures depend on, beside the program."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
        "load_before": load(),
    }


def load() -> list[float]:
    """Return how many processes wanted a processor during the last 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]
