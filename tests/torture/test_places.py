"""`kill -9` at every named place of a message's way: the daemon ends it after a restart as if nothing had been."""

from __future__ import annotations

import pytest

from router.failpoints import PLACES, VARIABLE
from tests.acceptance.district import district
from tests.acceptance.load import Load
from tests.acceptance.test_faults import all_arrived
from tests.torture.books import Books, die_at, died

ON_THE_WAY = (
    "fetched", "committed", "parsed", "decided", "routed", "leased", "connected", "data_sent", "answer_seen", "settled",
)  # fmt: skip
OFTEN = ("fetched", "committed", "parsed", "data_sent", "answer_seen", "settled")  # once per message; others per batch
AT_ONCE = 3
RELAYED = ("transportation", "food-services", "technology")  # desks that the mail server writes to


def test_every_place_is_killed_at_somewhere():
    """Each named place is in a test of this folder."""
    texts = {"text_posted", "callback_stored"}
    elsewhere = {"flagged", "corrected", "model_stored", "promoted"} | texts  # test_places_apart.py
    assert set(PLACES) == {*ON_THE_WAY, *elsewhere}


@pytest.mark.case("D02")
@pytest.mark.parametrize("place", ON_THE_WAY)
async def test_killed_at_a_place(place, daemons, tmp_path, relay, collector, ledger, rng, rounds, tally):
    """Three messages under way when it dies: each arrives, and again only if the mail server had it already."""
    daemon = daemons(tmp_path, district(tmp_path, relay.port))
    books, doubted, kills = Books(daemon, relay), 0, rounds(quick=1, long=20)
    async with Load(daemon, ledger, rng, ways=("form", "smtp"), desks=RELAYED, at_once=AT_ONCE) as load:
        for _ in range(kills):
            await die_at(daemon, place, rng.randint(1, AT_ONCE) if place in OFTEN else 1)
            load.allow(AT_ONCE)
            await died(daemon)
            doubted += await books.note_doubts()
            await daemon.start()
            await load.all_acknowledged()
            await books.settled()
            await daemon.kill()
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=len(ledger.acked), faults=2 * kills, ambiguous=doubted, copies=audit.copies, **sound(audit))
    assert audit.copies == doubted
    if place in ("fetched", "committed"):
        assert len(ledger.acked) == books.number("SELECT count(*) FROM messages")
    assert all(len(set(mail_ids)) == 1 for mail_ids in audit.duplicates.values())


def sound(audit):
    """Return the counts that have to be 0, for the record."""
    return {"lost": len(audit.lost), "unexpected": len(audit.unexpected), "corrupt": len(audit.corrupt)}


@pytest.mark.case("D02")
async def test_every_place_fails_once(daemons, tmp_path, relay, collector, ledger, rng, tally):
    """An error that nobody meant, once at each place: all arrive, and a copy comes only of what had been sent."""
    daemon = daemons(tmp_path, district(tmp_path, relay.port))
    books = Books(daemon, relay)
    daemon.set_env(**{VARIABLE: ",".join(f"{place}=fail@2" for place in ON_THE_WAY if place != "connected")})
    await daemon.start()
    async with Load(daemon, ledger, rng, ways=("form", "smtp"), desks=RELAYED, at_once=1) as load:
        for done in range(1, 9):
            load.allow(1)  # one after the other, so that each place is passed twice
            await load.all_acknowledged()
            await relay.wait_for(done, 60)
    await books.settled()
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=len(ledger.acked), faults=len(ON_THE_WAY) - 1, ambiguous=2, copies=audit.copies, **sound(audit))
    assert audit.copies == 2  # data_sent and answer_seen
    assert all(len(set(mail_ids)) == 1 for mail_ids in audit.duplicates.values())
    assert daemon.running
