"""A district moves from SQLite to PostgreSQL with `signpost store copy`, in the middle of its work."""

from __future__ import annotations

import aiohttp
import pytest

from router import cli
from router.testing_smtp import smtp_server
from tests.acceptance.daemon import free_port
from tests.acceptance.district import ADDRESSES, district, steer
from tests.acceptance.load import Load
from tests.acceptance.senders import by_form
from tests.acceptance.test_faults import all_arrived
from tests.torture.test_places import RELAYED, sound


async def test_what_waited_on_sqlite_is_delivered_from_postgresql(
    daemons, tmp_path, postgres_url, collector, ledger, rng
):
    """Nothing is copied while a daemon runs; then what waited arrives once, old links work, no id comes again."""
    target, port = postgres_url.replace(":@", "@"), free_port()
    configuration = district(tmp_path, port)
    source = configuration["store"]["url"]
    daemon = daemons(tmp_path, configuration)
    await daemon.start()
    async with Load(daemon, ledger, rng, ways=("form", "smtp"), desks=RELAYED) as load:
        async with smtp_server(port=port) as before:
            collector.add(before)
            load.allow(6)
            await load.all_acknowledged()
            await all_arrived(collector, ledger, 60)
        load.allow(6)  # nobody takes these yet
        await load.all_acknowledged()
    links = [arrival["X-Signpost-Misroute"] for arrival in collector.arrivals if arrival.is_route]
    sent = {arrival["Message-ID"] for arrival in collector.arrivals}
    refused = await daemon.command("store", "copy", source, target)
    assert (refused.status, "stop it first" in refused.err) == (1, True)
    await daemon.stop()

    done = await daemon.command("store", "copy", source, target)
    assert done.status == 0, done.err
    assert "Every value was compared" in done.out
    assert "Copying the store" in done.err
    again = await daemon.command("store", "copy", source, target)
    assert (again.status, "isn't empty" in again.err) == (1, True)

    configuration["store"] = {"url": target}
    daemon.write_configuration()
    async with smtp_server(port=port) as after:
        collector.add(after)
        await daemon.start()
        audit = await all_arrived(collector, ledger, 120)
        await daemon.settled(90)
        assert sound(audit) == {"lost": 0, "unexpected": 0, "corrupt": 0}
        assert audit.copies == 0
        fresh = await by_form(daemon.url, {"email": "ana@home.example", "message": steer("transportation")})
        await daemon.settled()
        [mail] = [each for each in collector.at(ADDRESSES["transportation"]) if each["X-Signpost-Message"] == fresh]
        assert mail["Message-ID"] not in sent
        async with aiohttp.ClientSession() as client, client.post(links[0], data={"department": "technology"}) as page:
            assert page.status == 200
        ledger_now = await daemon.settled()
        assert ledger_now["messages"]["received"] == 13
        assert ledger_now["deliveries"]["delivered"] >= 14


@pytest.mark.parametrize(
    ("source", "target", "status", "said"),
    [
        ("postgresql://signpost@db/signpost", "sqlite:///{}/x.db", 2, "from sqlite:///FILE to"),
        ("sqlite:///{}/x.db", "postgresql://signpost:hunter2@db/signpost", 1, "password"),
        ("sqlite:///{}/x.db", "postgresql://signpost@127.0.0.1:1/signpost", 1, "there is no store at"),
    ],
)
def test_a_wrong_way_round_is_wrong_usage(tmp_path, capsys, source, target, status, said):
    """From PostgreSQL to a file, a password in an address, no store: said at once, and nothing is made."""
    assert cli.run(["store", "copy", source.format(tmp_path), target.format(tmp_path)]) == status
    told = capsys.readouterr()
    assert said in told.err
    assert "hunter2" not in told.out + told.err
    assert list(tmp_path.iterdir()) == []
