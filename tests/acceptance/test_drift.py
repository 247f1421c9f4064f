"""Families begin to write about something new: a daemon that starts counts its past, tells people, and shows it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from router.store.engine import open_store
from tests.acceptance.daemon import until
from tests.acceptance.district import ALERTS, district
from tests.acceptance.test_models import LATE, registered, versions  # noqa: F401  a fixture is found by its name here
from tests.unit.router.past import Past, keep

SCOOTERS = "where may the electric scooters be parked, and is there a charging rack"


def weeks(new):
    """Return the messages of nine weeks until yesterday: a fifth is left to people, lately also `new` ones a day."""
    rng, today = random.Random(4), datetime.now(UTC)
    rows = []
    for day in range(63, 0, -1):
        for number in range(20 + (new if day <= 6 else 0)):
            about = number < 20
            abstains = not about or rng.random() < 0.2
            rows.append(
                Past(
                    text=LATE if about else SCOOTERS,
                    at=today - timedelta(days=day, minutes=-number),
                    department="front-office" if abstains else "transportation",
                    reason="abstained" if abstains else "model",
                    label="transportation",
                    confidence=0.4 if abstains else 0.9,
                )
            )
    return rows


@pytest.mark.parametrize("new", [0, 12])
async def test_a_new_matter_is_told_and_nothing_else(daemons, tmp_path, relay, collector, versions, new):  # noqa: F811
    """Twelve messages a day about scooters are an alert with words and examples; without them nobody is told."""
    configuration = district(tmp_path, relay.port, rules=[])
    await registered(configuration["store"]["url"], versions, "one")
    past = weeks(new)
    store = open_store(configuration["store"]["url"])
    await store.open()
    await keep(store, past)
    await store.close()
    daemon = daemons(tmp_path, configuration)
    await daemon.start()
    await until(lambda: daemon.events("drift_looked"), 120, daemon.output)
    found = (await daemon.status())["drift"]
    assert found["compared"] > 0
    async with aiohttp.ClientSession() as client, client.get(f"{daemon.url}/metrics") as answer:
        metrics = await answer.text()
    changes = f'signpost_drift_changes{{what="abstained"}} {1.0 if new else 0.0}'
    assert changes in metrics
    if not new:
        assert (found["changes"], collector.at(ALERTS)) == ([], [])
        return
    assert {"scooters", "charging", "rack"} <= set(found["topic"]["words"])
    ours = {each.id for each in past if each.text == SCOOTERS}
    assert set(found["topic"]["messages"]) <= ours
    [alert] = await until(lambda: collector.at(ALERTS), 60, "the alert")
    assert "something new" in alert["Subject"]
    assert "scooters" in alert.words
    assert SCOOTERS not in daemon.output()
    assert "scooters" not in daemon.output()
