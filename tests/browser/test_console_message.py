"""The message page and the triage queue in a real browser: hostile mails do nothing, one key routes one message."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from channels._mime import understand
from router.errors import Conflict
from router.records import Attachment, Decision, DeliveryState, Medium, Message, Prediction, Reason, State
from router.routing.route import Verdict
from router.store import alarms, comments, decisions, deliveries, messages, outbox
from tests.browser import vectors
from tests.browser.chromium import chromium
from tests.browser.test_console_sign_in import faults
from tests.browser.test_markup import SCRIPT, SETTLED, Trap
from tests.contract.store_helpers import DESK, accept, inbound
from tests.integration.console import console_site

PICTURES = os.environ.get("SIGNPOST_PICTURES", "")  # a folder, for who wants to look
GROUP = 12  # vectors in one message
UNNAMED = """[...document.querySelectorAll('main button, main a, main textarea, main iframe')].filter(
  (each) => !(each.innerText || each.title || (each.labels || []).length)).length"""
MAIL = """From: ana@home.example\r
To: contact@maple.example\r
Subject: Late\r
MIME-Version: 1.0\r
Content-Type: multipart/alternative; boundary=b0undary\r
\r
--b0undary\r
Content-Type: text/html; charset=utf-8\r
\r
<p>Our bus was late.</p>{markup}\r
--b0undary--\r
"""


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log):
    """A district with a console, and somebody who may do triage."""
    async with console_site(sqlite_store, tmp_path, free_port, log) as opened:
        opened.person = await opened.account("administrator")
        opened.token = await opened.session(opened.person)
        yield opened


@pytest.fixture
async def trap():
    """What counts who asks it for anything."""
    made = Trap()
    await made.start()
    yield made
    await made.stop()


async def opened(browser, site, **look):
    """Return a page in which that person is signed in."""
    page = await browser.page(**look)
    await page.send("Network.setCookie", name="signpost-session", value=site.token, url=f"{site.url}/console")
    await page.send("Runtime.addBinding", name="told")
    return page


async def unsure(site, key, markup="", **said):
    """Return the id of a mail that the router wasn't sure about; `said` replaces what was understood of it."""
    original = MAIL.format(markup=markup).encode()
    receipt = await accept(site.store, inbound(key, original, at=site.store.clock.now()))
    [leased] = await site.store.write(lambda c: messages.lease_undecided(c, "d1", 1, first=[receipt.message_id]))
    content = replace(understand(original, {}, "email"), **said)
    message = Message(
        id=leased.id, channel="mail", medium=Medium.EMAIL, received_at=leased.received_at, content=content
    )
    decision = Decision(
        message_id=leased.id,
        department="office",
        reason=Reason.ABSTAINED,
        detail=said.get("subject", "buses at 40% is below the 80% it needs"),
        prediction=Prediction(ranking=(("buses", 0.4), ("meals", 0.3)), score=0.1),
        confidence=0.4,
        suggestions=("buses", "meals"),
        urgent=said.get("subject", ""),
        decided_at=leased.received_at,
    )
    verdict = Verdict(message=message, state=State.ROUTED, decision=decision)
    await site.store.write(lambda c: outbox.commit_verdicts(c, [verdict], lambda _decision: [DESK], leased.received_at))
    return leased.id


async def spoiled(site, number, group, trap):
    """Return the id of a message with these vectors in all that a stranger, a colleague or a server may write."""
    words = "".join(vectors.armed(vector, trap.bait, SCRIPT) for vector in group)
    names = [vectors.armed(vector, trap.bait, SCRIPT) for vector in group]
    id_ = await unsure(
        site,
        f"k{number}",
        words,
        subject=words[:900],
        sender_name=words[:300],
        reply_to=names[0][:300],
        topic=words[:300],
        text=words,
        suspicion=words[:300],
        language=names[-1][:16],
        attachments=tuple(Attachment(name=name, content_type=name, size=1) for name in names),
    )
    now = site.store.clock.now()
    await site.store.write(partial(spoil_store, id_=id_, words=words, person=site.person, now=now))
    return id_


async def sent_on(site, id_, group, trap):
    """Let somebody of such a name send it on with such a note, once."""
    words = "".join(vectors.armed(vector, trap.bait, SCRIPT) for vector in group)
    flag = partial(site.parts.corrections.flag, message_id=id_, to="buses", via="command", now=site.store.clock.now())
    with suppress(Conflict):  # it has been
        await site.store.write(lambda c: flag(c, by=words[:300], note=words[:900]))


