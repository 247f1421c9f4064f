"""The pages of the channels and of the configuration, with the real daemon: what it reads, and what it reads again."""

from __future__ import annotations

from html import unescape

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import district
from tests.acceptance.staff import CONSOLE, add_account, sign_in


@pytest.fixture
async def desk(daemons, tmp_path, relay):
    """A running daemon with a console."""
    made = daemons(tmp_path, district(tmp_path, relay.port, console=CONSOLE))
    await made.start()
    return made


@pytest.fixture
async def admin(desk):
    """An administrator of the whole district."""
    await add_account(desk, "root@maple.example", "administrator")
    someone = await sign_in(desk, "root@maple.example")
    yield someone
    await someone.aclose()


async def shown(admin, path, words):
    """Open a page until it says something."""

    async def look():
        text = unescape((await admin.get(path)).html)
        return text if words in text else ""

    return await until(look, 60, words)


async def test_a_polled_folder_is_shown_as_read_by_this_daemon(admin):
    """The daemon's own proofs are on the page, without anybody asking for `status` first."""
    text = await shown(admin, "/channels", "It looks for messages, and reaches them.")
    assert "This daemon reads it." in text


async def test_the_settings_follow_the_file(desk, admin):
    """In force since the start; a problem in the file, in a sentence; then the changed file, once it is used."""
    text = await shown(admin, "/settings", "The file on disk says the same.")
    assert "In force since" in text
    desk.configuration["routing"]["target_eror"] = 0.1
    desk.write_configuration()
    text = await shown(admin, "/settings", "can't be used (1 problem)")
    assert "there is no such setting; did you mean 'target_error'?" in text
    await until(lambda: desk.events("configuration_refused"), 60, desk.output)

    del desk.configuration["routing"]["target_eror"]
    desk.configuration["routing"]["target_error"] = 0.125
    desk.write_configuration()
    await until(lambda: desk.events("configuration_reloaded"), 60, desk.output)
    text = await shown(admin, "/settings", "0.125")
    assert "The file on disk says the same." in text
