"""An older backup is put in place: the mailbox closes the gap, what comes twice says so, and nothing is mixed up."""

from __future__ import annotations

import shutil

import aiohttp
import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS, district, steer
from tests.acceptance.senders import by_form, form_message, mail_message
from tests.integration.dovecot import PASSWORD, USER, Dovecot

BUSES = ADDRESSES["transportation"]
TAG, REMARK = "after-restore", "you may have had this message before"


@pytest.fixture
def dovecot():
    """A mail server with one mailbox."""
    with Dovecot.make() as server:
        yield server


@pytest.fixture
async def daemon(daemons, tmp_path, relay, dovecot):
    """A daemon that reads it, running."""
    configuration = district(tmp_path, relay.port)
    mailbox = {"type": "imap", "host": "127.0.0.1", "port": dovecot.port, "tls": "none", "username": USER}
    configuration["channels"]["families"] = mailbox | {"password_env": "MAILBOX_PASSWORD", "start": "all"}
    made = daemons(tmp_path, configuration, MAILBOX_PASSWORD=PASSWORD)
    await made.start()
    return made


async def test_what_was_sent_since_the_backup_was_mixed_up_with_what_is_sent_now(
    daemon, dovecot, collector, ledger, tmp_path
):
    """Mails of the gap come once more and say so; what was done before it doesn't; no Message-ID or link means two."""

    async def mails(count):
        tokens = []
        for _ in range(count):
            token, data = mail_message(ledger, BUSES, steer("transportation"))
            dovecot.deliver(data)
            tokens.append(token)
        await until(lambda: all(collector.at(BUSES, token) for token in tokens), 60, "they arrive")
        return tokens

    kept = await mails(3)
    await daemon.settled()
    backup = tmp_path / "backup.db"
    await daemon.ask("backup", "--to", backup)
    gap = await mails(4)
    _token, fields = form_message(ledger, BUSES, steer("transportation"))
    await by_form(daemon.url, fields)
    await daemon.settled()
    old = {arrival["X-Signpost-Misroute"]: arrival["X-Signpost-Message"] for arrival in collector.at(BUSES)}
    await daemon.kill()
    for name in ("signpost.db", "signpost.db-wal", "signpost.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(backup, tmp_path / "signpost.db")

    await daemon.start()
    await until(lambda: all(len(collector.at(BUSES, token)) == 2 for token in gap), 90, "the gap is closed")
    after = await mails(2)
    await daemon.settled()

    for token in gap:
        first, second = collector.at(BUSES, token)
        assert (first["X-Signpost-Tags"], second["X-Signpost-Tags"]) == ("", TAG)
        assert REMARK in second.words
    for token in (*kept, *after):
        [only] = collector.at(BUSES, token)
        assert only["X-Signpost-Tags"] == ""
    ids = [arrival["Message-ID"] for arrival in collector.at(BUSES)]
    assert len(set(ids)) == len(ids) == 3 + 4 + 1 + 4 + 2
    [alert] = [each for each in collector.on_shelf(ALERTS) if "restored from a backup" in each["Subject"]]
    assert "taken in again" in alert.words
    assert [event["backup_at"][:2] for event in daemon.events("store_restored")] == ["20"]
    await leads_nowhere([link for link, message in old.items() if message not in await known(daemon)], 5)
    moved = [row for row in await daemon.ask("messages", "list") if row["department"] == "technology"]
    assert moved == []

    refused = await daemon.command("store", "restored")  # what a snapshot needs, before a daemon starts on it
    assert refused.status == 1
    await daemon.stop()
    said = await daemon.ask("store", "restored", "--of", "2026-03-02T12:00")
    assert said == {"of": "2026-03-02T12:00:00+00:00"}


async def known(daemon):
    """Return the ids of all messages."""
    return {row["id"] for row in await daemon.ask("messages", "list", "--limit", "100")}


async def leads_nowhere(links, count):
    """Show that links of mails that the store doesn't know move no message."""
    assert len(links) == count
    async with aiohttp.ClientSession() as client:
        for link in links:
            async with client.post(link, data={"department": "technology"}) as answer:
                assert answer.status in (404, 410), answer.status
