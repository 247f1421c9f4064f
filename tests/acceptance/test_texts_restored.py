"""An older backup is put in place: Twilio's list closes the gap of texts, and what comes twice says so, once."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS, district
from tests.acceptance.test_text_outage import TextLine, stored
from tests.integration.fake_twilio import ACCOUNT, NUMBER, TOKEN, fake_twilio

BUSES, DUTY = ADDRESSES["transportation"], "+15555550123"
TAG, REMARK = "after-restore", "you may have had this message before"


@pytest.fixture
async def line(daemons, tmp_path, relay, ledger):
    """A daemon with a text line that has looked at Twilio's list before; who is on duty is told by text."""
    async with fake_twilio() as twilio:
        configuration = district(tmp_path, relay.port)
        configuration["routing"]["urgent"] = {"notify": [{"via": "text-line", "to": DUTY}]}
        configuration["channels"]["text-line"] = {
            "type": "twilio_sms",
            "account_sid": ACCOUNT,
            "auth_token_env": "TWILIO",
            "from_number": NUMBER,
            "api_base": twilio.base,
            "reconcile": "300ms",
        }
        daemon = daemons(tmp_path, configuration, TWILIO=TOKEN)
        await daemon.start()
        line = TextLine(twilio, daemon, ledger)
        await line.looked()
        yield daemon, line
        await daemon.close()


async def test_texts_since_the_backup_were_gone(line, collector, ledger, tmp_path):
    """Those of the gap come back from Twilio and say so; those of before don't; nothing comes a third time.

    Twilio's late calls for any of them, another look and another restart change nothing.
    """
    daemon, line = line

    async def texts(count):
        known, posted = set(ledger.sent), []
        for _ in range(count):
            line.twilio.now += timedelta(minutes=1)
            posted.append(line.text())
            await line.post(posted[-1])
        tokens = [token for token in ledger.sent if token not in known]
        await until(lambda: all(collector.at(BUSES, token) for token in tokens), 60, "they arrive")
        await line.looked()
        return tokens, posted

    kept, posted_before = await texts(3)
    await daemon.settled()
    backup = tmp_path / "backup.db"
    await daemon.ask("backup", "--to", backup)
    gap, posted_since = await texts(4)
    line.twilio.now += timedelta(hours=2)  # until somebody has found the backup
    urgent = line.twilio.incoming(90, "My child did not come home from school", From="+15555559000")
    await line.post(urgent)
    await until(lambda: alarms(line), 60, "who is on duty is told")
    await daemon.settled()
    await daemon.kill()
    for name in ("signpost.db", "signpost.db-wal", "signpost.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(backup, tmp_path / "signpost.db")

    await daemon.start()
    await until(lambda: all(len(collector.at(BUSES, token)) == 2 for token in gap), 90, "the gap is closed")
    await until(lambda: len(alarms(line)) == 2, 60, "who is on duty is told again")
    for parameters in (*posted_before, *posted_since, urgent):
        await line.post(parameters)
    await line.looked()
    after, _posted = await texts(2)
    await daemon.settled()
    await daemon.stop()
    await daemon.start()
    await line.looked()
    await daemon.settled()

    for token in gap:
        first, second = collector.at(BUSES, token)
        assert (first["X-Signpost-Tags"], second["X-Signpost-Tags"]) == ("", TAG)
        assert REMARK in second.words
        assert first["Message-ID"] != second["Message-ID"]
    for token in (*kept, *after):
        [only] = collector.at(BUSES, token)
        assert only["X-Signpost-Tags"] == ""
    assert len(alarms(line)) == 2
    assert stored(daemon) == len(kept) + len(gap) + 1 + len(after)
    [alert] = [each for each in collector.on_shelf(ALERTS) if "restored from a backup" in each["Subject"]]
    assert "taken in again" in alert.words


def alarms(line):
    """Return what was sent to who is on duty."""
    return [text for text in line.twilio.messages if text["to"] == DUTY]
