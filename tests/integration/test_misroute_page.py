"""The misroute link from end to end: what GET shows, what POST changes, and how it is taken back."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import func, select

from router.forwarding import MISROUTE
from router.learning import corrections as rules
from router.records import CorrectionState, DeliveryState, State
from router.store import corrections, counts, decisions, deliveries, messages
from router.store.tables import metadata
from tests.unit.router.district import RING, District
from tests.unit.router.web.site import LogLines, serving

UNDO = re.compile(r'name="correction" value="([^"]+)"')
TEXT = "buses are late, says Ana of Elm Street"
NOTE = "They mean the lunch bus"


@pytest.fixture
async def district(sqlite_store, log, rng):
    """A district without a dispatcher: deliveries wait."""
    return District(sqlite_store, log, rng)


@pytest.fixture
async def message_id(district):
    """A message that was sent to the buses."""
    return await district.route(TEXT, sender="ana@home.example")


@pytest.fixture
async def link(district, message_id):
    """The link in the mail to the buses."""
    [delivery] = await district.deliveries(message_id)
    return link_of(delivery)


@pytest.fixture
async def client(sqlite_store):
    """The web application."""
    async with serving(sqlite_store, log=LogLines()) as opened:
        yield opened


def link_of(delivery):
    """Return the path of a delivery's link."""
    return f"/m/{RING.sign(str(delivery.id), MISROUTE)}"


async def post(client, path, headers=None, **form):
    """Send a form and return the response, following no redirect."""
    return await client.post(path, data=form, headers=headers, allow_redirects=False)


async def department_of(store, message_id):
    """Return where a message is."""
    return (await store.read(lambda c: decisions.in_force(c, message_id))).department


async def said_about(store, message_id):
    """Return the corrections of a message."""
    return await store.read(lambda c: corrections.of_message(c, message_id))


async def row_counts(store):
    """Return how many rows each table has, and the states of messages and deliveries."""

    def count(connection):
        tables = {
            t.name: connection.execute(select(func.count()).select_from(t)).scalar() for t in metadata.sorted_tables
        }
        return tables, counts.messages_by_state(connection), counts.deliveries_by_state(connection)

    return await store.read(count)


async def test_looking_changes_nothing(client, link, sqlite_store):
    """A scanner that opens every link fifty times, GET and HEAD, leaves every table as it was."""
    before = await row_counts(sqlite_store)
    for _ in range(50):
        assert (await client.get(link)).status == 200
        assert (await client.head(link)).status == 200
        assert (await client.get(f"{link}/ours")).status == 405
        assert (await client.get(f"{link}/undo")).status == 405
    assert (await client.get(f"{link}?department=meals")).status == 200
    assert await row_counts(sqlite_store) == before


async def test_the_page_reveals_nothing_but_the_department(client, link, message_id):
    """The page holds the id and the department; not a word of the message, no name, no address, no script."""
    answer = await client.get(link)
    text = await answer.text()
    assert message_id in text
    assert "is with <strong>Buses</strong>" in text
    for private in ("Elm Street", "Ana", "home.example", "late"):
        assert private not in text
    assert "<script" not in text
    assert "noindex" in answer.headers["X-Robots-Tag"]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_likeliest_come_first_and_the_present_one_is_left_out(client, link):
    """The list holds every department once, the model's next guess on top, and not the one that has the message."""
    text = await (await client.get(link)).text()
    assert re.findall(r'name="department" value="([^"]+)"', text) == ["meals", "office"]
    assert (
        text.index("Most likely") < text.index('value="meals"') < text.index("All other") < text.index('value="office"')
    )


async def test_one_post_sends_it_on(client, link, message_id, sqlite_store):
    """The message moves at once, the correction says who and how, and the next page says where it went."""
    answer = await post(client, link, department="meals", note=NOTE)
    assert answer.status == 303
    page = await client.get(answer.headers["Location"])
    assert "Sent on to Meals" in await page.text()

    [said] = await said_about(sqlite_store, message_id)
    assert (said.from_department, said.to_department, said.by, said.via) == ("buses", "meals", "link", "link")
    assert (said.note, said.state) == (NOTE, CorrectionState.PROPOSED)
    assert await department_of(sqlite_store, message_id) == "meals"
    first, second = await sqlite_store.read(lambda c: deliveries.of_message(c, message_id))
    assert (first.state, second.state) == (DeliveryState.DROPPED, DeliveryState.WAITING)
    assert said.delivery_id == first.id


