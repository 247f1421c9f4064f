"""The families' form over HTTP."""

from __future__ import annotations

from html import unescape
from html.parser import HTMLParser

import aiohttp
import pytest
from ruamel.yaml import YAML

from channels._form_body import TRAP_FIELD
from channels._form_pages import _FOLDER
from channels._mime import understand
from router.errors import StoreBusy, TooLarge
from tests.unit.channels.family import FILLED, browser_part, serving

SCRIPT = "<script>alert(1)</script>\"'&"


async def test_a_posted_form_is_taken_and_confirmed():
    """A filled-in form is accepted once, and its sender is shown a receipt with the reference."""
    async with serving() as family:
        token = await family.token()
        family.clock.advance(30)
        answer = await family.post(
            form_token=token, name="Ana Ruiz", phone="(555) 555-0123", topic="transportation", school="LES",
            subject="Bus 12", language="es",
        )  # fmt: skip
        assert answer.status == 303
        receipt = await (await family.http.get(answer.headers["Location"])).text()
    (inbound,) = family.taken
    assert "R1" in receipt
    assert "The bus" not in receipt
    assert dict(inbound.facts) == {
        "sender": "ana@example.org", "sender_name": "Ana Ruiz", "phone": "+15555550123", "subject": "Bus 12",
        "topic": "transportation", "school": "lincoln", "language": "es",
    }  # fmt: skip
    content = understand(inbound.original, inbound.facts, inbound.medium)
    assert (content.text, content.sender, content.subject) == ("The bus was late.", "ana@example.org", "Bus 12")


async def test_json_is_taken_with_a_reference():
    """A program posts the same fields as JSON and gets 202 with the reference."""
    async with serving() as family:
        answer = await family.http.post(
            "/forms/contact", json={"message": "Late", "phone": "555 555 0123", "name": None}
        )
        assert (answer.status, await answer.json()) == (202, {"reference": "R1"})
    assert dict(family.taken[0].facts) == {"sender": "+15555550123", "phone": "+15555550123"}


async def test_files_come_along():
    """Uploads of a browser's form are in the original, under safe names; an empty file field is none."""
    body = b"".join(browser_part(name, value.encode()) for name, value in FILLED.items())
    for name, data in {"../../note.pdf": b"%PDF", "": b"", "autobús.pdf": b"x" * 300_000, "a%22b.pdf": b""}.items():
        body += browser_part("files", data, name)
    async with serving() as family:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        posting = family.http.post("/forms/contact", data=body + b"--b--\r\n", headers=headers, allow_redirects=False)
        assert (await posting).status == 303
    content = understand(family.taken[0].original, {}, "web_form")
    files = [(item.name, item.size) for item in content.attachments]
    assert files[:2] == [("note.pdf", 4), ("autobús.pdf", 300_000)]
    assert content.text == FILLED["message"]


async def test_what_is_missing_is_said_and_nothing_is_lost():
    """An incomplete form comes back with linked errors and with everything that was typed."""
    async with serving() as family:
        answer = await family.http.post(
            "/forms/contact", data={"subject": SCRIPT, "phone": "12", "topic": "transportation"}
        )
        page = await answer.text()
    assert answer.status == 422
    assert '<a href="#message">Please write your message.</a>' in page
    assert 'aria-describedby="phone-error way-hint"' in page
    assert f'value="{SCRIPT}"' in unescape(page)
    assert '<option value="transportation" selected>' in page
    assert not family.intake.offered


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"email": "a@b.c"}, {"message"}),
        ({"message": "  \0 ", "email": "a@b.c"}, {"message"}),
        ({"message": "Late"}, {"email"}),
        ({"message": "Late", "email": "a@b", "phone": "x"}, {"email", "phone"}),
        ({"message": "Late", "email": "a b@c.d"}, {"email"}),
        ({"message": "x" * 20_001, "email": "a@b.c"}, {"message"}),
        ({"message": 7, "email": "a@b.c", "topic": ["x"]}, {"message", "topic"}),
    ],
)
async def test_json_errors_name_the_fields(fields: dict, errors: set[str]):
    """A program hears 422 with one sentence per field."""
    async with serving() as family:
        answer = await family.http.post("/forms/contact", json=fields)
        assert answer.status == 422
        assert set((await answer.json())["errors"]) == errors
    assert not family.intake.offered


