"""`kill -9` while Twilio's list of texts is gone through: the position stays, and every text is one message."""

from __future__ import annotations

import pytest

from router.failpoints import VARIABLE
from tests.acceptance.test_faults import all_arrived
from tests.acceptance.test_text_outage import line  # noqa: F401  pytest finds the fixture by its name here
from tests.torture.books import Books, died
from tests.torture.test_places import sound

TEXTS = 8


@pytest.mark.torture
@pytest.mark.case("T03")
@pytest.mark.parametrize("place", ["fetched", "committed"])
async def test_killed_in_the_middle_of_the_list(line, relay, collector, ledger, place, rounds, tally):  # noqa: F811
    """After the next start what was stored and what wasn't arrive all the same, each once."""
    daemon, texts = line
    books, doubted, kills = Books(daemon, relay), 0, rounds(quick=1, long=20)
    for _ in range(kills):
        await daemon.stop()
        for _ in range(TEXTS):
            texts.text()
        daemon.set_env(**{VARIABLE: f"{place}=kill@{TEXTS // 2}"})
        await daemon.start(ready=False)
        await died(daemon)
        doubted += await books.note_doubts()
        await daemon.start()
        await all_arrived(collector, ledger, 240)
        await books.settled()
    await texts.looked()
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=len(ledger.acked), faults=kills, ambiguous=doubted, copies=audit.copies, **sound(audit))
    assert audit.copies <= doubted
    assert books.number("SELECT count(*) FROM messages") == len(ledger.acked)
