"""The misroute page of a mail that went to a department for a message's second matter."""

from __future__ import annotations

import pytest

from router.records import DeliveryState
from router.store import decisions
from tests.integration.test_misroute_page import UNDO, link_of, post
from tests.unit.router.district import District
from tests.unit.router.learning.test_second_matters import Both
from tests.unit.router.web.site import LogLines, serving


@pytest.fixture
async def district(sqlite_store, log, rng):
    """A district whose messages all go to the buses, and to meals too."""
    return District(sqlite_store, log, rng, steps=(Both(),))


@pytest.fixture
async def client(sqlite_store):
    """The web application."""
    async with serving(sqlite_store, log=LogLines()) as opened:
        yield opened


async def links(district):
    """Route a message; return its id and the links of the buses and of meals."""
    message_id = await district.route()
    of = {each.department: link_of(each) for each in await district.deliveries(message_id)}
    return message_id, of["buses"], of["meals"]


async def text_of(client, path):
    """Return a page."""
    response = await client.get(path)
    assert response.status == 200
    return await response.text()


async def test_each_department_reads_its_own_name(district, client):
    """And a copy isn't offered to those who have it."""
    _message_id, buses, meals = await links(district)
    main, copy = await text_of(client, buses), await text_of(client, meals)
    assert "is with <strong>Buses</strong>" in main
    assert 'value="meals"' in main
    assert "is with <strong>Meals</strong>" in copy
    assert 'value="buses"' not in copy
    assert 'value="office"' in copy


async def test_a_copy_is_sent_on_shown_and_taken_back(district, client, sqlite_store):
    """The message stays with the buses all the while, and their link keeps working."""
    message_id, buses, meals = await links(district)
    before = await sqlite_store.read(lambda c: decisions.in_force(c, message_id))

    assert (await post(client, meals, department="office")).status == 303
    after = await text_of(client, meals)
    assert "Sent on to Office" in after
    assert "is with <strong>Buses</strong>" in await text_of(client, buses)

    undo = UNDO.search(after)
    assert undo is not None
    assert (await post(client, f"{meals}/undo", correction=undo[1])).status == 303
    assert "is with <strong>Meals</strong>" in await text_of(client, meals)
    present = await sqlite_store.read(lambda c: decisions.in_force(c, message_id))
    assert present == before
    states = {each.department: each.state for each in await district.deliveries(message_id)}
    assert states["meals"] is DeliveryState.WAITING


async def test_a_link_opens_with_the_suggestion_chosen_and_changes_nothing(district, client):
    """One click from the mail to the right choice: GET only shows it."""
    message_id, buses, _meals = await links(district)
    page = await text_of(client, f"{buses}?to=meals")
    assert 'value="meals" required checked' in page
    assert len(await district.deliveries(message_id)) == 2
