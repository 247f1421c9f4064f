"""The IMAP source passes the suite for sources, against a real Dovecot."""

from __future__ import annotations

import pytest

from channels.imap import ImapSettings, ImapSource
from router.testing import SourceContract, until
from router.testing_sinks import sample_context
from tests.integration.dovecot import PASSWORD, USER, Dovecot


class TestImap(SourceContract):
    """A delivery agent puts a mail into the mailbox and is done; taken is what is flagged as seen."""

    @pytest.fixture(autouse=True)
    def _serve(self, tmp_path):
        (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
        self.context = sample_context(name=self.channel)
        with Dovecot.make() as self.server:
            yield

    def build(self, folder):
        values = {"host": "127.0.0.1", "port": self.server.port, "tls": "none", "username": USER, "start": "all"}
        values |= {"password_file": str(folder / "password")}
        return ImapSource(ImapSettings.model_validate(values), self.context)

    async def offer(self, text):
        seen = self.server.flags().count("S")
        self.server.deliver(f"From: ana@example.org\r\n\r\n{text}\r\n".encode())
        await until(lambda: self.server.flags().count("S") > seen)
