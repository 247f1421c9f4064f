"""One sick channel never slows another, and everybody who looks sees which one it is."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, district, smtp_port, steer
from tests.acceptance.senders import by_form, by_smtp, form_message, mail_message

DESK = "enrollment"  # whose mail goes to a Maildir


class Mute:
    """A server that takes connections and never says a word."""

    def __init__(self):
        self.connections = 0
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def serving(cls):
        """Listen for the length of a `with` block."""
        mute = cls()
        over = asyncio.Event()

        async def take(_reader, writer):
            mute.connections += 1
            await over.wait()
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        mute.port = server.sockets[0].getsockname()[1]
        try:
            yield mute
        finally:
            over.set()
            server.close()


async def see(daemon, page):
    """Return a page's status and text."""
    async with aiohttp.ClientSession() as client, client.get(f"{daemon.url}{page}") as answer:
        return answer.status, await answer.text()


async def test_a_mail_server_that_is_mute_on_both_sides(daemons, tmp_path, collector, ledger):
    """A mailbox and a relay accept connections and never answer: forms, mails and Maildirs go on as ever.

    Status, `/readyz` and `/metrics` name both, each with its error; the daemon stays in service.
    """
    async with Mute.serving() as mailbox, Mute.serving() as relay:
        configuration = district(tmp_path, relay.port)
        configuration["channels"]["relay"]["greeting_timeout"] = "5s"
        configuration["channels"]["families"] = {
            "type": "imap",
            "host": "127.0.0.1",
            "port": mailbox.port,
            "tls": "none",
            "username": "contact@maple.example",
            "password_env": "MAILBOX_PASSWORD",
            "connect_timeout": "5s",
        }
        daemon = daemons(tmp_path, configuration, MAILBOX_PASSWORD="secret")
        await daemon.start()
        await until(lambda: mailbox.connections, 30, "the mailbox is asked")
        _, stuck = form_message(ledger, ADDRESSES["transportation"], steer("transportation"))
        await by_form(daemon.url, stuck)
        await until(lambda: relay.connections, 30, "the relay is asked")

        tokens = set()
        for _ in range(20):
            token, fields = form_message(ledger, ADDRESSES[DESK], steer(DESK))
            await by_form(daemon.url, fields)
            tokens.add(token)
            token, data = mail_message(ledger, ADDRESSES[DESK], steer(DESK))
            await by_smtp(smtp_port(configuration), data)
            tokens.add(token)
        await until(lambda: tokens <= {each.token for each in collector.on_shelf(DESK)}, 60, "all on the shelf")

        async def both_failing():
            rows = (await daemon.status())["channels"]
            return {row["channel"]: row for row in rows if row["health"] == "failing"}.keys() >= {"families", "relay"}

        await until(both_failing, 60, "both are known to fail")
        rows = {(row["channel"], row["direction"]): row for row in (await daemon.status())["channels"]}
        status, text = await see(daemon, "/readyz")
        _, figures = await see(daemon, "/metrics")

    assert rows["mail-in", "in"]["health"] == rows["shelf", "out"]["health"] == "well"
    assert rows["families", "in"]["error"]
    assert status == 200
    assert {"families", "relay"} == set(json.loads(text)["degraded"])
    assert 'signpost_channel_degraded{channel="families",direction="in"} 1.0' in figures
    assert 'signpost_channel_degraded{channel="contact",direction="in"} 0.0' in figures
    shown = await daemon.command("status")
    assert "families" in shown.out
    assert rows["relay", "out"]["error"] in shown.out
