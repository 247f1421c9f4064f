"""The pages of the channels and of the configuration in force, over HTTP."""

from __future__ import annotations

import re
from functools import partial
from html import unescape

import pytest
from sqlalchemy import update

from config.load import load
from router.life.proof import Side
from router.store import access, tables
from router.testing import FakeClock
from tests.integration.console import console_site

IMAP, RELAY, FORM = ("front-office-mail", Side.IN), ("relay", Side.OUT), ("contact", Side.IN)
CANARY = "hunter2"  # stands in every secret
ENV = {
    "OIDC_SECRET": f"oidc-{CANARY}",
    "MAIL_PASSWORD": f"mail-{CANARY}",
    "HOOK_SECRET": f"hook-{CANARY}",
    "TWILIO_TOKEN": f"twilio-{CANARY}",
    "DB_PASSWORD": f"db-{CANARY}",
}
ROW = re.compile(r"<tr>(.*?)</tr>", re.DOTALL)


def with_secrets(folder, file):
    """Plant a secret of every kind: in variables, in files, and in addresses."""
    kept = folder / "kept"
    kept.write_text(f"file-{CANARY}\n")
    file["organization"]["contacts_file"] = ""
    file["store"] = {"url": f"postgresql://signpost@db.example/signpost?sslkey={CANARY}", "password_env": "DB_PASSWORD"}
    file["channels"] |= {
        "front-office-mail": {
            "type": "imap", "host": "mail.example.org", "username": "office", "password_env": "MAIL_PASSWORD",
        },
        "text-line": {
            "type": "twilio_sms", "account_sid": "AC0", "auth_token_env": "TWILIO_TOKEN", "from_number": "+15555550100",
        },
        "hook": {
            "type": "webhook", "fields": {"message": "/text"}, "authentication": "bearer", "secret_file": str(kept),
            "signing_secret_env": "HOOK_SECRET", "only": {"/token": f"shared-{CANARY}"},
        },
    }  # fmt: skip
    file["channels"]["contact"]["topics"] = [
        {"name": "Buses", "department": "buses", "answer": f"https://x:{CANARY}@buses.example.org/late?k={CANARY}"}
    ]
    to = f"https://hooks.example.org/{CANARY}/T0?token={CANARY}"
    file["departments"]["meals"]["deliver"] = [{"via": "hook", "to": to}]
    file["schools"]["lincoln"]["deliver"] = {"buses": [{"via": "hook", "to": to}]}
    file["operations"] = {"alerts": [{"via": "hook", "to": to}]}
    file["console"]["sign_in"] = {
        "maple": {
            "name": "Maple ID", "issuer": "https://id.maple.example", "client_id": "x",
            "client_secret_env": "OIDC_SECRET",
        }
    }  # fmt: skip


@pytest.fixture
def clock():
    """A clock that tests turn by hand."""
    return FakeClock()


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log, monkeypatch):
    """A district with channels of several kinds, secrets in all places, and an administrator."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    async with console_site(sqlite_store, tmp_path, free_port, log, change=partial(with_secrets, tmp_path)) as opened:
        opened.file = tmp_path / "console.yaml"
        opened.parts.lives.follow(opened.parts.watched)
        opened.token = await opened.session(await opened.account("administrator"))
        yield opened


async def page(site, path):
    """Return a page's text."""
    async with site.browser(site.token) as browser:
        status, text, _ = await browser.get(f"/console/{path}")
    assert status == 200, text
    return text


def rows(text):
    """Return the words of each row."""
    return [unescape(" ".join(re.sub(r"<[^>]+>", " ", each).split())) for each in ROW.findall(text)[1:]]


async def test_a_failing_a_silent_and_a_healthy_channel(site, clock):
    """The worst first, each with its sentence and what to do."""
    lives = site.parts.lives
    clock.advance(1200)  # nobody has looked into the mailbox for so long
    lives.failed(RELAY, "the folder can't be written")
    lives.proven(FORM)
    clock.advance(60)
    found = rows(await page(site, "channels"))
    assert found[0].startswith("relay out maildir failing Delivering fails. The folder can't be written.")
    assert "docs/howto/maildir.md" in found[0]
    assert "signpost check --connect" in found[0]
    assert found[0].endswith("never")
    assert found[1].startswith("front-office-mail in imap silent")
    assert "This daemon reads it." in found[1]
    assert found[-1].startswith("contact in web_form works Messages come in by it. 60 seconds ago 01 Sep 2026, 07:20")


