"""A daemon is frozen past its lease and wakes up again; a second copy is started by mistake."""

from __future__ import annotations

import signal

import pytest

from router.failpoints import VARIABLE
from tests.acceptance.daemon import free_port, until
from tests.acceptance.district import ADDRESSES, district, smtp_port, steer
from tests.acceptance.load import Load
from tests.acceptance.senders import by_smtp, mail_message
from tests.acceptance.test_faults import all_arrived
from tests.torture.test_places import RELAYED, sound

BUSES = ADDRESSES["transportation"]
TAKEN_OVER_S = 60  # 20 s until the lease ends, and what a slow machine needs


async def frozen(daemon):
    """Wait until a daemon has stopped itself."""

    def is_stopped():
        return daemon.state == "T"

    await until(is_stopped, 60, lambda: f"frozen; it said:\n{daemon.output()}")


@pytest.fixture
def two(daemons, tmp_path, relay, postgres_url):
    """Two daemons on one database, not started."""
    made = []
    for name in ("one", "other"):
        configuration = district(tmp_path, relay.port, store={"url": postgres_url.replace(":@", "@")})
        configuration["channels"].pop("old-mail")
        (tmp_path / name).mkdir()
        made.append(daemons(tmp_path / name, configuration, XDG_RUNTIME_DIR=str(tmp_path / name)))
    return made


@pytest.mark.case("D08")
@pytest.mark.parametrize(("place", "most"), [("leased", 0), pytest.param("data_sent", 1, marks=pytest.mark.torture)])
async def test_frozen_past_its_lease(place, most, two, collector, ledger, rng, rounds, tally):
    """Another daemon sends what it held; awake, it sends nothing that isn't its own any more, and takes part again.

    Before the data there is no copy; after the last dot the mail server has the mail, and gets it once more.
    """
    one, other = two
    one.set_env(**{VARIABLE: f"{place}=freeze"})
    await one.start()
    token, data = mail_message(ledger, BUSES, steer("transportation"))
    await by_smtp(smtp_port(one.configuration), data)
    ledger.acked.add(token)
    await frozen(one)
    await other.start()
    await until(lambda: other.events("delivery_delivered"), TAKEN_OVER_S, "the other daemon has delivered it")
    one.signal(signal.SIGCONT)
    async with Load(one, ledger, rng, ways=("form", "smtp"), desks=RELAYED) as load:
        load.allow(6)
        await load.all_acknowledged()
        await all_arrived(collector, ledger, 90)
    await one.settled()
    await one.stop()
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=len(ledger.acked), faults=1, ambiguous=most, copies=audit.copies, **sound(audit))
    assert audit.copies == most
    assert all(len(set(mail_ids)) == 1 for mail_ids in audit.duplicates.values())


@pytest.mark.case("D08")
async def test_a_second_copy_by_mistake(daemons, tmp_path, relay, collector, ledger, rng, tally):
    """On the same SQLite file a second daemon ends with a sentence that says why; the first one goes on."""
    configuration = district(tmp_path, relay.port)
    first = daemons(tmp_path, configuration)
    await first.start()
    second = daemons(tmp_path / "second", configuration | {"http": {"listen": f"127.0.0.1:{free_port()}"}})
    async with Load(first, ledger, rng, ways=("form", "smtp"), desks=RELAYED) as load:
        load.allow(3)
        await second.start(ready=False)
        assert await second.ended(60) not in (0, -signal.SIGKILL)
        load.allow(3)
        await load.all_acknowledged()
    audit = await all_arrived(collector, ledger, 60)
    tally(messages=len(ledger.acked), faults=1, copies=audit.copies, **sound(audit))
    assert audit.copies == 0
    assert "another" in second.output()
    assert "Traceback" not in second.output()
