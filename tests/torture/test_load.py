"""Much at once, on a whole daemon: its memory stays within bounds, and what was refused gets in later."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from router.testing_smtp import smtp_server
from tests.acceptance.daemon import free_port, until
from tests.acceptance.district import ADDRESSES, district, smtp_port, steer
from tests.acceptance.senders import by_smtp, insist, mail_message
from tests.acceptance.test_faults import all_arrived
from tests.torture.test_places import sound
from tests.torture.test_stop import Slow

SIZE = 20_000_000
ROOM = 60_000_000  # three at once
MOST_MORE_MB = 700  # 60 MB coming in, 48 MB going out, in a few forms each; not 20 mails of 20 MB, and as many composed


def resident_mb(daemon, what):
    """Return what the daemon's own process uses, or used at most (VmRSS, VmHWM), without its children."""
    said = Path(f"/proc/{daemon._process.pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", said)[1]) // 1024


@pytest.mark.case("P02")
@pytest.mark.torture
async def test_large_mails_at_once_while_the_mail_server_hangs(daemons, tmp_path, collector, ledger, rounds, tally):
    """Mails of 20 MB at once, and a mail server that confirms none for a while: bounded memory, and all arrive once.

    What doesn't fit hears 452 and comes again.
    """
    count = rounds(quick=6, long=20)
    port = free_port()
    async with smtp_server(port=port, double=Slow()) as relay:
        collector.add(relay)
        configuration = district(tmp_path, port)
        configuration["channels"]["mail-in"]["max_receiving_bytes"] = ROOM
        daemon = daemons(tmp_path, configuration)
        await daemon.start()
        before = resident_mb(daemon, "VmRSS")
        filling = (b"y" * 900 + b"\r\n") * (SIZE // 902)  # long lines: the mail server of these tests is slow by lines
        to, words = ADDRESSES["transportation"], steer("transportation")

        async def hand_over():
            token, data = mail_message(ledger, to, words, extra=filling)
            await insist(lambda: by_smtp(smtp_port(configuration), data))
            ledger.acked.add(token)

        handing = asyncio.gather(*(hand_over() for _ in range(count)))
        await until(lambda: len(ledger.acked) >= 4 and relay.under_way, 300, "some are accepted, and one is on its way")
        relay.let_go.set()
        await handing
        audit = await all_arrived(collector, ledger, 300)
        await daemon.settled(120)
        grown = resident_mb(daemon, "VmHWM") - before
    tally(messages=count, faults=count, copies=audit.copies, megabytes_more=grown, **sound(audit))
    assert audit.copies == 0
    assert grown < MOST_MORE_MB
