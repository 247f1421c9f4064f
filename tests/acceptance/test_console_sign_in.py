"""Accounts by the installed command while the daemon runs: added, given a password, signed in, shut out, proved."""

from __future__ import annotations

import json
import re

import aiohttp
import pytest

PASSWORD = "seven quiet herons at dusk"


@pytest.fixture
def with_console(installed):
    """A small district with a console and local accounts."""
    path = installed.folder / "district.yaml"
    path.write_text(path.read_text() + "console: {local: true}\n")
    return installed


def browser(port):
    """Somebody's browser."""
    return aiohttp.ClientSession(f"http://127.0.0.1:{port}", cookie_jar=aiohttp.CookieJar(unsafe=True))


async def sign_in(session, email):
    """Send the sign-in form; return the status."""
    form = {"email": email, "password": PASSWORD}
    async with session.post("/console/sign-in", data=form, allow_redirects=False) as answer:
        return answer.status


async def opened(session, path):
    """Return status and text of a page."""
    async with session.get(path, allow_redirects=False) as answer:
        return answer.status, await answer.text()


async def test_an_account_from_the_first_word_to_the_last(with_console):
    """Added and given a password by commands, signed in over HTTP, disabled: the next request leads to the door."""
    async with with_console.daemon(), browser(with_console.port) as session:
        added = await with_console.ask("users", "add", "Sam@Maple.example", "--role", "administrator")
        assert (added["email"], added["departments"]) == ("sam@maple.example", None)
        assert await sign_in(session, "sam@maple.example") == 403  # no password yet
        status, _, err = await with_console.run(
            "users", "password", "sam@maple.example", "--file", "-", given=f"{PASSWORD}\n".encode()
        )
        assert status == 0, err
        assert PASSWORD not in err
        assert await sign_in(session, "sam@maple.example") == 303
        status, text = await opened(session, "/console/users")
        assert status == 200
        assert "sam@maple.example" in text

        await with_console.ask("users", "disable", "sam@maple.example")
        assert (await opened(session, "/console/users"))[0] == 303
        assert await sign_in(session, "sam@maple.example") == 403
        rows = await with_console.ask("users", "log")
        assert [row["action"] for row in reversed(rows)] == [
            "user_added", "sign_in_failed", "user_password", "sign_in", "users", "user_disabled", "sign_in_failed",
        ]  # fmt: skip
        assert rows[-1]["who"].startswith("command")
        assert (await with_console.ask("users", "log", "--verify"))["rows"] == 7
    listed = await with_console.ask("users", "list")  # of the store itself, now that no daemon runs
    assert [(each["email"], bool(each["disabled_at"])) for each in listed] == [("sam@maple.example", True)]


async def test_the_log_of_the_daemon_holds_no_secret(with_console):
    """Neither a password nor a session's token nor an address is in what the daemon prints."""
    async with with_console.daemon() as daemon, browser(with_console.port) as session:
        await with_console.ask("users", "add", "sam@maple.example", "--role", "staff", "--department", "buses")
        await with_console.run("users", "password", "sam@maple.example", "--file", "-", given=PASSWORD.encode())
        await sign_in(session, "sam@maple.example")
        await sign_in(session, "nobody@maple.example")
        token = next(cookie.value for cookie in session.cookie_jar if cookie.key == "signpost-session")
        await daemon.until("sign_in_failed")
        printed = "\n".join(daemon.lines)
        assert not [secret for secret in (PASSWORD, token, "sam@maple.example", "argon2") if secret in printed]


@pytest.mark.parametrize("password", ["short", "passwordpassword", "aaaaaaaaaaaaaaa", "sam.maple.sam.maple", ""])
async def test_a_poor_password_is_refused_with_a_reason(with_console, password):
    """It is refused before it is sent anywhere, and the answer doesn't repeat it."""
    await with_console.ask("users", "add", "sam@maple.example", "--role", "staff")
    status, out, err = await with_console.run(
        "users", "password", "sam@maple.example", "--file", "-", given=f"{password}\n".encode()
    )
    assert status == 1
    assert re.search("assword", err)
    assert not password or password not in out + err


async def test_what_cannot_be_is_refused(with_console):
    """Departments and schools that aren't there, no address, an unknown account: a sentence, and status 1."""
    for arguments in (
        ("add", "sam@maple.example", "--role", "staff", "--department", "nowhere"),
        ("add", "sam@maple.example", "--role", "staff", "--school", "nowhere"),
        ("add", "sam", "--role", "staff"),
        ("disable", "nobody@maple.example"),
    ):
        status, _, err = await with_console.run("users", *arguments)
        assert status == 1
        assert err.startswith("signpost: ")
    assert json.loads((await with_console.run("users", "list", "--json"))[1]) == []
