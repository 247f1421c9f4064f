"""How a test tells the report on reliability what it did: `@pytest.mark.case("D02")`, and counts.

A test of a case (tests/torture/cases.py lists them) has the marker `case`, and says in numbers what happened:

    @pytest.mark.case("D02")
    async def test_killed_after_the_commit(tally, rounds, …):
        for _ in range(rounds(quick=1, long=20)):
            …
        tally(messages=40, faults=20, lost=len(audit.lost), copies=audit.copies, ambiguous=20)

Such tests may lie anywhere. What only `make torture` runs has the marker `torture` as well. A test that can't be run on
this machine is skipped with its reason, which the report shows.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.torture.cases import CASES

SEED = "TORTURE_SEED"  # set: the long forms, with random numbers from this seed
SHARE = "TORTURE_SHARE"  # of the rounds of a long form
RECORD = "TORTURE_RECORD"  # the file that a line per test is added to
_QUICK_SEED = 20260101
_counts = pytest.StashKey[Counter]()


def is_long():
    """Whether this is `make torture`."""
    return bool(os.environ.get(SEED))


@pytest.fixture(scope="session")
def seed():
    """What the random numbers of this run come from."""
    return int(os.environ.get(SEED) or _QUICK_SEED)


@pytest.fixture
def rng(seed):
    """Random numbers that are the same in every run with this seed."""
    return random.Random(seed)


@pytest.fixture
def rounds():
    """How often to do it: `rounds(quick=1, long=20)`; a long form may be cut to a share of its length."""
    share = float(os.environ.get(SHARE) or 1)
    return lambda quick, long: max(quick, round(long * share)) if is_long() else quick


@pytest.fixture
def tally(request):
    """Add to the counts of this test: `tally(messages=…, faults=…, lost=…, …)`; the names are free, the values add up.

    messages: acknowledged, and followed to their end; faults: what was done to the daemon; ambiguous: those that could
    make a copy; lost, unexpected, corrupt: must be 0; copies: mails too many.
    """
    counts = request.node.stash.setdefault(_counts, Counter())

    def add(**numbers):
        for name, number in numbers.items():
            counts[name] += number

    return add


def pytest_collection_modifyitems(config, items):
    """Leave the long forms to `make torture`; refuse a case that no list knows."""
    unknown = {mark.args[0] for item in items for mark in item.iter_markers("case")} - set(CASES)
    if unknown:
        raise pytest.UsageError(f"no such case: {', '.join(sorted(unknown))} (see tests/torture/cases.py)")
    if not is_long():
        long = [item for item in items if item.get_closest_marker("torture")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Add a line about a test of a case to the record."""
    report = yield
    ends = report.when == "call" or report.outcome != "passed"
    cases = [mark.args[0] for mark in item.iter_markers("case")]
    if ends and cases and os.environ.get(RECORD):
        with Path(os.environ[RECORD]).open("a", encoding="utf-8") as record:
            record.writelines(json.dumps(_line(case, item, report)) + "\n" for case in cases)
    return report


def _line(case, item, report):
    skipped = report.outcome == "skipped" and isinstance(report.longrepr, tuple)
    return {
        "case": case,
        "test": item.nodeid,
        "fact": (item.function.__doc__ or "").strip().partition("\n")[0],
        "outcome": report.outcome,
        "why": str(report.longrepr[2]).removeprefix("Skipped: ") if skipped else "",
        "seed": int(os.environ.get(SEED) or _QUICK_SEED),
        "share": float(os.environ.get(SHARE) or 1),
        "seconds": round(report.duration, 1),
        "counts": dict(item.stash.get(_counts, Counter())),
    }
