"""The pages of the channels and of the configuration in a real browser: readable at any width, dark, and on paper."""

from __future__ import annotations

from functools import partial

import pytest

from config.load import load
from router.life.proof import Side
from tests.browser.chromium import chromium
from tests.browser.test_console_sign_in import looked_at, sign_in
from tests.integration.console import console_site

BROKEN = "the mail server refused the sign-in: Authentication failed. Is the password the mailbox's own?"


def with_mail(file):
    """Add a mailbox and a relay, and a destination that is long."""
    server = {
        "host": "a-mail-server-with-a-long-name.maple-valley-schools.example",
        "username": "contact@maple.example",
    }
    file["channels"] |= {
        "front-office-mail": {"type": "imap", "password_env": "OIDC_SECRET", **server},
        "outgoing": {"type": "smtp", "from": "contact@maple.example", "password_env": "OIDC_SECRET", **server},
        "hook": {"type": "webhook"},
    }
    to = f"https://hooks.maple-valley-schools.example/{'a' * 200}"
    file["departments"]["meals"]["deliver"] = [{"via": "hook", "to": to}]


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log):
    """A district with channels that work and one that fails, and a file that has come to have a problem."""
    async with console_site(sqlite_store, tmp_path, free_port, log, change=with_mail) as opened:
        await opened.account("administrator", password=True)
        for number in range(3):
            await opened.message("buses", key=f"m{number}")
        parts = opened.parts
        parts.lives.follow(parts.watched)
        parts.lives.failed(("front-office-mail", Side.IN), BROKEN)
        parts.lives.proven(("relay", Side.OUT))
        file = tmp_path / "console.yaml"
        file.write_text(file.read_text().replace("fallback: office", f"fallback: {'o' * 60}"))
        parts.reread = partial(load, file, env={"OIDC_SECRET": "hush"})
        yield opened


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (320, False)])
async def test_both_are_readable(site, tmp_path, width, dark):
    """No serious fault by axe-core, with what is folded open too, and nothing to scroll sideways for."""
    async with chromium(tmp_path / "profile") as browser:
        page = await browser.page(width=width, dark=dark)
        await sign_in(page, site)
        for name in ("channels", "settings"):
            await page.open(f"{site.url}/console/{name}")
            await looked_at(page, f"{name}-{width}{'-dark' * dark}")
            await page.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            await looked_at(page, f"{name}-open-{width}{'-dark' * dark}")
        assert [url for url in page.requests if not url.startswith(site.url)] == []


async def test_one_looks_again_by_a_link(site, tmp_path):
    """What has changed since is there, without a script."""
    async with chromium(tmp_path / "profile") as browser:
        page = await browser.page()
        await sign_in(page, site)
        await page.open(f"{site.url}/console/channels")
        assert await page.run("document.querySelector('.channels .state').textContent") == "failing"
        site.parts.lives.proven(("front-office-mail", Side.IN))
        page.expect()
        await page.run("[...document.links].find((each) => each.textContent === 'Look again').click()")
        await page.loaded()
        assert await page.run("document.querySelector('.channels .state').textContent") != "failing"
