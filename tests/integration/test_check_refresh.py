"""`check --connect` and refresh tokens that change with each use: the new one is kept, or the consent would be lost."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from router.cli import run
from router.commands import Commands
from router.store import cursors
from router.store.engine import open_store
from tests.integration.dovecot import TOKEN, USER, Dovecot
from tests.unit.router.commandline import write_district

MAILBOX = """\
  mailbox: {{type: imap, host: 127.0.0.1, port: {port}, tls: none, username: {user}, auth: xoauth2,
             oauth: {{flow: refresh_token, token_url: "{url}", client_id: app, refresh_token_env: REFRESH}}}}
"""


@pytest.fixture
async def provider():
    """A token server that takes each refresh token once, and hands out the next."""
    seen, application = [], web.Application()

    async def token(request):
        seen.append((await request.post())["refresh_token"])
        if seen[-1] != f"refresh-{len(seen)}":
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"access_token": TOKEN, "refresh_token": f"refresh-{len(seen) + 1}"})

    application.router.add_post("/token", token)
    async with TestServer(application) as server:
        yield str(server.make_url("/token")), seen


async def test_the_new_token_is_kept_and_used(tmp_path, monkeypatch, provider, free_port, capsys):
    """Before the first start: the store is made for it, the next check uses it, and nobody sees either."""
    url, seen = provider
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REFRESH", "refresh-1")
    with Dovecot.make() as dovecot:
        district = write_district(tmp_path, free_port)
        mailbox = MAILBOX.format(port=dovecot.port, user=USER, url=url)
        district.write_text(district.read_text().replace("departments:\n", mailbox + "departments:\n", 1))
        for _ in range(2):
            assert await asyncio.to_thread(run, ["check", "--connect", "--json", "--config", "district.yaml"]) == 0
            captured = capsys.readouterr()
            checks = {each["name"]: each for each in json.loads(captured.out)["checks"]}
            assert checks["mailbox"]["ok"]
            assert "refresh-" not in captured.out + captured.err
    assert seen == ["refresh-1", "refresh-2"]
    store = open_store(f"sqlite:///{tmp_path}/var/signpost.db", read_only=True)
    await store.open()
    kept = await store.read(lambda connection: cursors.get(connection, "mailbox", "oauth"))
    await store.close()
    assert kept["refresh_token"] == "refresh-3"


async def test_a_running_daemon_keeps_it(sqlite_store):
    """What the check hands to the daemon's control socket is on disk when it answers."""
    commands = Commands(sqlite_store, None)
    value = {"refresh_token": "new", "from": "digest"}
    await commands.run("keep", {"channel": "mailbox", "key": "oauth", "value": value})
    assert await sqlite_store.read(lambda connection: cursors.get(connection, "mailbox", "oauth")) == value
