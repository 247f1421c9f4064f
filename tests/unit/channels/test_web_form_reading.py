"""What arrives at the form that is odd, late or too much, and what is made of it."""

from __future__ import annotations

import asyncio
from io import BytesIO

import pytest
from pydantic import ValidationError

from channels.web_form import CHANNEL, WebFormSettings
from router.errors import Refused
from router.testing import until, within
from tests.unit.channels.family import FILLED, browser_part, serving

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PARTS = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("message=Señor ¡Hola!".encode(), ""),
        (b"message=Se%C3%B1or+%C2%A1Hola!", ""),
        ("message=Se%C3%B1or ¡Hola!".encode(), "; charset=UTF-8"),
        ("message=Señor ¡Hola!".encode("latin-1"), "; charset=iso-8859-1"),
        (b"message=Se%F1or+%A1Hola!", "; charset=iso-8859-1"),
        ("message=Señor ¡Hola!".encode(), "; charset=no-such"),
    ],
)
async def test_accents_became_mojibake(body: bytes, charset: str):
    """Letters beyond ASCII are read whether they were escaped or not, in UTF-8 or in the charset that is named."""
    async with serving() as family:
        headers = {"Content-Type": FORM["Content-Type"] + charset}
        posting = family.http.post(
            "/forms/contact", data=body + b"&email=a@b.example", headers=headers, allow_redirects=False
        )
        assert (await posting).status == 303
    assert family.text == "Señor ¡Hola!"


@pytest.mark.parametrize("address", ["ana.@gmail.com", "a..b@home.example", "ana@b..example", "ana@gmail", "a@-b.org"])
async def test_a_receipt_was_given_for_an_address_nobody_can_answer(address: str):
    """What couldn't stand in the department's Reply-To is told to the person who typed it."""
    async with serving() as family:
        assert (await family.post(email=address)).status == 422
        assert (await family.post(email="ana.ruiz+bus@mail.home.example")).status == 303


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("en;q=0.1, es;q=0.9", "es"),
        ("es;q=0, en;q=0.2", "en"),
        ("en;q=0.5, es;q=0.5", "en"),
        ("fr-CA, es-MX ; q=0.3, *;q=0.1", "es"),
        ("es;q=0", "en"),
        ("es;q=x", "es"),
        ("", "en"),
    ],
)
async def test_the_least_wanted_language_was_shown(accepted: str, language: str):
    """Accept-Language is heeded by weight; what weighs nothing isn't wanted; equals count in their order."""
    async with serving() as family:
        assert f'<html lang="{language}">' in await family.page(**{"Accept-Language": accepted})


async def test_a_refusal_with_a_brace_was_our_mistake():
    """A refusal's own words are shown as they are; only the texts of the page have places to fill in."""

    class Odd(Refused):
        status = 422

    async with serving(Odd("Take {this} away }{")) as family:
        answer = await family.post()
        assert (answer.status, "Take {this} away }{" in await answer.text()) == (422, True)


@pytest.mark.parametrize(
    ("headers", "marked"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "https://[evil"}, True),
        ({"Origin": "https://contact.maplevalley.example"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://www.maplevalley.example"}, False),
        ({"Origin": "null"}, False),
        ({}, False),
    ],
)
async def test_a_form_on_another_site_left_no_mark(headers: dict[str, str], marked: bool):
    """A browser that sends from another site's page is believed: the message is taken, marked for a person."""
    async with serving() as family:
        answer = await family.http.post("/forms/contact", data=FILLED, headers=headers, allow_redirects=False)
        assert answer.status == 303
        assert (await family.http.post("/forms/contact", json=FILLED, headers=headers)).status == 202
    suspicions = [inbound.facts.get("suspicion", "") for inbound in family.taken]
    assert suspicions == ["it was sent from another web site's page" if marked else "", ""]


async def _slowly(*pieces: bytes, gate: asyncio.Event):
    for piece in pieces:
        yield piece
    await gate.wait()
    yield browser_part("subject", b"Bus 12") + b"--b--\r\n"


