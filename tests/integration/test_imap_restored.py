"""A mailbox on a real Dovecot that comes back from yesterday's backup, UIDVALIDITY and all."""

from __future__ import annotations

import shutil

import pytest

from router.testing import RecordingIntake, until
from router.testing_sinks import sample_context
from tests.integration.dovecot import PASSWORD, USER, Dovecot
from tests.integration.test_imap import originals, source_of
from tests.unit.channels.imap_reading import mail, reading


@pytest.fixture(autouse=True)
def _password(monkeypatch):
    monkeypatch.setenv("IMAP_PASSWORD", PASSWORD)


async def test_what_comes_after_a_restore_is_taken_though_its_number_was_given_before(tmp_path):
    """New mails get UIDs that others had: neither the position nor the source key takes them for those."""
    context, intake = sample_context(name="inbox"), RecordingIntake()
    with Dovecot.make() as server:
        home, backup = server.base / "homes" / USER, tmp_path / "backup"
        async with reading(source_of(server, context, start="new"), intake):
            await until((server.maildir() / "dovecot-uidlist").exists)
            for number in (1, 2):
                server.deliver(mail(number))
            await until(lambda: server.flags() == ["S"] * 2)
            shutil.copytree(home, backup, ignore=shutil.ignore_patterns("*.tmp", "*.lock"))  # Dovecot is at work
            for number in (3, 4, 5):
                server.deliver(mail(number))
            await until(lambda: server.flags() == ["S"] * 5)
        server.kill()
        shutil.rmtree(home)
        shutil.copytree(backup, home)
        server._own(home, *home.rglob("*"))
        server.start()
        server.deliver(mail(6))
        async with reading(source_of(server, context, start="new"), intake):
            await until(lambda: server.flags() == ["S"] * 3)
            server.deliver(mail(7))
            await until(lambda: server.flags() == ["S"] * 4)
    assert originals(intake) == [mail(number) for number in range(1, 8)]
