"""What people and programs are shown of a change: `status` and /metrics."""

from __future__ import annotations

import asyncio
import json

import pytest

from router.cli import run
from router.metrics import Metrics
from router.store import drift, ledger
from router.store.engine import open_store
from tests.unit.router.commandline import make_store, write_district

REPORT = {
    "reference_since": "2026-01-05",
    "since": "2026-03-02",
    "until": "2026-03-09",
    "messages": 240,
    "reference_messages": 1900,
    "compared": 30,
    "rates": {"abstained": {"before": 0.2, "after": 0.4}},
    "changes": [
        {
            "what": "abstained",
            "name": "",
            "before": 0.2,
            "after": 0.4,
            "n": 240,
            "chance": 1e-9,
            "sentence": "the model left 40.0% of the messages to a person, before 20.0%",
        }
    ],
    "topic": {"words": ["scooters", "rack"], "n": 30, "messages": ["0WE3WJVY5552"]},
}
NOTHING = {**REPORT, "changes": [], "topic": None}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Keep a report in the store of a small district."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNPOST_CONFIG", str(write_district(tmp_path)))
    asyncio.run(make_store(tmp_path))

    def keep(report):
        asyncio.run(_keep(report))

    return keep


async def _keep(report):
    store = open_store("sqlite:///var/signpost.db")
    await store.open()
    await store.write(lambda c: drift.keep_report(c, report))
    await store.close()


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        (None, "not looked yet"),
        (
            REPORT,
            "before 20.0%; new: scooters, rack, such as 0WE3WJVY5552 (2026-03-02 to before 2026-03-09, 240 messages",
        ),
        (NOTHING, "nothing has changed (2026-03-02 to before 2026-03-09, 240 messages, against 1900 before)"),
        ({**NOTHING, "compared": 0}, "too few messages to tell: 240 since 2026-03-02"),
    ],
    ids=["at first", "a new matter", "steady", "few messages"],
)
def test_status_says_what_has_changed(kept, capsys, report, shown):
    """One line for people; for programs the report as it was kept."""
    if report:
        kept(report)
    assert run(["status"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("drift")]
    assert shown in line
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["drift"] == (report or {})


async def test_metrics_say_it_too(store):
    """Shares before and lately, and how many changes of each kind; nothing is left of what isn't so any more."""
    metrics = Metrics()
    await store.write(lambda c: drift.keep_report(c, REPORT))
    shown = metrics.render(await store.read(lambda c: ledger.status(c, store.clock.now()))).decode()
    assert 'signpost_drift_share{what="abstained",when="after"} 0.4' in shown
    assert 'signpost_drift_changes{what="abstained"} 1.0' in shown
    await store.write(lambda c: drift.keep_report(c, {**NOTHING, "rates": {}}))
    shown = metrics.render(await store.read(lambda c: ledger.status(c, store.clock.now()))).decode()
    assert "signpost_drift_share{" not in shown
    assert 'signpost_drift_changes{what="abstained"} 0.0' in shown