async def test_what_waits_and_what_is_dead_is_counted_at_its_way_out(site):
    """Deliveries to come, and those that ended without arriving, which lead to the inbox."""
    for key in ("a", "b", "c"):
        await site.message("buses", key=key)
    dead = update(tables.deliveries).where(tables.deliveries.c.id == 1).values(state="dead")
    await site.store.write(lambda c: c.execute(dead))
    site.parts.lives.proven(RELAY)
    text = await page(site, "channels")
    assert "2 wait, the oldest for" in text
    assert '<a href="/console/inbox?stands=dead">1 dead</a>' in text


async def test_no_secret_is_in_any_page(site):
    """Neither from variables nor from files nor out of addresses, while a channel's error repeats one."""
    site.parts.lives.failed(("hook", Side.OUT), f"https://hooks.example.org/{CANARY}/T0?token={CANARY} says no")
    site.parts.reread = partial(load, site.file, env=ENV)
    text = site.file.read_text()
    for shown in ("channels", "settings"):
        assert CANARY not in await page(site, shown)
    site.file.write_text(text.replace("password_env: MAIL_PASSWORD", f"password: {CANARY}"))
    refused = await page(site, "settings")
    assert "a secret in the clear isn&#39;t allowed" in refused
    assert CANARY not in refused
    for name in ("MAIL_PASSWORD", "TWILIO_TOKEN", "OIDC_SECRET", "DB_PASSWORD", "HOOK_SECRET", "hooks.example.org/…"):
        assert name in refused  # where it is, is told


async def test_every_setting_stands_there_with_what_it_is_for(site):
    """Section by section: what was chosen, and what it comes with."""
    found = rows(await page(site, "settings"))
    assert (
        "fallback office The department that gets every message nobody else should: unsure, out of scope, unreadable."
        in found
    )
    assert any(each.startswith("host mail.example.org ") for each in found)
    assert any(each.startswith("split first ") for each in found)
    assert any(each.startswith("session.idle 4h ") for each in found)
    assert any(each.startswith("deliver relay to buses ") for each in found)


async def test_the_page_says_what_a_reload_would_do(site):
    """The file says the same, another thing, or has problems; a daemon that doesn't reload says so."""
    assert "doesn't read its file again" in await page(site, "settings")
    site.parts.reread = partial(load, site.file, env=ENV)
    site.parts.standing = lambda: {"since": "2026-09-01T11:00:00Z", "refused_at": None, "problems": []}
    text = site.file.read_text()
    same = await page(site, "settings")
    assert "The file on disk says the same." in same
    assert "In force since 01 Sep 2026, 06:00" in same

    site.file.write_text(text.replace("America/Chicago", "America/Denver"))
    changed = await page(site, "settings")
    assert "<li>organization.timezone</li>" in changed
    assert "America/Denver" not in changed  # it isn't in force

    site.file.write_text(text.replace("fallback: office", "fallback: ofice"))
    wrong = unescape(await page(site, "settings"))
    assert "can't be used (1 problem)" in wrong
    assert "there is no department 'ofice' in this file; did you mean 'office'?" in wrong

    site.file.write_text(text)
    refusal = {"refused_at": "2026-09-01T11:30:00Z", "problems": ["store: can't change while Signpost runs"]}
    site.parts.standing = lambda: {"since": "2026-09-01T11:00:00Z"} | refusal
    assert "store: can't change while Signpost runs" in unescape(await page(site, "settings"))


async def test_who_looks_is_noted(site):
    """Both pages stand in the access log, and in the head of every page of an administrator."""
    for path in ("channels", "settings"):
        assert f'href="/console/{path}" aria-current="page"' in await page(site, path)
    noted = await site.store.read(lambda c: access.page(c, 10))
    assert [row.action for row in noted] == ["settings", "channels"]
