"""When Signpost can't start it says why in a sentence: a broken configuration, a store or a port that is taken."""

from __future__ import annotations

import asyncio
import re

from tests.acceptance.daemon import free_port
from tests.acceptance.district import district
from tests.acceptance.senders import by_form, by_smtp, insist, mail

NO = 1
CONFIGURATION_WRONG = 78


def said(outcome):
    """Return what a command that failed said, without the remarks; it must not be a traceback."""
    assert "Traceback" not in outcome.out + outcome.err
    return [line for line in outcome.err.splitlines() if line and not line.startswith("remark: ")]


async def test_every_problem_of_a_broken_configuration_is_said_at_once(daemons, tmp_path):
    """Exit status 78, each problem with file, line and path, and the likely spelling; nothing is created."""
    configuration = district(tmp_path, free_port())
    configuration["organization"]["timezone"] = "America/Chicaco"
    configuration["routing"]["fallback"] = "front-ofice"
    configuration["channels"]["relay"] |= {"password": "canary-7Qx", "port": 99_999}
    configuration["channels"]["contact"]["type"] = "webform"
    configuration["departments"]["technology"]["deliver"] = [{"via": "rely", "to": "technology@maple.example"}]
    configuration["rules"][0]["when"] = {"text": "(?=x)"}
    configuration["extra"] = True
    daemon = daemons(tmp_path, configuration)
    for command in ("run", "check"):
        outcome = await daemon.command(command)
        assert outcome.status == CONFIGURATION_WRONG
        problems = said(outcome)
        assert all(re.match(rf"{re.escape(str(daemon.config))}:\d+: ", problem) for problem in problems)
        for path in (
            "organization.timezone",
            "routing.fallback",
            "channels.relay.password",
            "channels.relay.port",
            "channels.contact",
            "departments.technology.deliver",
            "rules[0].when.text",
            "extra",
        ):
            assert any(f": {path}" in problem for problem in problems), (path, problems)
        assert "did you mean 'front-office'" in outcome.err
        assert "canary-7Qx" not in outcome.err
    assert not (tmp_path / "signpost.db").exists()


async def test_a_missing_secret_is_said_before_anything_starts(daemons, tmp_path):
    """A password whose variable isn't set is a problem of the configuration, also for `check`."""
    configuration = district(tmp_path, free_port())
    configuration["channels"]["relay"] |= {"username": "router", "password_env": "SIGNPOST_TEST_NOT_SET"}
    daemon = daemons(tmp_path, configuration)
    outcome = await daemon.command("run")
    assert outcome.status == CONFIGURATION_WRONG
    [problem] = said(outcome)
    assert "SIGNPOST_TEST_NOT_SET" in problem


async def test_a_second_daemon_on_the_same_store_is_refused(daemon, daemons, tmp_path):
    """It says whose store it is and ends with status 1; the first one goes on."""
    second = district(tmp_path, free_port())
    outcome = await daemons(tmp_path / "second", second).command("run")
    assert outcome.status == NO
    [sentence] = said(outcome)
    assert sentence == f"signpost: {tmp_path}/signpost.db is in use by another Signpost process"
    assert (await daemon.status())["messages"]["received"] == 0
    assert daemon.running


async def test_a_web_port_in_use_is_said(daemons, tmp_path):
    """The sentence names the port and what to do, with exit status 1 and no traceback."""
    configuration = district(tmp_path, free_port())
    host, _, port = configuration["http"]["listen"].partition(":")
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), host, int(port))
    async with taken:
        outcome = await daemons(tmp_path, configuration).command("run")
    assert outcome.status == NO
    [sentence] = said(outcome)
    assert port in sentence
    assert "choose another port" in sentence


async def test_an_smtp_port_in_use_stops_nothing_else(daemons, tmp_path, relay):
    """The form works meanwhile; once the port is free, mail comes in without a restart."""
    configuration = district(tmp_path, relay.port)
    host, _, port = configuration["channels"]["mail-in"]["listen"].partition(":")
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), host, int(port))
    daemon = daemons(tmp_path, configuration)
    async with taken:
        await daemon.start()
        await by_form(daemon.url, {"message": "Hello", "email": "ana@home.example"})
    assert "Traceback" not in daemon.output()
    async with asyncio.timeout(60):
        await insist(lambda: by_smtp(int(port), mail("RT-a1-1-end", "Hello")))
    assert (await daemon.status())["messages"]["received"] == 2


async def test_commands_without_a_store_say_so(daemons, tmp_path):
    """Nothing is created by looking."""
    daemon = daemons(tmp_path, district(tmp_path, free_port()))
    outcome = await daemon.command("status")
    assert outcome.status == NO
    assert "there is no store yet" in said(outcome)[0]
    assert not (tmp_path / "signpost.db").exists()