def spoil_store(connection, id_, words, person, now):
    """Let a colleague, a mail server and an alarm say the same."""
    comments.add(connection, id_, words, account_id=person, by=words[:300], now=now)
    alarms.raise_alarm(connection, id_, words, None, now)
    [delivery] = deliveries.lease(connection, DESK.via, "d1", now, 1)
    deliveries.settle(connection, delivery, DeliveryState.DEAD, now, error=words)


@pytest.mark.case("M10")
async def test_no_vector_does_anything_on_any_page_that_shows_a_message(site, trap, tmp_path):
    """In subject, names, files, text, HTML, notes, comments and errors: no script, no request, no way elsewhere."""
    async with chromium(tmp_path / "profile") as browser:
        page = await opened(browser, site)
        groups = [vectors.ALL[start : start + GROUP] for start in range(0, len(vectors.ALL), GROUP)]
        for number, group in enumerate(groups):
            id_ = await spoiled(site, number, group, trap)
            for path in ("triage", f"messages/{id_}", f"messages/{id_}/why", "inbox"):
                if path.startswith("messages"):
                    await sent_on(site, id_, group, trap)
                await page.open(f"{site.url}/console/{path}")
                await page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
                await page.run(SETTLED)
                assert path == "inbox" or id_ in await page.run("document.querySelector('main').innerHTML"), path
                grown = "main :is(script:not([src]), svg, img, style, link, base, meta, object, embed, [onerror])"
                assert await page.run(f"document.querySelectorAll('{grown}').length") == 0, (path, group)
            frame = f"{site.url}/console/messages/{id_}/formatted"
            assert frame in page.requests
            strayed = [
                url
                for url in (*page.requests, *page.navigations)
                if not url.startswith((site.url, "about:", "data:image/"))
            ]
            assert (page.called, page.dialogs, strayed, trap.hits) == ([], [], [], []), group


async def test_one_key_routes_one_message_and_the_next_appears(site, tmp_path):
    """Three messages, three keys: each goes where its key says, and nothing waits any more."""
    ids = [await unsure(site, f"k{number}") for number in range(3)]
    async with chromium(tmp_path / "profile") as browser:
        page = await opened(browser, site)
        await page.open(f"{site.url}/console/triage")
        for key, id_ in zip("210", ids, strict=True):
            assert id_ in await page.run("document.querySelector('form.card').action")
            page.expect()
            await page.press(key)
            await page.loaded()
        assert "Nothing waits" in await page.run("document.querySelector('main').innerText")

    async def with_whom(id_):
        return (await site.store.read(lambda c: decisions.in_force(c, id_))).department

    assert [await with_whom(id_) for id_ in ids] == ["meals", "buses", "office"]


async def test_a_key_typed_into_a_field_routes_nothing(site, tmp_path):
    """Who writes, or holds a modifier, presses no button."""
    id_ = await unsure(site, "k1")
    async with chromium(tmp_path / "profile") as browser:
        page = await opened(browser, site)
        await page.open(f"{site.url}/console/triage")
        await page.run("const field = document.createElement('input'); document.body.append(field); field.focus()")
        await page.press("1")
        assert await page.run("document.activeElement.value") == "1"
        present = await site.store.read(lambda c: decisions.in_force(c, id_))
        assert present.department == "office"


@pytest.mark.parametrize(("width", "dark"), [(320, False), (320, True), (1200, False), (1200, True)])
async def test_pages_fit_and_frames_stay_shut(site, tmp_path, width, dark):
    """Nothing is wider than the screen, every field and button has a name, and axe-core finds no serious fault."""
    long = "Donaudampfschifffahrtsgesellschaft" * 6
    id_ = await unsure(
        site, "k1", subject=long, attachments=(Attachment(name=f"{long}.pdf", content_type="x", size=9),)
    )
    async with chromium(tmp_path / "profile") as browser:
        page = await opened(browser, site, width=width, dark=dark)
        for name, path in (("message", f"messages/{id_}"), ("triage", "triage"), ("why", f"messages/{id_}/why")):
            await page.open(f"{site.url}/console/{path}")
            await page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert await page.run("document.documentElement.scrollWidth") <= width, path
            assert await page.run(UNNAMED) == 0, path
            if PICTURES:
                await page.picture(Path(PICTURES) / f"{name}-{width}{'-dark' if dark else ''}.png")
            assert await faults(page) == [], path
