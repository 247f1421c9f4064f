"""Another configuration while messages flow: nobody is refused, nothing is lost, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import aiohttp
import pytest

from router.testing_smtp import smtp_server
from tests.acceptance.daemon import free_port, until
from tests.acceptance.district import ADDRESSES, district, smtp_port, steer
from tests.acceptance.district import relay as relay_settings
from tests.acceptance.load import Load
from tests.acceptance.reloading import DESK, change, listens, reload, send_form, send_mail, streams
from tests.acceptance.senders import NotTaken, form_message, mail_message
from tests.acceptance.test_faults import all_arrived


async def test_nobody_is_refused_while_messages_flow(daemon, collector, ledger, rng):
    """Forms on new and on kept connections and mails are taken through twelve reloads; each arrives once.

    What is exchanged each time: the relay, the department's name and so every page, and the reading of the old mail.
    """
    relay, department = daemon.configuration["channels"]["relay"], daemon.configuration["departments"][DESK]
    old_mail = daemon.configuration["channels"]["old-mail"]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as kept:

        async def by_kept_connection():
            token, fields = form_message(ledger, ADDRESSES[DESK], steer(DESK))
            async with kept.post(f"{daemon.url}/forms/contact", json=fields, headers={"Idempotency-Key": token}) as got:
                assert got.status == 202, await got.text()
            ledger.acked.add(token)

        sends = (
            lambda: send_form(daemon, ledger),
            lambda: send_mail(daemon, ledger),
            by_kept_connection,
        )
        async with streams(*sends) as more, Load(daemon, ledger, rng, ways=("maildir",)) as load:
            for number in range(12):
                load.allow(2)
                await more()
                relay["connections"] = 1 + number % 3
                department["name"] = f"Transportation {number}"
                old_mail["poll"] = f"{201 + number}ms"
                outcome = await change(daemon)
                assert outcome["changed"] == ["old-mail", "relay"]
                assert (outcome["started"], outcome["stopped"]) == ([], [])
            await load.all_acknowledged()
    audit = await all_arrived(collector, ledger, 60)
    assert audit.duplicates == {}
    ledger_now = await daemon.settled()
    assert ledger_now["messages"]["routed"] == len(ledger.acked)
    assert not daemon.events("delivery_failed")
    assert not daemon.events("orphaned_leases_freed")


async def test_what_is_under_way_ends_where_it_began(daemon, collector, ledger):
    """A form whose page is taken away while it is being sent is accepted, and so is a mail whose listener is exchanged.

    Afterwards the page is gone, and the listener is there with its new settings, on the same port.
    """
    channels = daemon.configuration["channels"]
    channels["second"] = {"type": "web_form"}
    await change(daemon)
    token, fields = form_message(ledger, ADDRESSES[DESK], steer(DESK))
    begun, body_may_end = asyncio.Event(), asyncio.Event()

    async def body():
        text = json.dumps(fields).encode()
        yield text[:10]
        begun.set()
        await body_may_end.wait()
        yield text[10:]

    async with aiohttp.ClientSession() as client:
        headers = {"Content-Type": "application/json"}
        form = asyncio.create_task(client.post(f"{daemon.url}/forms/second", data=body(), headers=headers))
        mail_token, data = mail_message(ledger, ADDRESSES[DESK], steer(DESK))
        reader, writer = await asyncio.open_connection("127.0.0.1", smtp_port(daemon.configuration))
        for line in (
            b"",
            b"HELO home.example",
            b"MAIL FROM:<ana@home.example>",
            b"RCPT TO:<contact@maple.example>",
            b"DATA",
        ):
            if line:
                writer.write(line + b"\r\n")
            assert (await reader.readline())[:1] in b"23"
        await begun.wait()
        del channels["second"]
        channels["mail-in"]["max_connections"] = 7
        outcome = await change(daemon)
        assert (outcome["stopped"], outcome["changed"]) == (["second"], ["mail-in"])
        await until(lambda: _mailed(daemon, ledger), 60, "the listener takes mail again")
        body_may_end.set()
        async with await form as answer:
            assert answer.status == 202, await answer.text()
        writer.write(data.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert (await reader.readline()).startswith(b"250")
        writer.close()
        await writer.wait_closed()
        async with client.post(f"{daemon.url}/forms/second", json=fields) as gone:
            assert gone.status == 404
    ledger.acked |= {token, mail_token}
    audit = await all_arrived(collector, ledger, 60)
    assert audit.duplicates == {}


async def test_channels_come_and_go(daemon, collector, ledger):
    """SIGHUP: a new listener, a new way out and a new page are there at once; taken away, they are gone."""
    channels, departments = daemon.configuration["channels"], daemon.configuration["departments"]
    port = free_port()
    channels["more-mail"] = {"type": "smtp_server", "listen": f"127.0.0.1:{port}"}
    async with smtp_server(port=free_port()) as server:
        collector.add(server)
        channels["other-relay"] = relay_settings(server.port)
        departments[DESK]["deliver"] = [{"via": "other-relay", "to": ADDRESSES[DESK]}]
        daemon.write_configuration()
        daemon.signal(signal.SIGHUP)
        await until(lambda: daemon.events("configuration_reloaded"), 60, daemon.output)
        token = await until(lambda: _mailed(daemon, ledger, port), 60, "the new listener takes mail")
        await all_arrived(collector, ledger, 60)
        assert token in {arrival.token for arrival in collector.arrivals}
        assert len(server.mails) == 1

    departments[DESK]["deliver"] = [{"via": "shelf", "to": "buses"}]
    del channels["more-mail"], channels["other-relay"]
    assert (await change(daemon))["stopped"] == ["more-mail", "other-relay"]
    await until(lambda: not listens(port), 60, "the listener is gone")
    await send_form(daemon, ledger, to="buses")
    await all_arrived(collector, ledger, 60)


async def _mailed(daemon, ledger, port=None):
    """Hand in a mail; as every mail server does, whoever finds nobody listening tries again."""
    try:
        return await send_mail(daemon, ledger, port=port)
    except NotTaken:
        return ""


async def test_what_waits_goes_out_by_the_new_settings(daemons, tmp_path, collector, ledger):
    """Messages that a wrong port has kept are delivered when the port is mended, without waiting for their next try."""
    daemon = daemons(tmp_path, district(tmp_path, free_port()))
    await daemon.start()
    for _ in range(8):
        await send_form(daemon, ledger)
    await until(lambda: len(daemon.events("delivery_failed")) >= 5, 60, "the breaker is open")
    async with smtp_server(port=free_port()) as server:
        collector.add(server)
        daemon.configuration["channels"]["relay"]["port"] = server.port
        await change(daemon)
        audit = await all_arrived(collector, ledger, 60)
        assert audit.duplicates == {}
        counts = await daemon.settled()
    assert counts["deliveries"]["delivered"] == 8


async def test_a_hangup_again_and_again(daemon, collector, ledger):
    """Fifty SIGHUPs at once are one or two reloads, and the daemon stands."""
    for _ in range(50):
        daemon.signal(signal.SIGHUP)
    await until(lambda: daemon.events("configuration_reloaded"), 60, daemon.output)
    await send_form(daemon, ledger)
    await all_arrived(collector, ledger, 60)
    assert (await reload(daemon))["applied"]
    assert len(daemon.events("configuration_reloaded")) <= 4
    await daemon.stop()


async def test_killed_in_the_middle_of_a_reload(daemon, collector, ledger, rng):
    """`kill -9` while it reloads under load: nothing acknowledged is lost."""
    relay = daemon.configuration["channels"]["relay"]
    async with Load(daemon, ledger, rng) as load:
        for number in range(4):
            load.allow(10)
            await load.reach("acknowledged", load.counts["acknowledged"] + 3)
            relay["connections"] = 1 + number
            daemon.write_configuration()
            daemon.signal(signal.SIGHUP)
            if number % 2:
                await until(lambda: daemon.events("configuration_reloaded"), 60, daemon.output)
            await daemon.kill()
            await daemon.start()
        await load.all_acknowledged()
    await daemon.settled()
    audit = await all_arrived(collector, ledger, 60)
    assert all(len(set(mail_ids)) == 1 for mail_ids in audit.duplicates.values())


def _resources(pid):
    process = Path("/proc") / str(pid)
    facts = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return {
        "descriptors": len(list((process / "fd").iterdir())),
        "threads": int(facts["Threads"]),
        "children": (process / "task" / str(pid) / "children").read_text().split(),
        "kilobytes": int(facts["VmRSS"].split()[0]),
    }


@pytest.mark.parametrize("reloads", [200])
async def test_reloads_leave_nothing_behind(daemon, collector, ledger, reloads, record_testsuite_property):
    """After two hundred reloads that exchange channels, descriptors, threads and children are as many as before."""
    pid = daemon._process.pid
    channels = daemon.configuration["channels"]
    await send_form(daemon, ledger)
    await all_arrived(collector, ledger, 60)

    async def some(count):
        for number in range(count):
            channels["relay"]["connections"] = 1 + number % 2
            channels["mail-in"]["max_connections"] = 10 + number % 2
            channels["old-mail"]["poll"] = f"{201 + number % 2}ms"
            await change(daemon)
        await send_form(daemon, ledger)
        await all_arrived(collector, ledger, 60)

    await some(40)
    before = _resources(pid)
    await some(reloads - 40)

    after = await until(lambda: _settled(before, _resources(pid)), 60, lambda: (before, _resources(pid)))
    grown = after["kilobytes"] - before["kilobytes"]
    record_testsuite_property(f"kilobytes grown in {reloads - 40} reloads", grown)
    assert after["children"] == before["children"]
    assert grown < 20_000  # some of it waits to be collected; tests/integration counts the objects themselves


def _settled(before, now):
    """Return the second if it is no more than the first, save for a few threads that pools start when they are used."""
    same = all(now[kind] <= before[kind] + 6 for kind in ("descriptors", "threads"))
    return now if same else None
