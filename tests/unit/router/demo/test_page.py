"""The demo's pages: what they show, whom they answer, and what their buttons do."""

from __future__ import annotations

import asyncio
import re

import pytest
from sqlalchemy import func, select

from router.errors import SignpostError
from router.learning.verdicts import Verdict
from router.records import CorrectionState
from router.store import corrections, models
from router.store.tables import metadata
from router.testing import FakeClock, until

PAGES = ("/demo", "/demo/messages/X", "/demo/mail", "/demo/mail/buses", "/demo/corrections", "/demo/models")
BUTTONS = ("/demo/corrections/confirm", "/demo/corrections/withdraw", "/demo/models/retrain", "/demo/models/rollback")
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>"
BODY = re.compile(r'<iframe src="([^"]+)"')


async def text_of(client, path, status=200):
    """Get a page and return its text."""
    answer = await client.get(path)
    assert answer.status == status
    return await answer.text()


async def press(client, path, headers=None, **form):
    """Press a button and return the response, following no redirect."""
    return await client.post(path, data=form, headers=headers, allow_redirects=False)


async def flagged(client, district, deliver):
    """Send a message on by the link in its mail; return the correction."""
    message_id = await deliver()
    page = await text_of(client, f"/demo/messages/{message_id}")
    mail = await text_of(client, BODY.search(page)[1])
    link = re.search(r'href="https://d\.example(/m/[^"]+)"', mail)[1]
    assert (await press(client, link, department="meals")).status == 303
    [said] = await district.store.read(lambda c: corrections.of_message(c, message_id))
    return said


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example:8080"},
        {"Host": "127.0.0.1.evil.example"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Host": "[::"},
    ],
)
async def test_strangers_get_nothing(client, headers):
    """A rebound name or a proxied request is refused by every page and button; the families' pages still answer."""
    for path in PAGES:
        assert (await client.get(path, headers=headers)).status == 403
    for path in BUTTONS:
        assert (await press(client, path, headers)).status == 403
    assert (await client.get("/", headers=headers)).status == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080"])
async def test_this_machine_goes_by_several_names(client, host):
    """Loopback names and addresses are this machine."""
    assert (await client.get("/demo", headers={"Host": host})).status == 200


async def test_the_list_shows_where_and_why(client, deliver):
    """A line has the department's name, the confidence and the reason; the newest comes first."""
    first = await deliver("buses are late")
    second = await deliver("meals are cold")
    text = await text_of(client, "/demo")
    assert text.index(second) < text.index(first)
    for words in (
        "<strong>Buses</strong>",
        "90%",
        "The wording",
        "<strong>2</strong> received",
        "2</strong> delivered",
    ):
        assert words in text
    only = await text_of(client, "/demo?department=meals")
    assert second in only
    assert first not in only


async def test_the_list_renews_itself_until_paused(client):
    """The page refreshes every few seconds without a script; the pause link stops that."""
    assert '<meta http-equiv="refresh"' in await text_of(client, "/demo")
    assert '<meta http-equiv="refresh"' not in await text_of(client, "/demo?paused=yes")
    assert "Nothing has come in yet" in await text_of(client, "/demo")


async def test_the_live_page_closed_what_a_newcomer_had_opened(client, deliver):
    """While the list renews itself, how to send is a link to a page that stands still with it open."""
    empty = await text_of(client, "/demo")
    assert '<details class="card how" open>' in empty
    await deliver("buses are late")
    live = await text_of(client, "/demo?department=buses")
    assert "<details" not in live
    link = re.search(r'<a href="([^"]+)">Send a message', live)[1].replace("&amp;", "&")
    still = await text_of(client, link)
    assert '<details class="card how" open>' in still
    assert "http-equiv" not in still
    assert "department=buses" in link
    assert '<details class="card how">' in await text_of(client, "/demo?paused=yes")


