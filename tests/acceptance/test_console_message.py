"""A message's page over HTTP, with the real daemon: what each button does, and what it leaves behind."""

from __future__ import annotations

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import district, smtp_port, steer
from tests.acceptance.senders import by_smtp, mail
from tests.acceptance.staff import CONSOLE, add_account, sign_in

BUSES, MEALS = "buses@maple.example", "meals@maple.example"
UNSURE = "xyzzy plugh qwerty {}: it is about nothing in particular"


@pytest.fixture
async def desk(daemons, tmp_path, relay):
    """A running daemon with a console."""
    made = daemons(tmp_path, district(tmp_path, relay.port, console=CONSOLE))
    await made.start()
    return made


@pytest.fixture
async def people(desk):
    """Return a function that signs somebody in; all of them leave with the test."""
    signed_in = []

    async def arrive(email, role, *scope):
        await add_account(desk, email, role, *scope)
        signed_in.append(await sign_in(desk, email))
        return signed_in[-1]

    yield arrive
    for each in signed_in:
        await each.aclose()


async def written(desk, token, text):
    """Have a family write a mail, and return its message's id once nothing is under way."""
    await by_smtp(smtp_port(desk.configuration), mail(token, text))
    await desk.settled()
    rows = await desk.ask("messages", "list")
    return next(row["id"] for row in rows if row["subject"].startswith(token))


async def test_not_ours_is_one_click_and_can_be_undone_by_whoever_sent_it_on(desk, people, collector):
    """It leaves the sender's sight, arrives at the other desk, and comes back with Undo; each step is in the log."""
    id_ = await written(desk, "t1", f"The fork was missing, {steer('transportation')}")
    jo = await people("jo@maple.example", "staff", "--department", "transportation")
    page = await jo.get(f"/messages/{id_}")
    assert (page.status, "The fork was missing" in page.html) == (200, True)
    after = await jo.submit(page, "/send-on", to="food-services", note="lunch")
    assert after.path.startswith("/console/sent-on/")
    assert after.said == "Sent on to Food Services. Signpost can learn from it."
    assert (await jo.get(f"/messages/{id_}")).status == 404
    await until(lambda: collector.at(MEALS), 60, "the mail is at the other desk")
    [said] = await desk.ask("corrections", "list")
    assert (said["state"], said["via"], said["confirmed_by"], said["note"]) == (
        "confirmed", "console", "jo@maple.example", "lunch",
    )  # fmt: skip
    back = await jo.submit(after, "/undo")
    assert (back.path, back.said) == (f"/console/messages/{id_}", "Undone: it is with Transportation again.")
    assert [each["state"] for each in await desk.ask("corrections", "list")] == ["withdrawn"]
    log = await desk.ask("users", "log", "--about", f"message {id_}")
    assert [row["action"] for row in reversed(log)] == ["view_message", "send_on", "undo", "view_message"]


async def test_who_is_second_is_told_where_the_message_is_now(desk, people):
    """Two people with the same page before them: the second one's button changes nothing."""
    id_ = await written(desk, "t1", f"Hello, {steer('transportation')}")
    jo, kim = [await people(f"{name}@maple.example", "triage") for name in ("jo", "kim")]
    pages = [await each.get(f"/messages/{id_}") for each in (jo, kim)]
    await jo.submit(pages[0], "/send-on", to="food-services")
    after = await kim.submit(pages[1], "/send-on", to="technology")
    assert after.said == "Somebody else was faster: the message is with Food Services now."
    assert len(await desk.ask("corrections", "list")) == 1


async def test_hold_release_and_comments_do_what_they_say(desk, people):
    """A held message waits until it is released; a comment stands there until its writer takes it back."""
    id_ = await written(desk, "t1", f"Hello, {steer('transportation')}")
    kim = await people("kim@maple.example", "triage")
    page = await kim.get(f"/messages/{id_}")
    held = await kim.submit(page, "/hold")
    assert held.said.startswith("Held:")
    assert (await desk.status())["messages"]["held"] == 1
    released = await kim.submit(held, "/release")
    assert released.said.startswith("Released:")
    assert (await desk.settled())["messages"]["held"] == 0
    said = await kim.submit(await kim.get(f"/messages/{id_}"), "/comment", text="<b>Call</b> her mother")
    assert "&lt;b&gt;Call&lt;/b&gt; her mother" in said.html
    gone = await kim.submit(said, "/withdraw-comment")
    assert "Call" not in gone.html
    assert gone.said == "Your comment is taken back."


