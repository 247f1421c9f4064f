"""The families' page over HTTP: topics, search, frames, and how far a message is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from router.whereabouts import Whereabouts
from tests.unit.channels.family import FILLED, serving

TOPICS = [
    {
        "name": {"en": "The school bus", "es": "El autobús"},
        "department": "transportation",
        "answer": {"en": "See the **bus finder**.", "es": "Vea el **buscador**."},
    },
    {"name": "Meals", "department": "office", "words": ["lunch"]},
]
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KNOWN = "0WE3WJVY5552"
HOSTILE = '"><script>alert(1)</script>'


async def test_a_topic_is_chosen_by_a_link_and_leads_to_its_department():
    """The form knows it; the message carries the department as a hint, and the original what was chosen."""
    async with serving(topics=TOPICS) as family:
        page = await family.page("?lang=es&topic=The+school+bus")
        assert '<option value="The school bus" selected>El autobús</option>' in page
        assert "<strong>buscador</strong>" in page
        for chosen in ("The school bus", "el AUTOBÚS", "Transportation", "transportation"):
            await family.post(topic=chosen)
    assert {inbound.facts["topic"] for inbound in family.taken} == {"transportation"}
    assert b"The school bus" in family.taken[0].original


async def test_the_search_is_a_page():
    """What is found is shown, what isn't is said, and the question is text."""
    async with serving(topics=TOPICS) as family:
        assert "Meals" not in (await family.page("?q=buses")).partition('id="write"')[0]
        assert "We found nothing about “zebra”" in await family.page("?q=zebra")
        hostile = await family.page("?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E%7B0%7D")
    assert "<script" not in hostile
    assert f"We found nothing about “{HOSTILE}{{0}}”" in unescape(hostile)


async def test_only_named_sites_may_show_it_in_a_frame():
    """By its policy; in a frame every link, the form and the receipt stay what they are for a frame."""
    async with serving(topics=TOPICS, embed_on=["https://www.maplevalley.example"]) as family:
        plain = await family.http.get("/forms/contact")
        assert "<script" not in await plain.text()
        framed = await family.http.get("/forms/contact?embed=1&lang=es")
        page = await framed.text()
        sent = await family.http.post("/forms/contact?embed=1", data=FILLED, allow_redirects=False)
    assert "frame-ancestors 'self' https://www.maplevalley.example" in plain.headers["Content-Security-Policy"]
    assert "script-src" not in plain.headers["Content-Security-Policy"]
    assert framed.headers["Content-Security-Policy"].endswith("; script-src 'self'")
    assert "/static/framed.js" in page
    links = [part.split('"')[0] for part in page.split('href="/forms/contact?')[1:]]
    assert links
    assert not [link for link in links if "embed=1" not in link]
    assert '<input type="hidden" name="embed" value="1">' in page
    assert sent.headers["Location"].endswith("&embed=1")


async def test_without_sites_the_server_s_own_policy_holds():
    """Nobody may frame it then."""
    async with serving() as family:
        answer = await family.http.get("/forms/contact?embed=1")
        assert "<script" not in await answer.text()
    assert "Content-Security-Policy" not in answer.headers


@pytest.mark.parametrize(
    ("far", "said", "times"),
    [
        ({}, "We are looking for the office", 1),
        ({"waits_for_person": True}, "A person has to look at it first", 1),
        ({"decided_at": NOON}, "It is on its way there", 2),
        ({"decided_at": NOON, "waits_for_person": True}, "A person has to look at it first", 2),
        ({"decided_at": NOON, "delivered_at": NOON + timedelta(minutes=3)}, "12:03 PM", 3),
    ],
)
async def test_how_far_a_message_is(far, said, times):
    """The receipt says it, with times; neither what was written nor who has it."""
    async with serving() as family:
        family.known["R1"] = Whereabouts(reference="R1", received_at=NOON, **far)
        page = await (await family.http.post("/forms/contact", data=FILLED | {"topic": "transportation"})).text()
    assert said in page
    assert page.count("<time ") == times
    assert "The bus" not in page
    assert "ransportation" not in page


async def test_a_reference_leads_to_its_receipt():
    """Typed as people type; the page that follows can be kept."""
    async with serving() as family:
        for typed in (KNOWN, "0we3 wjvy-5552"):
            family.known[typed] = Whereabouts(reference=KNOWN, received_at=NOON)
            answer = await family.http.post("/forms/contact/status", data={"reference": typed})
            assert answer.status == 200
            assert KNOWN in await answer.text()
            assert answer.url.query["receipt"]
            assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"


async def test_guessing_is_slowed_down_and_receipts_are_not():
    """After 60 unknown references in a minute none is looked for; links go on, and a minute later everything does."""
    async with serving() as family:
        family.known[KNOWN] = family.known["R1"] = Whereabouts(reference=KNOWN, received_at=NOON)
        receipt = await family.post()
        look = "/forms/contact/status"
        misses = [await family.http.post(look, data={"reference": f"NOPE{n}"}) for n in range(60)]
        refused = await family.http.post(look, data={"reference": KNOWN})
        assert {each.status for each in misses} == {404}
        assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
        assert (await family.http.get(receipt.headers["Location"])).status == 200
        family.clock.advance(61)
        assert (await family.http.post(look, data={"reference": KNOWN})).status == 200


async def test_what_was_looked_for_is_text():
    """Whatever was typed as a reference."""
    async with serving() as family:
        answer = await family.http.post("/forms/contact/status", data={"reference": HOSTILE})
        page = await answer.text()
    assert answer.status == 404
    assert "<script" not in page
    assert f'value="{HOSTILE}"' in unescape(page)


async def test_looking_takes_nothing_in():
    """A reference is no message."""
    async with serving() as family:
        await family.http.post("/forms/contact/status", data={"reference": KNOWN} | FILLED)
    assert not family.intake.offered


async def test_the_page_is_light():
    """With its styles less than 60 KB, uncompressed."""
    topics = [{"name": f"Topic {n}", "department": "transportation", "answer": "x" * 300} for n in range(20)]
    async with serving(topics=topics) as family:
        sizes = [
            len(await (await family.http.get(path)).read())
            for path in ("/", "/static/site.css", "/static/families.css", "/static/icon.svg", "/static/look.css")
        ]
    assert sum(sizes) < 60_000
