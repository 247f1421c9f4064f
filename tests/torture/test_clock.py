"""The clock of a running daemon jumps by hours and years, and past 2038: what comes in goes out, once and soon."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import district
from tests.acceptance.load import Load
from tests.acceptance.test_faults import all_arrived
from tests.torture.books import Books
from tests.torture.test_places import RELAYED, sound

SHIM = Path(f"/usr/lib/{platform.machine()}-linux-gnu/faketime/libfaketime.so.1")
HOUR, YEAR = 3600, 365 * 24 * 3600
JUMPS = {
    "an-hour-back": -HOUR,
    "an-hour-on": HOUR,
    "a-year-back": -YEAR,
    "a-year-on": YEAR,
    "past-2038": 13 * YEAR,
}
JUMPS_OF_A_RUN = [pytest.param(jump, marks=[pytest.mark.torture] * (jump != "a-year-back")) for jump in JUMPS]
SOON_S = 90  # 30 s until a second try, and what a slow machine needs


class ShimmedClock:
    """The clock of processes that are started with `env`; time that only passes (monotonic) isn't touched."""

    def __init__(self, folder):
        self._file = folder / "clock"
        self.set(0)
        self.env = {
            "LD_PRELOAD": str(SHIM),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # the same to older ones
        }

    def set(self, seconds):
        """Let it be so many seconds ahead of the machine's."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.rename(self._file)


@pytest.mark.case("D09")
@pytest.mark.skipif(not SHIM.exists(), reason="libfaketime isn't installed (deploy/test-packages.sh)")
@pytest.mark.parametrize("jump", JUMPS_OF_A_RUN)
async def test_the_clock_jumps(jump, daemons, tmp_path, relay, collector, ledger, rng, tally):
    """Deliveries wait for a second try when it jumps, and others come: all arrive soon, once.

    The same again when it jumps back to the right time.
    """
    clock = ShimmedClock(tmp_path)
    daemon = daemons(tmp_path, district(tmp_path, relay.port), **clock.env)
    books = Books(daemon, relay)
    await daemon.start()
    async with Load(daemon, ledger, rng, ways=("form", "smtp"), desks=RELAYED) as load:
        for jumps, ahead in enumerate((JUMPS[jump], 0), start=1):
            relay.data_reply = "451 4.3.0 try again later"
            load.allow(3)
            await load.all_acknowledged()
            tried = "SELECT count(*) FROM deliveries WHERE state = 'waiting' AND last_error <> ''"
            await until(lambda: books.number(tried) == 3, 60, "all have been tried in vain")  # noqa: B023
            relay.data_reply = ""
            clock.set(ahead)
            await until(lambda: len(daemon.events("clock_set")) == jumps, 60, "it has noticed")  # noqa: B023
            load.allow(3)
            await load.all_acknowledged()
            await books.settled(SOON_S)
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=len(ledger.acked), faults=2, copies=audit.copies, **sound(audit))
    assert audit.copies == 0
    assert books.number("SELECT count(*) FROM deliveries WHERE state = 'delivered'") == len(ledger.acked)
    assert daemon.running