async def test_sending_twice_is_sending_once(client, link, message_id, sqlite_store):
    """A double click, or another choice from a page left open, changes nothing and shows where the message is."""
    await post(client, link, department="meals")
    before = await row_counts(sqlite_store)
    for department in ("meals", "office"):
        again = await post(client, link, department=department)
        assert again.status == 303
        assert "Sent on to Meals" in await (await client.get(again.headers["Location"])).text()
    assert await row_counts(sqlite_store) == before


async def test_it_can_be_undone_from_the_next_page(client, link, message_id, sqlite_store):
    """Undo brings the message and its unsent mail back and withdraws the correction; twice is once."""
    sent = await post(client, link, department="meals")
    button = UNDO.search(await (await client.get(sent.headers["Location"])).text())[1]
    for _ in range(2):
        undone = await post(client, f"{link}/undo", correction=button)
        assert undone.status == 303
        text = await (await client.get(undone.headers["Location"])).text()
        assert "<strong>Undone.</strong>" in text
        assert "Not yours? Send it on" in text
    [said] = await said_about(sqlite_store, message_id)
    assert said.state is CorrectionState.WITHDRAWN
    assert await department_of(sqlite_store, message_id) == "buses"
    states = [d.state for d in await sqlite_store.read(lambda c: deliveries.of_message(c, message_id))]
    assert states == [DeliveryState.WAITING, DeliveryState.DROPPED]


async def test_the_link_itself_leads_to_undo_later(client, link):
    """Who opens the mail's link again after sending on finds the Undo button there."""
    await post(client, link, department="meals")
    text = await (await client.get(link)).text()
    assert "Sent on to Meals" in text
    assert UNDO.search(text)


async def test_a_second_vote_confirms_and_then_undo_is_over(client, link, message_id, sqlite_store):
    """The vote "This is ours" from where it went confirms the flag, and its own link can no longer undo it."""
    sent = await post(client, link, department="meals")
    button = UNDO.search(await (await client.get(sent.headers["Location"])).text())[1]
    arrived = (await sqlite_store.read(lambda c: deliveries.of_message(c, message_id)))[-1]
    for _ in range(2):
        vote = await post(client, f"{link_of(arrived)}/ours")
        assert "Thank you" in await (await client.get(vote.headers["Location"])).text()
    [said] = await said_about(sqlite_store, message_id)
    assert said.state is CorrectionState.CONFIRMED

    assert (await post(client, f"{link}/undo", correction=button)).status == 409
    assert "no longer be undone" in await (await client.get(link)).text()
    assert await department_of(sqlite_store, message_id) == "meals"


async def test_a_vote_from_where_it_no_longer_is_counts_for_nothing(client, link, message_id, sqlite_store):
    """Who sent the message on can't say "This is ours" from a page left open; that both were pressed is remembered."""
    await post(client, link, department="meals")
    tables, *others = await row_counts(sqlite_store)
    vote = await post(client, f"{link}/ours")
    assert vote.headers["Location"] == link
    assert await row_counts(sqlite_store) == (tables | {"votes": 1}, *others)


async def test_a_vote_from_where_somebody_else_moved_it_is_not_even_kept(client, link, message_id, district):
    """The page was left open while a command moved the message."""
    now = district.store.clock.now()
    move = {"message_id": message_id, "to": "meals", "by": "it@district.example", "via": "command", "now": now}
    await district.store.write(lambda c: district.corrections.flag(c, **move))
    before = await row_counts(district.store)
    await post(client, f"{link}/ours")
    assert await row_counts(district.store) == before


async def test_somebody_else_moved_it_first(client, link, message_id, district):
    """A message that was moved by a command shows where it is now, and a late form changes nothing."""
    flag = {"message_id": message_id, "to": "meals", "by": "it@district.example", "via": "command"}
    now = district.store.clock.now()
    await district.store.write(lambda c: district.corrections.flag(c, now=now, **flag))
    late = await post(client, link, department="office")
    text = await (await client.get(late.headers["Location"])).text()
    assert "is now with <strong>Meals</strong>" in text
    assert UNDO.search(text) is None
    assert len(await said_about(district.store, message_id)) == 1


async def test_a_held_message_says_so(client, link, message_id, sqlite_store):
    """A message that is held can't be sent on by its link."""
    await sqlite_store.write(lambda c: messages.set_state(c, message_id, State.HELD, "a person has to look"))
    assert "waits for a person" in await (await client.get(link)).text()
    assert (await post(client, link, department="meals")).status == 409


