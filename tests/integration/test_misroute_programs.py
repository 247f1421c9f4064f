"""Programs at the misroute links: scanners that press buttons, batches of links in wrong hands. Nothing is learnt."""

from __future__ import annotations

import re
from functools import partial
from itertools import permutations

import pytest

from router.learning import corrections as rules
from router.learning.lessons import Rules, gather
from router.records import CorrectionState
from router.store import corrections
from router.store import model_events as events
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
def lines():
    """What was logged."""
    return LogLines()


@pytest.fixture
async def client(sqlite_store, lines):
    """The web application."""
    async with serving(sqlite_store, log=lines) as opened:
        yield opened


async def press(client, link, button, to):
    """Press one button of a page as a program would that submits every form it finds."""
    if button == "flag":
        return await post(client, link, department=to)
    if button == "ours":
        return await post(client, f"{link}/ours")
    shown = UNDO.search(await (await client.get(link)).text())
    return await post(client, f"{link}/undo", correction=shown[1]) if shown else None


async def lessons(store):
    """Return what could be learnt from."""
    return await store.read(lambda c: gather(c, Rules(), store.clock.now()))


async def learnt(store):
    """Return the rows of it."""
    return (await lessons(store)).rows


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


async def state_after(client, district, store, *presses):
    """Let a person flag a message to meals and press what is named: ("first" | "second", what, department)."""
    message_id = await district.route("buses are late")
    [first] = await district.deliveries(message_id)
    assert (await post(client, link_of(first), department="meals")).status == 303
    links = {"first": link_of(first), "second": link_of((await district.deliveries(message_id))[-1])}
    for which, what in presses:
        path = links[which] + ("/ours" if what == "ours" else "")
        answer = await post(client, path)
        assert answer.status == (400 if what == "blank" else 303)
    [said] = await said_about(store, message_id)
    return said.state


@pytest.mark.parametrize(
    "presses",
    [
        [("first", "ours"), ("second", "ours")],
        [("second", "ours"), ("first", "ours")],
        [("second", "blank"), ("second", "ours")],
        [("second", "ours"), ("second", "blank")],
        [("first", "blank"), ("second", "ours")],
    ],
    ids=str,
)
async def test_a_scanner_that_leaves_the_departments_unchosen(client, district, sqlite_store, lines, presses):
    """It submits each form as it finds it, and says "This is ours" of what was just sent on: it confirms nothing."""
    assert await state_after(client, district, sqlite_store, *presses) is CorrectionState.PROPOSED
    assert await learnt(sqlite_store) == ()
    assert [event for event, _facts in lines.lines].count("misroute_by_program") == 1


async def test_one_vote_each_from_two_people_confirms(client, district, sqlite_store):
    """The same without the program."""
    assert await state_after(client, district, sqlite_store, ("second", "ours")) is CorrectionState.CONFIRMED


@pytest.mark.parametrize("same", [True, False])
async def test_one_browser_at_two_links_is_one_person(client, district, sqlite_store, same):
    """Whoever reads both mailboxes can't confirm what they said themselves; another browser can."""
    message_id = await district.route("buses are late")
    [first] = await district.deliveries(message_id)
    answer = await post(client, link_of(first), department="meals")
    cookie = answer.cookies["signpost-link"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/m/", True, "Strict")
    second = (await district.deliveries(message_id))[-1]
    theirs = cookie.value if same else cookie.value[::-1]
    await post(client, f"{link_of(second)}/ours", headers={"Cookie": f"signpost-link={theirs}"})
    [said] = await said_about(sqlite_store, message_id)
    assert said.state is (CorrectionState.PROPOSED if same else CorrectionState.CONFIRMED)


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

    Of the ones before nothing is learnt as long as nobody has said something by name, and then a few, which stand for
    the addresses that they came from.
    """
    for number in range(40):
        message_id = await district.route(f"buses are late, number {'abcdefghij'[number % 10] * (number // 10 + 3)}")
        [first] = await district.deliveries(message_id)
        await post(client, link_of(first), department="meals")
        second = (await district.deliveries(message_id))[-1]
        await post(client, f"{link_of(second)}/ours")
    confirmed = await sqlite_store.read(lambda c: corrections.in_state(c, "confirmed", 100))
    assert len(confirmed) == 30
    alone = await lessons(sqlite_store)
    assert (alone.rows, alone.waiting, sum(alone.left_out.values())) == ((), 30, 30)
    assert await sqlite_store.read(lambda c: events.settled_since(c, None, sqlite_store.clock.now())) == (0, 30)
    message_id = await district.route("buses have no soup, which is another matter")
    now = sqlite_store.clock.now()
    by_name = {"message_id": message_id, "to": "meals", "by": "jo@d.example", "via": "command", "now": now}
    moved = await sqlite_store.write(lambda c: district.corrections.flag(c, **by_name))
    confirm = partial(
        rules.settle, correction_id=moved.correction_id, state=CorrectionState.CONFIRMED, now=now, by="jo@d.example"
    )
    await sqlite_store.write(confirm)
    few = await lessons(sqlite_store)
    assert (len(few.rows), few.waiting) == (1 + Rules().votes_address, 30 - Rules().votes_address)
    assert few.loudest == ("the address buses@district.example", Rules().votes_address)


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
