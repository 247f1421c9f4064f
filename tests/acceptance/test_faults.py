"""What was acknowledged arrives: while the mail server is away, after `kill -9`, and through a stop under load."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from router.testing_smtp import smtp_server
from tests.acceptance.daemon import free_port, until
from tests.acceptance.district import ADDRESSES, ALERTS, district
from tests.acceptance.load import Load

KILLS = 8
PER_LIFE = 18
MOMENTS = ("handed in", "acknowledged", "delivered")


async def all_arrived(collector, ledger, timeout_s):
    """Wait until everything acknowledged has arrived and return the audit: nothing unexpected, nothing corrupt."""
    audit = await until(
        lambda: None if (found := ledger.audit(collector.arrivals)).lost else found,
        timeout_s,
        lambda: f"everything arrived; lost: {ledger.audit(collector.arrivals).lost}",
    )
    assert (audit.unexpected, audit.corrupt) == ([], [])
    return audit


async def test_the_mail_server_is_away_while_messages_come_in(
    daemons, tmp_path, collector, ledger, rng, record_testsuite_property
):
    """Forty messages come in while no mail server answers; when it is back, each arrives exactly once.

    Meanwhile another way out works as ever, and the daemon doesn't call a dead server once per message.
    """
    port = free_port()
    daemon = daemons(tmp_path, district(tmp_path, port))
    await daemon.start()
    async with Load(daemon, ledger, rng, ways=("form", "smtp")) as load:
        async with smtp_server(port=port) as before:
            collector.add(before)
            load.allow(8)
            await load.all_acknowledged()
            await all_arrived(collector, ledger, 30)
        load.allow(40)
        await load.all_acknowledged()
        by_maildir = {token for token, sent in ledger.sent.items() if sent.to == ADDRESSES["enrollment"]}
        await until(lambda: by_maildir <= {each.token for each in collector.on_shelf("enrollment")}, 30, "on the shelf")
        await until(lambda: len(daemon.events("delivery_failed")) >= 6, 60, "attempts have failed")
    waiting = (await daemon.status())["deliveries"]["waiting"]
    assert waiting == 40 - sum(sent.to == ADDRESSES["enrollment"] for sent in list(ledger.sent.values())[8:])
    assert len(daemon.events("delivery_failed")) < waiting
    async with smtp_server(port=port) as after:
        collector.add(after)
        began = monotonic()
        audit = await all_arrived(collector, ledger, 120)
        record_testsuite_property("seconds_until_all_arrived", round(monotonic() - began, 1))
        assert (await daemon.settled())["deliveries"]["delivered"] == 48
    assert audit.duplicates == {}


@pytest.mark.case("D01")
async def test_kill_nine_again_and_again(
    daemons, tmp_path, relay, collector, ledger, rng, tally, record_testsuite_property
):
    """Killed at seeded moments under load: nothing lost, nothing strange, nothing altered.

    A message is sent twice only if its attempt was under way when a daemon died, once more per death at most, and all
    copies carry the same Message-ID.
    """
    daemon = daemons(tmp_path, district(tmp_path, relay.port))
    async with Load(daemon, ledger, rng) as load:
        for _ in range(KILLS):
            await daemon.start()
            load.allow(PER_LIFE)
            moment = rng.choice(MOMENTS)
            if moment == "delivered":
                await relay.wait_for(len(relay.mails) + rng.randint(1, PER_LIFE // 3), 60)
            else:
                await load.reach(moment, load.counts[moment] + rng.randint(1, PER_LIFE // 2))
            await daemon.kill()
        await daemon.start()
        await load.all_acknowledged()
    counts = await revived(daemon, collector, await daemon.settled())
    audit = await all_arrived(collector, ledger, 60)
    under_way = sum(event["leases"] for event in daemon.events("leases_recovered"))
    record_testsuite_property("copies after kill -9", f"{audit.copies} of {under_way} leases")
    tally(messages=len(ledger.acked), faults=KILLS, ambiguous=under_way, copies=audit.copies, lost=len(audit.lost))
    assert len(ledger.acked) == KILLS * PER_LIFE == counts["messages"]["routed"]
    assert audit.copies <= under_way
    for mail_ids in audit.duplicates.values():
        assert len(set(mail_ids)) == 1
        assert len(mail_ids) <= 1 + KILLS
    await until(lambda: not daemon.children_left(), 10, "the children of the killed daemons are gone")


async def revived(daemon, collector, counts):
    """Return the ledger after what three daemons in a row died over, by chance, has been sent all the same.

    That is no loss: it lay where people see it, and they had been told.
    """
    if counts["deliveries"]["dead"]:
        assert any("could not be delivered" in alert["Subject"] for alert in collector.on_shelf(ALERTS))
        await daemon.ask("deliveries", "retry", "--all")
        counts = await daemon.settled()
    assert {counts["deliveries"][state] for state in ("waiting", "unclear", "dead", "dropped")} == {0}
    return counts


@pytest.mark.case("D10")
async def test_a_stop_under_load(daemon, relay, collector, ledger, rng, tally, record_testsuite_property):
    """SIGTERM under load: exit status 0 in time, and after the next start everything acknowledged arrives, once."""
    async with Load(daemon, ledger, rng, ways=("form", "smtp"), at_once=10) as load:
        load.allow(150)
        await relay.wait_for(20)
        began, stopping = monotonic(), asyncio.create_task(daemon.stop())
        load.allow(50)  # from here on it is being stopped: what it doesn't take now is handed in again later
        await stopping
        record_testsuite_property("seconds_until_stopped", round(monotonic() - began, 1))
        assert daemon.children_left() == []
        await daemon.start()
        await load.all_acknowledged()
    audit = await all_arrived(collector, ledger, 60)
    tally(messages=len(ledger.acked), faults=1, copies=audit.copies, lost=len(audit.lost))
    assert audit.duplicates == {}
    counts = await daemon.settled()
    assert counts["messages"]["routed"] == 200
    assert counts["deliveries"]["delivered"] == 200