async def test_a_viewer_reads_and_changes_nothing(desk, people):
    """No form that changes anything is on the page, and such a form from elsewhere finds no address."""
    id_ = await written(desk, "t1", f"Hello, {steer('transportation')}")
    lee = await people("lee@maple.example", "viewer")
    page = await lee.get(f"/messages/{id_}")
    assert page.status == 200
    assert "/send-on" not in page.html
    csrf = page.form("/sign-out")[1]["csrf"]
    for what in ("send-on", "hold", "release", "retry", "comment"):
        answer = await lee.post(f"/console/messages/{id_}/{what}", {"csrf": csrf, "to": "technology", "text": "x"})
        assert answer.status == 404
    assert (await lee.get("/triage")).status == 404


async def test_files_are_kept_and_the_frame_has_a_policy_of_its_own(desk, people):
    """The original byte for byte, a file as bytes under a safe name, the formatted text sandboxed, words explained."""
    lines = (
        b"From: Ana <ana@home.example>", b"To: contact@maple.example", b"Subject: t9", b"Message-ID: <t9@h.example>",
        b"MIME-Version: 1.0", b"Content-Type: multipart/mixed; boundary=b", b"",
        b"--b", b"Content-Type: text/html", b"",
        b"<p onclick=x()>Late <b>bus</b></p>", b"--b", b"Content-Type: text/html; name=a.html",
        b"Content-Disposition: attachment; filename=\"../a.html\"", b"", b"<script>alert(1)</script>", b"--b--", b"",
    )  # fmt: skip
    original = b"\r\n".join(lines)
    await by_smtp(smtp_port(desk.configuration), original)
    await desk.settled()
    [row] = await desk.ask("messages", "list")
    ada = await people("ada@maple.example", "administrator")
    page = await ada.get(f"/messages/{row['id']}")
    assert 'sandbox=""' in page.html
    frame = await ada.get(f"/messages/{row['id']}/formatted")
    assert "<p>Late <b>bus</b></p>" in frame.html
    assert "sandbox" in frame.headers["Content-Security-Policy"]
    file = await ada.get(f"/messages/{row['id']}/files/0")
    assert file.data == b"<script>alert(1)</script>"
    assert file.headers["Content-Type"] == "application/octet-stream"
    assert file.headers["Content-Disposition"].startswith('attachment; filename="a.html"')
    assert (await ada.get(f"/messages/{row['id']}/files/1")).status == 404
    assert (await ada.get(f"/messages/{row['id']}/original")).data.endswith(original)
    assert "Words for (+) and against" in (await ada.get(f"/messages/{row['id']}/why")).html


async def test_triage_shows_one_after_the_other_until_nothing_waits(desk, people, collector):
    """The oldest first; a button sends it there as a confirmed label, or leaves it; Undo brings the last one back."""
    ids = [await written(desk, f"t{number}", UNSURE.format(number)) for number in range(3)]
    kim = await people("kim@maple.example", "triage")
    page = await kim.get("/triage")
    assert ("3 waiting" in page.html, ids[0] in page.html) == (True, True)
    page = await kim.submit(page, f"/triage/{ids[0]}", to="technology")
    assert page.said == f"{ids[0]}: Sent on to Technology. Signpost can learn from it."
    await until(lambda: collector.at("technology@maple.example"), 60, "it is at the desk")
    later = await kim.get(f"/triage?after={ids[1]}")
    assert f"/triage/{ids[2]}" in later.html
    page = await kim.submit(page, f"/triage/{ids[1]}", to="keep")
    assert page.said == f"{ids[1]}: Left with Front Office."
    page = await kim.submit(page, f"/triage/{ids[2]}", to="no-such-desk")
    assert page.said == "There is no department 'no-such-desk'."
    page = await kim.submit(page, f"/triage/{ids[2]}", to="enrollment")
    assert "Nothing waits for you" in page.html
    await kim.submit(page, "/undo")
    assert ids[2] in (await kim.get("/triage")).html
    assert {each["state"] for each in await desk.ask("corrections", "list")} == {"confirmed", "withdrawn"}