async def test_too_large_an_upload_lost_what_was_typed():
    """A file beyond the cap is read to its end and thrown away, and the form comes back with all that was typed."""
    typed = b"".join(browser_part(name, value.encode()) for name, value in FILLED.items())
    large = browser_part("files", b"x" * 3_000_000, "film.mp4")
    small = browser_part("files", b"y", "note.txt")
    after = browser_part("subject", b"Bus 12")
    async with serving(max_file_bytes=1_000_000) as family:
        answer = await family.http.post(
            "/forms/contact", data=BytesIO(typed + large + small + after + b"--b--\r\n"), headers=PARTS
        )
        page = await answer.text()
    assert answer.status == 413
    assert "That was too much" in page
    assert "The bus was late." in page
    assert 'value="Bus 12"' in page
    assert not family.intake.offered


async def test_too_long_a_text_is_too_much_too():
    """More text than a form could hold, in one part or in many, is thrown away, and the rest is shown again."""
    parts = b"".join(browser_part(f"x{n}", b"x" * 300_000) for n in range(4))
    async with serving() as family:
        data = browser_part("subject", b"Bus 12") + parts + browser_part("name", b"Ana") + b"--b--\r\n"
        answer = await family.http.post("/forms/contact", data=BytesIO(data), headers=PARTS)
        assert (answer.status, 'value="Bus 12"' in await answer.text()) == (413, True)


async def test_uploads_at_once_could_fill_the_memory():
    """Beyond the bytes that may be under way together a sender is asked to try again, and keeps what was typed."""
    typed = b"".join(browser_part(name, value.encode()) for name, value in FILLED.items())
    file = browser_part("files", b"x" * 600_000, "film.mp4")
    settings = {"max_uploading_bytes": 1_000_000, "max_file_bytes": 900_000, "max_files_bytes": 900_000}
    async with serving(**settings) as family:
        gate = asyncio.Event()
        held = asyncio.create_task(
            family.http.post(
                "/forms/contact", data=_slowly(typed, file, gate=gate), headers=PARTS, allow_redirects=False
            )
        )
        await until(lambda: family.form._room.held >= 600_000 - 65_536)
        answer = await family.http.post("/forms/contact", data=typed + file + b"--b--\r\n", headers=PARTS)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        assert "The bus was late." in await answer.text()
        assert (await family.post()).status == 303  # no file: no room needed
        gate.set()
        assert (await within(held)).status == 303
        again = family.http.post(
            "/forms/contact", data=typed + file + b"--b--\r\n", headers=PARTS, allow_redirects=False
        )
        assert (await again).status == 303
    assert family.form._room.held == 0


async def test_a_slow_upload_that_is_too_much_is_told_so():
    """When the time is over while a file is being thrown away, the answer still says what was wrong with it."""
    typed = b"".join(browser_part(name, value.encode()) for name, value in FILLED.items())
    file = browser_part("files", b"x" * 300_000, "film.mp4")
    async with serving(max_file_bytes=1_000, upload_timeout="1s") as family:
        gate = asyncio.Event()
        answer = await family.http.post("/forms/contact", data=_slowly(typed, file, gate=gate), headers=PARTS)
        assert (answer.status, "The bus was late." in await answer.text()) == (413, True)
        gate.set()


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"upload_timeout": "0s"}, "upload_timeout"),
        ({"shortest_visit": "2d", "longest_visit": "1s"}, "shortest_visit"),
        ({"shortest_visit": "2d"}, "shortest_visit"),
    ],
)
def test_settings_that_can_not_work_were_taken(settings: dict[str, str], place: str):
    """No time to send anything, and visits that are always too short or too long, are errors at the setting."""
    with pytest.raises(ValidationError) as caught:
        WebFormSettings.model_validate(settings)
    assert [error["loc"] for error in caught.value.errors()] == [(place,)]


def test_the_form_says_which_languages_it_has_texts_in():
    """`check` asks for them, to say when a district wants another one."""
    assert list(CHANNEL.languages(WebFormSettings())) == ["en", "es"]