async def test_a_double_click_is_one_message():
    """The same form posted twice gives the same reference; the same form with another text is another message."""
    async with serving() as family:
        token = await family.token()
        first, again = [await family.post(form_token=token) for _ in range(2)]
        changed = await family.post(form_token=token, message="And the driver was rude.")
        fresh = [await family.post() for _ in range(2)]  # without a token, two are two
    assert first.status == again.status == changed.status == 303
    assert len(family.taken) == 4
    assert len(fresh) == 2


async def test_programs_may_repeat_themselves():
    """The same JSON with the same Idempotency-Key gives the same reference."""
    async with serving() as family:
        posts = [
            await family.http.post("/forms/contact", json=FILLED, headers={"Idempotency-Key": key}) for key in "aab"
        ]
        assert [(await post.json())["reference"] for post in posts] == ["R1", "R1", "R2"]


@pytest.mark.parametrize(
    ("after_s", "fields", "words"),
    [
        (1, {}, "after the page was opened"),
        (90_000, {}, "more than 1d"),
        (30, {TRAP_FIELD: "http://spam.example"}, "don't see"),
        (30, {"form_token": "k1.forged"}, "signature"),
        (30, {}, ""),
    ],
)
async def test_suspicion_is_marked_and_nothing_dropped(after_s: float, fields: dict, words: str):
    """Too fast, too late, trapped or forged: the message is taken all the same, with a mark for people."""
    async with serving() as family:
        token = await family.token()
        family.clock.advance(after_s)
        assert (await family.post(**({"form_token": token} | fields))).status == 303
    marked = family.taken[0].facts.get("suspicion", "")
    assert words in marked
    assert bool(words) == bool(marked)


async def test_no_token_is_no_suspicion():
    """A post without a form's token, as programs send it, is marked only if the trap is filled in."""
    async with serving() as family:
        await family.post()
        await family.http.post("/forms/contact", json=FILLED | {TRAP_FIELD: "x"})
    assert ["suspicion" in inbound.facts for inbound in family.taken] == [False, True]


@pytest.mark.parametrize(
    ("settings", "files"),
    [({"max_files": 1}, [10, 10]), ({"max_file_bytes": 100}, [101]), ({"max_files_bytes": 150}, [100, 100])],
)
async def test_too_much_is_told_and_the_text_kept(settings: dict, files: list[int]):
    """Too many or too large files are refused with 413, in a page that still holds the message."""
    async with serving(**settings) as family:
        form = aiohttp.FormData(FILLED)
        for size in files:
            form.add_field("files", b"x" * size, filename="a.txt")
        answer = await family.http.post("/forms/contact", data=form)
        assert answer.status == 413
        assert "The bus was late." in await answer.text()
    assert not family.intake.offered


async def test_refusals_have_a_status_and_a_sentence():
    """Wrong types, too long texts, broken bodies and other methods are told apart."""
    async with serving() as family:
        post, path = family.http.post, "/forms/contact"
        kind = "Content-Type"
        answers = [
            await post(path, data=b"x", headers={kind: "text/plain"}),
            await post(path, data=b"message=" + b"x" * 1_000_001, headers={kind: "application/x-www-form-urlencoded"}),
            await post(path, data=b"{", headers={kind: "application/json"}),
            await post(path, data=b"[]", headers={kind: "application/json"}),
            await post(path, data=b"[" * 100_000, headers={kind: "application/json"}),
            await post(path, data=b"x", headers={kind: "multipart/form-data; boundary=b"}),
            await post(path, data=b"&".join([b"a=b"] * 200), headers={kind: "application/x-www-form-urlencoded"}),
            await family.http.delete(path),
        ]
        assert [answer.status for answer in answers] == [415, 413, 400, 400, 400, 400, 400, 405]
        assert (await answers[2].json())["error"]
    assert not family.intake.offered


