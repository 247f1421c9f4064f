"""Programs at the misroute links: scanners that press buttons, batches of links in wrong hands. Nothing is learnt."""

from __future__ import annotations

import re
from itertools import permutations

import pytest

from router.learning.lessons import Rules, gather
from router.records import CorrectionState
from router.store import corrections
from tests.integration.test_misroute_page import department_of, link_of, post, said_about
from tests.unit.router.district import District
from tests.unit.router.web.site import LogLines, serving

UNDO = re.compile(r'name="correction" value="([^"]+)"')
ORDERS = list(permutations(("flag", "ours", "undo")))


@pytest.fixture
async def district(sqlite_store, log, rng):
    """A district without a dispatcher: deliveries wait."""
    return District(sqlite_store, log, rng)


@pytest.fixture
async def client(sqlite_store):
    """The web application."""
    async with serving(sqlite_store, log=LogLines()) as opened:
        yield opened


async def press(client, link, button, to):
    """Press one button of a page as a program would that submits every form it finds."""
    if button == "flag":
        return await post(client, link, department=to)
    if button == "ours":
        return await post(client, f"{link}/ours")
    shown = UNDO.search(await (await client.get(link)).text())
    return await post(client, f"{link}/undo", correction=shown[1]) if shown else None


async def learnt(store):
    """Return what could be learnt from."""
    return (await store.read(lambda c: gather(c, Rules(), store.clock.now()))).rows


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("second", ORDERS, ids="-".join)
async def test_a_scanner_presses_every_button_of_every_mail(client, district, sqlite_store, order, second):
    """In whatever order, in the first mail and in those that follow: nothing is confirmed, nothing is learnt."""
    message_id = await district.route("buses are late")
    seen = set()
    for buttons in (order, second, second):
        for delivery in await district.deliveries(message_id):
            if delivery.id in seen:
                continue
            seen.add(delivery.id)
            to = "meals" if delivery.department != "meals" else "office"
            for button in buttons:
                await press(client, link_of(delivery), button, to)
    said = await said_about(sqlite_store, message_id)
    assert CorrectionState.CONFIRMED not in {each.state for each in said}
    assert await learnt(sqlite_store) == ()


async def test_a_hundred_posts_of_one_link_are_one_vote(client, district, sqlite_store):
    """Counted by delivery, not by click: one correction, proposed, and the message where the first click put it."""
    message_id = await district.route("buses are late")
    [delivery] = await district.deliveries(message_id)
    for _ in range(100):
        assert (await post(client, link_of(delivery), department="meals")).status == 303
        await post(client, f"{link_of(delivery)}/ours")
    [said] = await said_about(sqlite_store, message_id)
    assert (said.state, await department_of(sqlite_store, message_id)) == (CorrectionState.PROPOSED, "meals")


async def test_a_leaked_batch_of_links_moves_messages_and_teaches_nothing(client, district, sqlite_store):
    """Forty links in wrong hands, both sides of each: once thirty have come from an address, its votes count no more.

    The ones before are few, fall under the cap of one person, and stand for the address that they came from.
    """
    for number in range(40):
        message_id = await district.route(f"buses are late, number {'abcdefghij'[number % 10] * (number // 10 + 3)}")
        [first] = await district.deliveries(message_id)
        await post(client, link_of(first), department="meals")
        second = (await district.deliveries(message_id))[-1]
        await post(client, f"{link_of(second)}/ours")
    confirmed = await sqlite_store.read(lambda c: corrections.in_state(c, "confirmed", 100))
    assert len(confirmed) == 30
    capped = await sqlite_store.read(lambda c: gather(c, Rules(person=10), sqlite_store.clock.now()))
    assert (len(capped.rows), capped.loudest) == (10, ("the address buses@district.example", 10))


async def test_who_thinks_better_of_it_has_confirmed_nothing(client, district, sqlite_store):
    """Meals says "This is ours" and then sends it on: what the buses said is proposed again."""
    message_id = await district.route("buses and lunch")
    [first] = await district.deliveries(message_id)
    await post(client, link_of(first), department="meals")
    second = (await district.deliveries(message_id))[-1]
    await post(client, f"{link_of(second)}/ours")
    assert [each.state for each in await said_about(sqlite_store, message_id)] == [CorrectionState.CONFIRMED]
    await post(client, link_of(second), department="office")
    said = await said_about(sqlite_store, message_id)
    assert [(each.to_department, each.state) for each in said] == [
        ("meals", CorrectionState.PROPOSED),
        ("office", CorrectionState.PROPOSED),
    ]
