"""The gate's verdict as it comes back from another process."""

from __future__ import annotations

from typing import Any

from router.errors import SignpostError
from router.learning.gate import Check, Replayed, Verdict


def verdict_from_json(value: dict[str, Any]) -> Verdict:
    """Return the verdict that `Verdict.to_json` wrote; raise `SignpostError` for anything else."""
    try:
        checks = tuple(Check(**check) for check in value["checks"])
        replayed = Replayed(**value["replayed"])
        return Verdict(passed=bool(value["passed"]), sentence=str(value["sentence"]), checks=checks, replayed=replayed)
    except (KeyError, TypeError) as error:
        raise SignpostError(f"the gate's verdict can't be read: {error}") from error
