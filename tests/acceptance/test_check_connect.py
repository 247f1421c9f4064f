"""`signpost check --connect` as its operator runs it: beside the daemon, and with the mistakes that are made most."""

from __future__ import annotations

import json
import signal
import socket
from contextlib import contextmanager

import aiohttp

from router.testing_smtp import smtp_server
from tests.acceptance.daemon import free_port
from tests.integration.dovecot import PASSWORD, USER, Dovecot
from tests.integration.fake_twilio import ACCOUNT, NUMBER, TOKEN, fake_twilio

CHANNELS = """\
  mail-in: {{type: smtp_server, listen: "127.0.0.1:{listener}"}}
  mailbox: {{type: imap, host: {host}, port: {imap}, tls: none, username: {user}, password_env: IMAP, mailbox: {box}}}
  text-line: {{type: twilio_sms, account_sid: {account}, auth_token_env: TWILIO, from_number: "{number}",
               api_base: "{twilio}"}}
  tool: {{type: webhook, fields: {{message: /text}}, authentication: bearer, secret_env: HOOK}}
  relay: {{type: smtp, host: 127.0.0.1, port: {smtp}, tls: none, from: {user}}}
"""
GOOD = {"host": "127.0.0.1", "user": USER, "box": "INBOX", "account": ACCOUNT, "number": NUMBER}


@contextmanager
def silent():
    """Take connections, in the kernel alone, and never say a word; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def configure(bare, channels):
    """Add channels to the district, and let alerts go out by the relay."""
    path = bare.folder / "district.yaml"
    text = path.read_text().replace("departments:\n", channels + "departments:\n", 1)
    path.write_text(text.replace("alerts: [{via: out, to: it}]", "alerts: [{via: relay, to: it@d.example}]"))
    bare.env |= {"IMAP": PASSWORD, "TWILIO": TOKEN, "HOOK": "a-secret-that-is-long-enough"}


async def check(bare):
    """Run the check; return its exit status and the reports by name."""
    status, out, err = await bare.run("check", "--connect", "--json")
    assert not err, err
    told = json.loads(out)
    return status, told["daemon_runs"], {each["name"]: each for each in told["checks"]}


def failures(report):
    """Return what failed in one report, in sentences."""
    return [each["what"] for each in report["findings"] if each["level"] == "failed"]


async def test_beside_the_running_daemon(installed):
    """With every type of channel in use it proves each, disturbs nothing, and the daemon takes messages afterwards."""
    with Dovecot.make() as dovecot:
        async with fake_twilio() as twilio, smtp_server() as relay:
            ports = {"listener": free_port(), "imap": dovecot.port, "twilio": twilio.base, "smtp": relay.port}
            configure(installed, CHANNELS.format(**GOOD, **ports))
            webhook = f"http://127.0.0.1:{installed.port}/webhooks/text-line"
            twilio.numbers = [{"phone_number": NUMBER, "sms_url": webhook + "#rp=all", "sms_method": "POST"}]
            async with installed.daemon() as daemon:
                status, daemon_runs, reports = await check(installed)
                assert daemon_runs
                assert status == 1  # Twilio can't reach a loopback address, and nothing else is wrong
                assert {name: failures(each) for name, each in reports.items() if not each["ok"]} == {
                    "text-line": [f"Twilio can't reach {webhook}: 127.0.0.1 is this machine's own name for itself."]
                }
                found = {name: [each["what"] for each in report["findings"]] for name, report in reports.items()}
                assert found["mail-in"] == [f"The running daemon listens on 127.0.0.1:{ports['listener']}."]
                assert "looked at read-only beside the running daemon" in found["store"][0]
                assert found["pages"][-1].endswith("for /forms/contact, /webhooks/text-line, /webhooks/tool.")
                assert relay.mails == []
                assert not [line for line in daemon.lines if '"level":"error"' in line]
                assert (await installed.ask("status"))["messages"]["received"] == 0
                assert await daemon.end(signal.SIGTERM) == 0


async def test_typical_mistakes(bare):
    """Wrong password, mailbox, port, token: each is told with its remedy, and one that hangs keeps nobody."""
    with Dovecot.make() as dovecot, silent() as stuck:
        async with fake_twilio() as twilio:
            ports = {"listener": free_port(), "imap": dovecot.port, "twilio": twilio.base, "smtp": stuck}
            configure(bare, CHANNELS.format(**GOOD | {"box": "Inbocks"}, **ports))
            bare.env |= {"TWILIO": "not-the-token"}
            status, daemon_runs, reports = await check(bare)
            assert (status, daemon_runs) == (1, False)
            assert failures(reports["mailbox"])[0].startswith("The mailbox Inbocks can't be opened")
            assert failures(reports["text-line"])[0].startswith("Twilio refuses the account SID with this auth token")
            assert failures(reports["relay"]) == [
                f"127.0.0.1, port {stuck} takes the connection and then says nothing."
            ]
            assert all(each["ok"] for name, each in reports.items() if name in {"store", "mail-in", "tool", "out"})
            assert not (bare.folder / "var").exists()
            bare.env |= {"IMAP": "not-the-password", "TWILIO": TOKEN}
            _, _, reports = await check(bare)
            assert failures(reports["mailbox"])[0].startswith("The server refused the user name or the password")
            assert failures(reports["text-line"])[0] == f"{NUMBER} doesn't belong to this account."


TOOL = """\
  tool: {{type: webhook, fields: {{message: /text}}, authentication: bearer, secret_env: HOOK}}
  relay: {{type: smtp, host: 127.0.0.1, port: {smtp}, tls: none, from: contact@d.example}}
"""


async def test_a_form_tool_with_another_secret(installed):
    """Only its requests show it: they are counted and explained by `status` and the check, and nothing looks down.

    A request that is good and says nothing where the settings look reaches a person, and is told as trouble.
    """
    async with smtp_server() as relay:
        configure(installed, TOOL.format(smtp=relay.port))
        async with installed.daemon() as daemon, aiohttp.ClientSession() as tool:
            url = f"http://127.0.0.1:{installed.port}/webhooks/tool"
            for _ in range(3):
                async with tool.post(url, json={"text": "Hello"}, headers={"Authorization": "Bearer old"}) as answer:
                    assert answer.status == 401
            async with tool.get(f"http://127.0.0.1:{installed.port}/readyz") as answer:
                assert (await answer.json())["degraded"] == {}
            _, told, _ = await installed.run("status")
            assert "Requests refused" in told
            assert "the token or password (Authorization) is missing or wrong" in told
            status, _, reports = await check(installed)
            remarks = [each["what"] for each in reports["tool"]["findings"] if each["level"] == "remark"]
            assert status == 0
            assert remarks[0].startswith("The daemon refused 3 requests so far, and none was taken.")
            good = {"Authorization": f"Bearer {installed.env['HOOK']}"}
            async with tool.post(url, json={"words": "Hello"}, headers=good) as answer:
                assert answer.status == 200
            async with tool.get(f"http://127.0.0.1:{installed.port}/readyz") as answer:
                assert "none of the fields is there" in (await answer.json())["degraded"]["tool"]
            assert (await installed.ask("status"))["messages"]["received"] == 1
            assert await daemon.end(signal.SIGTERM) == 0