async def test_the_third_time_the_fallback_settles_it(client, link, message_id, sqlite_store):
    """A message passed on for the third time goes to the fallback, and the page says so."""
    for department in ("meals", "buses", "meals"):
        newest = (await sqlite_store.read(lambda c: deliveries.of_message(c, message_id)))[-1]
        answer = await post(client, link_of(newest), department=department)
    text = await (await client.get(answer.headers["Location"])).text()
    assert "Office will settle it" in text
    assert "You asked for Meals" in text
    assert await department_of(sqlite_store, message_id) == "office"


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({}, 400, "Please choose a department."),
        ({"department": "  "}, 400, "Please choose a department."),
        ({"department": "no-such-desk"}, 400, "There is no such department."),
        ({"department": "buses"}, 409, "with Buses already"),
    ],
)
async def test_a_wrong_choice_is_explained(client, link, sqlite_store, form, status, words):
    """Without a department, with an unknown one or the present one the form comes back with the note kept."""
    before = await row_counts(sqlite_store)
    answer = await post(client, link, note="<b>keep & me</b>", **form)
    text = await answer.text()
    assert answer.status == status
    assert words in text
    assert "&lt;b&gt;keep &amp; me&lt;/b&gt;</textarea>" in text
    tables, *others = await row_counts(sqlite_store)
    assert (tables | {"blank_flags": 0}, *others) == before


@pytest.mark.parametrize("token", ["x", "k1.x.y.z", "k2.abc", "%00", "%ff", "ü" * 30, "a" * 3000])
async def test_a_forged_link_is_refused(client, token, sqlite_store):
    """What we didn't sign gets 403 and the same sentence, whatever it is, and nothing is read or written."""
    for answer in (await client.get(f"/m/{token}"), await post(client, f"/m/{token}", department="meals")):
        assert answer.status == 403
        assert "one of ours" in await answer.text()


async def test_a_token_for_another_purpose_or_message_is_refused(client, link, message_id, district):
    """The link's token doesn't undo, and one message's Undo isn't another's."""
    await post(client, link, department="meals")
    button = UNDO.search(await (await client.get(link)).text())[1]
    other = await district.route("buses, another message")
    [delivery] = await district.deliveries(other)
    assert (await post(client, f"{link_of(delivery)}/undo", correction=button)).status == 403
    assert (await post(client, f"{link}/undo", correction=link.removeprefix("/m/"))).status == 403
    assert (await post(client, f"{link}/undo")).status == 403
    assert (await client.get(f"/m/{button}")).status == 403
    assert await department_of(district.store, message_id) == "meals"


async def test_a_link_to_what_is_gone(client):
    """A signed link whose delivery isn't kept any more gets 404."""
    assert (await client.get(f"/m/{RING.sign('999', MISROUTE)}")).status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Origin": "https://d.example"}, 303),
        ({"Origin": "null"}, 303),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://d.example.evil.example"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
async def test_a_form_on_somebody_elses_page_is_refused(client, link, headers, status):
    """The browser's word on where the form stood is heeded; our own pages send no referrer and so `Origin: null`."""
    assert (await post(client, link, headers=headers, department="meals")).status == status


async def test_the_host_that_was_asked_is_an_origin_too(client, link):
    """Behind a proxy or in a test the page's own host may differ from the public address."""
    origin = f"http://{client.host}:{client.port}"
    assert (await post(client, link, headers={"Origin": origin}, department="meals")).status == 303


async def test_a_form_that_is_too_large_or_broken_is_refused(client, link):
    """A note is short; a form that can't be read is told so."""
    assert (await post(client, link, department="meals", note="x" * 70_000)).status == 413
    broken = {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}
    assert (await client.post(link, data=b"department=meals", headers=broken)).status == 400


async def test_a_note_is_cut_and_cleaned(client, link, message_id, sqlite_store):
    """A note holds no control characters and at most 2000 characters."""
    await post(client, link, department="meals", note="a\0b\x1bc" + "x" * 3000)
    [said] = await said_about(sqlite_store, message_id)
    assert said.note.startswith("abcx")
    assert len(said.note) == 2000


async def test_a_withdrawn_flag_is_not_undone_again(client, link, message_id, sqlite_store):
    """A flag that was withdrawn from training by a command leaves the message where it is; the page offers no Undo."""
    await post(client, link, department="meals")
    [said] = await said_about(sqlite_store, message_id)
    now = sqlite_store.clock.now()
    await sqlite_store.write(lambda c: rules.settle(c, said.id, CorrectionState.WITHDRAWN, "it", now))
    text = await (await client.get(link)).text()
    assert "is now with <strong>Meals</strong>" in text
    assert UNDO.search(text) is None