async def test_tables_and_meters_said_nothing_to_a_screen_reader(client, deliver):
    """On a narrow screen rows are no table for the browser, so roles say it; a meter has its percentage beside it."""
    message_id = await deliver("buses are late")
    for path in ("/demo", f"/demo/messages/{message_id}", "/demo/mail/buses"):
        text = await text_of(client, path)
        for tag, role in (("table", "table"), ("tr", "row"), ("th", "columnheader"), ("td", "cell")):
            tags = re.findall(rf"<{tag}\b[^>]*>", text)
            assert tags
            assert all(f'role="{role}"' in found for found in tags)
        assert all('aria-hidden="true"' in found for found in re.findall(r"<meter[^>]*>", text))


async def test_older_messages_are_a_page_away(client, district):
    """Beyond fifty messages a link leads to the older ones."""
    clock = district.store.clock = FakeClock()
    ids = []
    for n in range(52):
        clock.advance(1.0)  # ids are ordered by time, to a sixteenth of a second
        ids.append(await district.accept(f"buses {n}"))
    text = await text_of(client, "/demo")
    older = re.search(r'<a href="([^"]+)">Older', text)[1]
    assert ids[51] in text
    text = await text_of(client, older)
    assert ids[0] in text
    assert ids[51] not in text
    assert "Older" not in text


async def test_a_message_is_shown_with_its_mail_in_a_frame(client, deliver):
    """The page shows what was decided and frames the mail, which may do nothing but be read and clicked."""
    message_id = await deliver(f"buses {MARKUP}")
    answer = await client.get(f"/demo/messages/{message_id}")
    text = await answer.text()
    assert "frame-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "allow-scripts" not in text
    assert "allow-same-origin" not in text
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "onerror=alert(1)>" not in text

    mail = await client.get(BODY.search(text)[1])
    policy = mail.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-popups")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    body = await mail.text()
    assert '<base target="_blank">' in body
    assert "<script" not in body
    assert "Not yours? Send it on" in body


async def test_after_a_move_the_present_mail_is_shown(client, district, deliver):
    """The message's page frames the mail of the department that has it now, and lists the other one."""
    said = await flagged(client, district, deliver)
    await district.dispatch()
    rows = metadata.tables["deliveries"]
    to_box = rows.update().where(rows.c.department == "meals").values(to="meals", state="waiting", owner=None)
    await district.store.write(lambda c: c.execute(to_box))
    await district.dispatch()
    text = await text_of(client, f"/demo/messages/{said.message_id}")
    assert BODY.search(text)[1].startswith("/demo/mail/meals/")
    assert "/demo/mail/buses/" in text
    assert "holds now" in text


async def test_mailboxes_are_listed_and_opened(client, deliver):
    """Each mailbox lists its mails with sender and subject; a mail leads back to its message."""
    message_id = await deliver()
    assert "1 mail<" in await text_of(client, "/demo/mail")
    box = await text_of(client, "/demo/mail/buses")
    mail = await text_of(client, re.search(r'href="(/demo/mail/buses/signpost\.[0-9a-f]{32})"', box)[1])
    assert f"/demo/messages/{message_id}" in mail
    assert "X-Signpost-Department" in mail


@pytest.mark.parametrize(
    "path",
    [
        "/demo/messages/nothing",
        "/demo/mail/nobody",
        "/demo/mail/..%2f..",
        "/demo/mail/buses/signpost.x",
        "/demo/mail/buses/..%2f..%2fsignpost.db/body",
    ],
)
async def test_what_is_not_there_is_not_found(client, deliver, path):
    """Wrong ids, boxes and names get 404 and nothing else."""
    await deliver()
    await text_of(client, path, 404)


async def test_looking_changes_nothing(client, district, deliver):
    """GET and HEAD of every page leave every table as it was."""
    await deliver()

    def count(connection):
        return [
            connection.execute(select(func.count()).select_from(table)).scalar() for table in metadata.sorted_tables
        ]

    before = await district.store.read(count)
    for path in PAGES:
        await client.get(path)
        await client.head(path)
    for path in BUTTONS:
        assert (await client.get(path)).status == 405
    assert await district.store.read(count) == before


