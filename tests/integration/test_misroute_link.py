"""The links to other likely departments in a forwarded mail: the same page, with one of them chosen already."""

from __future__ import annotations

import re

import pytest

from tests.integration.test_misroute_page import link_of, row_counts
from tests.unit.router.district import District
from tests.unit.router.web.site import LogLines, serving


@pytest.fixture
async def link(sqlite_store, log, rng):
    """The link in a mail that went to the buses; the model's next guess was meals."""
    district = District(sqlite_store, log, rng)
    message_id = await district.route("buses are late", sender="ana@home.example")
    [delivery] = await district.deliveries(message_id)
    return link_of(delivery)


@pytest.mark.parametrize(
    ("to", "checked", "unfolded"),
    [("meals", ["meals"], 0), ("office", ["office"], 1), ("", [], 0), ("buses", [], 0), ("nonsense", [], 0)],
)
async def test_a_named_department_is_chosen_already(link, sqlite_store, to, checked, unfolded):
    """`?to=` chooses what can be chosen, unfolds its list, and changes nothing; the page alone chooses none."""
    before = await row_counts(sqlite_store)
    async with serving(sqlite_store, log=LogLines()) as client:
        text = await (await client.get(f"{link}?to={to}" if to else link)).text()
    assert re.findall(r'value="([^"]+)" required checked', text) == checked
    assert text.count("<details open>") == unfolded
    assert await row_counts(sqlite_store) == before
