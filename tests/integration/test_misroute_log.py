"""What the misroute link leaves in the log, and whom it wakes."""

from __future__ import annotations

import re

import pytest

from router.forwarding import MISROUTE
from tests.unit.router.district import RING, District
from tests.unit.router.web.site import LogLines, serving

UNDO = re.compile(r'name="correction" value="([^"]+)"')
NOTE = "They mean the lunch bus"


@pytest.fixture
async def district(sqlite_store, log, rng):
    """A district without a dispatcher: deliveries wait."""
    return District(sqlite_store, log, rng)


@pytest.fixture
async def message_id(district):
    """A message that was sent to the buses."""
    return await district.route("buses are late", sender="ana@home.example")


@pytest.fixture
async def link(district, message_id):
    """The link in the mail to the buses."""
    [delivery] = await district.deliveries(message_id)
    return f"/m/{RING.sign(str(delivery.id), MISROUTE)}"


async def post(client, path, **form):
    """Send a form and return the response, following no redirect."""
    return await client.post(path, data=form, allow_redirects=False)


async def test_what_is_logged_names_no_person(sqlite_store, link, message_id):
    """The log says which message moved where, not what the note says nor the link's secret."""
    log = LogLines()
    async with serving(sqlite_store, log=log) as client:
        await post(client, link, department="meals", note=NOTE)
    [(event, facts)] = log.lines
    assert (event, facts["message_id"], facts["department"]) == ("misroute_flagged", message_id, "meals")
    assert NOTE not in str(facts)
    assert link.removeprefix("/m/") not in str(facts)


async def test_only_moves_wake_the_stages(sqlite_store, link):
    """Sending on wakes the dispatcher; looking doesn't."""
    woken = []
    async with serving(sqlite_store, wake=lambda: woken.append(1)) as client:
        await client.get(link)
        assert not woken
        await post(client, link, department="meals")
        assert woken


async def test_a_repeated_click_was_logged_as_a_second_move(sqlite_store, link):
    """Sending on, voting and undoing twice each leave one line in the log, and wake the stages once."""
    log, woken = LogLines(), []
    async with serving(sqlite_store, log=log, wake=lambda: woken.append(1)) as client:
        for _ in range(2):
            await post(client, f"{link}/ours")
        for _ in range(2):
            sent = await post(client, link, department="meals")
        await post(client, f"{link}/ours")  # it isn't there any more
        button = UNDO.search(await (await client.get(sent.headers["Location"])).text())[1]
        for _ in range(2):
            await post(client, f"{link}/undo", correction=button)
    assert [event for event, _ in log.lines] == ["misroute_ours", "misroute_flagged", "misroute_undone"]
    assert len(woken) == 3