async def test_a_busy_store_asks_to_try_again():
    """While the store is busy the form comes back with 503 and Retry-After, and the same form then gets in once."""
    async with serving(StoreBusy("busy"), StoreBusy("busy")) as family:
        token = await family.token()
        answer = await family.post(form_token=token)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        assert token in await answer.text()
        busy = await family.http.post("/forms/contact", json=FILLED)
        assert (busy.status, bool((await busy.json())["error"])) == (503, True)
        assert (await family.post(form_token=token)).status == 303
    assert len(family.taken) == 1


async def test_what_accept_refuses_is_told():
    """A refusal of the intake has its own status."""
    async with serving(TooLarge("It is too large.")) as family:
        assert (await family.post()).status == 413


async def test_hostile_text_reaches_no_header_and_no_page_as_markup():
    """Line breaks, NUL and markup in fields stay text, in the original as on the page."""
    async with serving() as family:
        hostile = {"subject": "x\r\nBcc: evil@x.y", "name": "a\0b\r\nX: y", "topic": SCRIPT}
        await family.post(message="\0" + SCRIPT + "\r\nline", **hostile)
        page = await (await family.http.post("/forms/contact", data=hostile | {"message": ""})).text()
        json_answer = await family.http.post("/forms/contact", json=FILLED | {"message": "lone \ud800"})
        assert json_answer.status == 202
    header = family.taken[0].original.partition(b"\r\n\r\n")[0]
    assert b"\nBcc" not in header
    assert b"\nX:" not in header
    assert understand(family.taken[0].original, {}, "web_form").text == SCRIPT + "\nline"
    assert "<script" not in page


async def test_receipts_are_ours():
    """A receipt page exists only for a reference that we signed as one."""
    async with serving() as family:
        token = await family.token()
        for forged in ("k1.x", "R1", token):
            assert (await family.http.get("/forms/contact", params={"receipt": forged})).status == 404


async def test_the_page_speaks_english_and_spanish():
    """The language is the one asked for, else the browser's, else the district's first; every text is in each."""
    async with serving() as family:
        assert '<html lang="es">' in await family.page("?lang=es")
        assert "Su mensaje" in await family.page(**{"Accept-Language": "fr, es-MX;q=0.8"})
        assert '<html lang="en">' in await family.page("?lang=xx")
        assert "Escriba su mensaje" in await (await family.http.post("/forms/contact?lang=es", data={})).text()
        assert (await family.http.get("/")).status == 200
    texts = YAML(typ="safe", pure=True).load(_FOLDER / "texts.yaml")
    assert len({frozenset(block) for block in texts.values()}) == 1


class Outline(HTMLParser):
    """The page's elements, for checks a screen reader's user would care about."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


async def test_the_page_can_be_used_by_everyone():
    """Every field has a label, personal ones can be filled in by the browser, and nothing needs a script."""
    async with serving() as family:
        page = Outline(await family.page())
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    labelled = {attributes["for"] for attributes in page.all("label")}
    fields = [
        attributes for attributes in page.all("input", "select", "textarea") if attributes.get("type") != "hidden"
    ]
    assert len(ids) == len(set(ids))
    assert {attributes["id"] for attributes in fields} == labelled
    completed = {attributes["name"]: attributes.get("autocomplete") for attributes in fields}
    assert (completed["name"], completed["email"], completed["phone"]) == ("name", "email", "tel")
    assert not page.all("script")
    assert not [attributes for _, attributes in page.elements if "style" in attributes or "onclick" in attributes]
    trap = next(attributes for attributes in fields if attributes["name"] == TRAP_FIELD)
    assert (trap["tabindex"], trap["autocomplete"]) == ("-1", "off")
    assert {"class": "trap", "aria-hidden": "true"} in page.all("div")