async def test_a_flag_is_confirmed_and_withdrawn_here(client, district, deliver):
    """A flag from the mail's link is listed; its buttons settle it, and pressing twice is pressing once."""
    said = await flagged(client, district, deliver)
    assert "proposed" in await text_of(client, "/demo/corrections")
    for button, state in (("confirm", CorrectionState.CONFIRMED), ("withdraw", CorrectionState.WITHDRAWN)):
        for _ in range(2):
            answer = await press(client, f"/demo/corrections/{button}", correction=said.id)
            assert (answer.status, answer.headers["Location"]) == (303, "/demo/corrections")
        found = await district.store.read(lambda c: corrections.get(c, said.id))
        who = found.confirmed_by if state is CorrectionState.CONFIRMED else found.withdrawn_by
        assert (found.state, who) == (state, "demo")
    assert (await press(client, "/demo/corrections/confirm", correction=said.id)).status == 409


@pytest.mark.parametrize(("number", "status"), [("", 400), ("x", 400), ("²", 400), ("9" * 30, 400), ("999", 404)])
async def test_a_wrong_number_is_refused(client, number, status):
    """A correction that can't be, or isn't there, is answered with a sentence."""
    assert (await press(client, "/demo/corrections/confirm", correction=number)).status == status


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_another_site_presses_no_button(client, trainer, headers):
    """A form on another page, or one that hides where it stood, is refused."""
    for path in BUTTONS:
        assert (await press(client, path, headers, correction=1)).status == 403
    assert trainer.starts == 0


async def test_retraining_is_watched_and_its_result_shown(client, trainer):
    """The button starts one training; the page shows how far it is, renews itself, and then says what came of it."""
    for _ in range(2):
        assert (await press(client, "/demo/models/retrain")).status == 303
    await until(lambda: trainer.starts)
    text = await text_of(client, "/demo/models")
    assert "counting words" in text
    assert "25 %" in text
    assert '<meta http-equiv="refresh"' in text
    assert (await press(client, "/demo/models/rollback")).status == 409
    trainer.finish.set()
    assert "The new version serves." in await _when_done(client)
    assert trainer.starts == 1


@pytest.mark.parametrize(
    ("error", "words"), [(SignpostError("too little to learn from"), "Too little"), (RuntimeError("x"), "log says why")]
)
async def test_a_training_that_fails_says_so(client, trainer, error, words):
    """A failure is shown as a sentence, and the next training can start."""
    trainer.outcome = error
    trainer.finish.set()
    await press(client, "/demo/models/retrain")
    text = await _when_done(client)
    assert words in text
    assert 'class="notice wrong"' in text
    await press(client, "/demo/models/retrain")
    await _when_done(client)
    assert trainer.starts == 2


async def test_stopping_does_not_wait_for_a_training(client, trainer):
    """A training under way is cancelled when the web server stops (the fixture would hang)."""
    await press(client, "/demo/models/retrain")
    await until(lambda: trainer.starts)


async def test_going_back_says_which_version_serves(client):
    """The button goes back to the version before and says so."""
    assert (await press(client, "/demo/models/rollback")).status == 303
    assert "Version abc123 serves again." in await text_of(client, "/demo/models")


async def test_versions_are_listed_with_their_figures(client, district):
    """A version shows its state, its figures on held-out messages, and what the gate said."""
    verdict = Verdict(passed=True, sentence="No worse than <before>.")
    row = models.ModelRow(
        version="v1",
        type="linear",
        state=models.CHALLENGER,
        created_at=district.store.clock.now(),
        fingerprint="f",
        sha256="s",
        metrics={"held_out": {"accuracy": 0.873, "coverage": 0.8, "target_error": 0.15, "n": 285}},
        verdict=verdict.to_json(),
    )
    await district.store.write(lambda c: models.add(c, row, b""))
    text = await text_of(client, "/demo/models")
    for words in ("87%", "80%", "person, at 15% wrong", "285", "passed, doesn", "No worse than &lt;before&gt;."):
        assert words in text


async def _when_done(client):
    async with asyncio.timeout(20):
        while "http-equiv" in (text := await text_of(client, "/demo/models")):
            pass
    return text
