"""A family's way through the page of a running daemon: the form, its receipt, and how far the message is."""

from __future__ import annotations

import re

import aiohttp

from tests.acceptance.daemon import until
from tests.acceptance.district import steer
from tests.acceptance.senders import by_form


async def test_a_family_sees_how_far_its_message_is(daemon):
    """From the receipt, and by the reference as it is typed, until it lies with its office; no word of it is shown."""
    text = f"{steer('transportation')} Zanzibar"
    receipt = await by_form(daemon.url, {"message": text, "email": "ana@home.example"}, way="multipart")
    async with aiohttp.ClientSession(daemon.url) as client:

        async def read(path, **form):
            asked = client.post(path, data=form) if form else client.get(path)
            async with asked as answer:
                return answer.status, await answer.text()

        async def arrived():
            _, page = await read(receipt)
            return page if 'class="done"><span class="hidden">done: </span>It lies with that office' in page else None

        page = await until(arrived, 60, "the receipt to say that it lies there")
        reference = re.search(r'class="reference">(\w{12})<', page)[1]
        typed = f"{reference[:4].lower()} {reference[4:8]}-{reference[8:]}"
        status, other = await read("/forms/contact/status", reference=typed)
        assert (status, page_of(reference, other)) == (200, page_of(reference, page))
        assert (await read("/forms/contact/status", reference="000000000000"))[0] == 404
    assert page.count("<time ") == 3
    assert "Zanzibar" not in page
    assert "ransportation" not in page


def page_of(reference, page):
    """Return the receipt's page, which is the same by whatever way one comes to it but for when it was signed."""
    assert reference in page
    return re.sub(r"receipt=[\w.-]+", "", page)
