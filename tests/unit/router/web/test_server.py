"""The web application as a whole: what is mounted where, and what holds for every answer."""

from __future__ import annotations

import asyncio
import re

import pytest
from aiohttp import web

from router.errors import Conflict, Malformed, NotAuthentic, NotFound, StoreBroken, StoreBusy, TooLarge
from router.records import Receipt
from router.testing import until, within
from router.web.refusals import trace
from router.web.requests import read_form
from tests.unit.router.web.site import Form, LogLines, built, channel, serving

SECRET = "what the family wrote"


async def store_it(_inbound):
    """Take a message in."""
    return Receipt(message_id="0123456789AB")


async def test_every_answer_carries_the_security_headers(sqlite_store):
    """Pages, refusals, files and health all forbid scripts, frames, sniffing and referrers."""
    async with serving(sqlite_store) as client:
        for path in ("/", "/livez", "/no-such-page", "/static/site.css", "/m/forged"):
            answer = await client.get(path)
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'")
            assert "script-src" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "aiohttp" not in answer.headers["Server"]


async def test_pages_are_never_stored_and_files_are(sqlite_store):
    """A page says no-store; a file of the look may be kept, for a year under the address that pages use."""
    async with serving(sqlite_store) as client:
        page = await client.get("/")
        assert page.headers["Cache-Control"] == "no-store"
        address = (await page.text()).split('rel="stylesheet" href="')[1].split('"')[0]
        file = await client.get(address)
        assert (file.status, file.content_type) == (200, "text/css")
        assert "immutable" in file.headers["Cache-Control"]
        plain = await client.get("/static/site.css", headers={"If-None-Match": file.headers["ETag"]})
        assert plain.status == 304
        assert "immutable" not in plain.headers["Cache-Control"]


async def test_the_district_s_colour(sqlite_store):
    """It is a style sheet of its own that every page names, with a lighter like for the dark."""
    async with serving(sqlite_store, colour="#7a1f3d") as client:
        page = await (await client.get("/")).text()
        answer = await client.get(re.search(r'"(/static/look\.css\?v=\w+)"', page)[1])
        sheet = await answer.text()
    assert answer.content_type == "text/css"
    assert "--brand: #7a1f3d" in sheet
    assert "prefers-color-scheme: dark" in sheet


@pytest.mark.parametrize("path", ["/static/nothing.css", "/static/..%2fpages.py", "/static/%2e%2e/pages.py"])
async def test_only_files_of_the_look_are_served(sqlite_store, path):
    """No other name leads anywhere, least of all out of the folder."""
    async with serving(sqlite_store) as client:
        assert (await client.get(path)).status == 404


async def test_a_form_is_mounted_with_everything_below_it(sqlite_store):
    """A webhook answers at /forms/NAME or /webhooks/NAME and below; the first form answers at / too."""
    webhooks = {"line": (channel(), Form()), "contact": (channel("forms"), Form()), "more": (channel("forms"), Form())}
    async with serving(sqlite_store, webhooks=webhooks, accept=store_it) as client:
        for path in ("/", "/forms/contact", "/forms/contact/receipt/X", "/forms/more", "/webhooks/line"):
            assert await (await client.get(path)).text() == f"the form at {path}"
        assert (await client.get("/webhooks/contact")).status == 404
        posted = await client.post("/forms/contact", data=b"words")
        assert (posted.status, await posted.json()) == (202, {"reference": "0123456789AB"})
        assert (await client.post("/", data=b"words")).status == 405


class Taking:
    """A webhook that answers what it is posted as it is told to."""

    def __init__(self, **answer):
        self._answer = answer

    async def handle(self, request, accept):
        """Take the words."""
        assert await request.read() == b"words"
        return web.Response(**self._answer)


async def test_a_client_that_wants_to_close_is_told_so(sqlite_store):
    """HTTP/1.0 and `Connection: close` end the connection after the answer."""
    taking = Taking(status=303, headers={"Location": "/"})
    async with serving(sqlite_store, webhooks={"contact": (channel("forms"), taking)}) as client:
        for line in ("POST /forms/contact HTTP/1.0\r\n", "POST /forms/contact HTTP/1.1\r\nConnection: close\r\n"):
            reader, writer = await asyncio.open_connection(client.host, client.port)
            writer.write(f"{line}Host: h\r\nContent-Length: 5\r\n\r\nwords".encode())
            assert b" 303 See Other\r\n" in await within(reader.read())
            writer.close()


async def test_a_redirect_that_a_form_raises_is_followed(sqlite_store):
    """An error of aiohttp's that is no refusal stays what it is."""
    webhooks = {"contact": (channel("forms"), Form(web.HTTPSeeOther("/elsewhere")))}
    async with serving(sqlite_store, webhooks=webhooks) as client:
        answer = await client.post("/forms/contact", data=b"x", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/elsewhere")


async def test_head_works_where_get_does(sqlite_store):
    """HEAD answers like GET without the body, and a channel sees it as a GET."""
    form = Form()
    async with serving(sqlite_store, webhooks={"contact": (channel("forms"), form)}, accept=store_it) as client:
        for path in ("/", "/forms/contact", "/livez", "/readyz", "/metrics", "/static/site.css"):
            answer = await client.head(path)
            assert (answer.status, await answer.read()) == (200, b"")
    assert form.methods == ["GET", "GET"]


async def test_without_a_form_there_is_a_plain_page(sqlite_store):
    """A district without a contact form shows what runs here, its name escaped."""
    async with serving(sqlite_store) as client:
        text = await (await client.get("/")).text()
    assert "Maple &lt;Valley&gt; District" in text
    assert "<script" not in text


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (TooLarge("the message is larger than 25 MB"), 413, "The message is larger than 25 MB."),
        (Malformed("the form can't be read"), 400, "The form can"),
        (NotAuthentic("this signature is wrong"), 403, "This signature is wrong."),
        (NotFound("there is no message X"), 404, "There is no message X."),
        (Conflict("it has moved on"), 409, "It has moved on."),
        (StoreBusy("disk full"), 503, "Nothing was stored"),
        (StoreBroken("gone"), 503, "Nothing was stored"),
        (web.HTTPUnsupportedMediaType(text="send a form, please"), 415, "Send a form, please."),
        (web.HTTPTooManyRequests, 429, "Too Many Requests."),
        (RuntimeError(SECRET), 500, "The mistake is ours"),
    ],
)
async def test_an_error_becomes_its_status_and_a_sentence(sqlite_store, error, status, words):
    """People get a page, programs JSON, both with the same sentence."""
    webhooks = {"contact": (channel("forms"), Form(error))}
    async with serving(sqlite_store, webhooks=webhooks) as client:
        page = await client.post("/forms/contact", data=b"x", headers={"Accept": "text/html"})
        assert (page.status, page.content_type) == (status, "text/html")
        assert words.replace("'", "&#39;") in await page.text()
        data = await client.post("/forms/contact", json={})
        assert data.status == status
        assert words in (await data.json())["error"]
        assert ("Retry-After" in data.headers) == (status == 503)


async def test_an_unknown_error_is_logged_without_its_words(sqlite_store):
    """The traceback says where, but not what: an error's text may quote a message."""
    log = LogLines()
    webhooks = {"contact": (channel("forms"), Form(RuntimeError(SECRET)))}
    async with serving(sqlite_store, webhooks=webhooks, log=log) as client:
        await client.post("/forms/contact", data=b"x")
    [(event, facts)] = log.lines
    assert (event, facts["error"], facts["route"]) == ("request_failed", "RuntimeError", "/forms/contact")
    assert "in handle" in facts["trace"]
    assert SECRET not in str(facts)


def test_a_traceback_names_its_causes():
    """An error's cause is told, again without its words."""
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as cause:
            raise RuntimeError(SECRET) from cause
    except RuntimeError as error:
        told = trace(error)
    assert told.startswith("RuntimeError")
    assert "caused by ValueError" in told
    assert SECRET not in told


async def test_unknown_pages_and_methods_look_like_the_rest(sqlite_store):
    """404 and 405 are pages with a sentence; 405 says what is allowed."""
    async with serving(sqlite_store) as client:
        missing = await client.get("/wp-login.php")
        assert missing.status == 404
        assert "<h1>Not found</h1>" in await missing.text()
        wrong = await client.delete("/livez")
        assert wrong.status == 405
        assert "GET" in wrong.headers["Allow"]


async def test_too_much_is_refused_before_it_is_read(sqlite_store):
    """A body beyond the limit gets 413 and no channel sees it."""
    webhook, form = Form(), Form()
    webhooks = {"line": (channel(), webhook), "contact": (channel("forms"), form)}
    async with serving(sqlite_store, webhooks=webhooks, accept=store_it) as client:
        answer = await client.post("/webhooks/line", data=b"x" * 10_001)
        assert answer.status == 413
        assert webhook.methods == []
        chunked = await client.post("/webhooks/line", data=_chunks(20))
        assert chunked.status == 413


async def test_a_form_was_refused_before_it_could_keep_what_was_typed(sqlite_store):
    """A family's form sees a body of any length itself: only so it can come back with what was typed."""
    form = Form()
    async with serving(sqlite_store, webhooks={"contact": (channel("forms"), form)}, accept=store_it) as client:
        assert (await client.post("/forms/contact", data=b"x" * 10_001)).status == 413  # here aiohttp's own limit
    assert form.methods == ["POST"]


class Waiting:
    """A webhook that reads what it is sent, and says how that ended."""

    def __init__(self):
        self.reading, self.error = asyncio.Event(), None

    async def handle(self, request, _accept):
        """Read the whole body."""
        self.reading.set()
        try:
            await request.read()
        except ConnectionError as error:
            self.error = error
            raise


async def test_a_sender_who_left_was_logged_as_our_mistake(sqlite_store):
    """A connection that breaks off in the middle of an upload is no error of ours: one line for debugging."""
    log, webhook = LogLines(), Waiting()
    runner = web.AppRunner(built(sqlite_store, webhooks={"contact": (channel("forms"), webhook)}, log=log))
    await runner.setup()  # as the daemon does: the test server of aiohttp would cancel who isn't read any more
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(b"POST /forms/contact HTTP/1.1\r\nHost: d.example\r\nContent-Length: 100\r\n\r\nabc")
        await within(webhook.reading.wait())
        writer.close()
        await until(lambda: log.lines)
    finally:
        await runner.cleanup()
    assert log.lines == [("client_left", {"route": "/forms/contact"})]
    assert webhook.error is not None


async def test_a_broken_connection_of_ours_is_still_an_error(sqlite_store):
    """A database that can't be reached raises a ConnectionError too: while the sender waits, that is our mistake."""
    log = LogLines()
    webhooks = {"contact": (channel("forms"), Form(ConnectionRefusedError()))}
    async with serving(sqlite_store, webhooks=webhooks, log=log) as client:
        assert (await client.post("/forms/contact", data=b"x")).status == 500
    assert [event for event, _ in log.lines] == ["request_failed"]


class Impatient:
    """A webhook that gives a small form little time."""

    async def handle(self, request, _accept):
        """Read the form."""
        await read_form(request, 0.01)


async def test_a_form_that_never_ended_kept_its_connection_for_ever(sqlite_store):
    """A request that sends 3 of its 100 bytes and then nothing is answered with 408."""
    async with serving(sqlite_store, webhooks={"line": (channel(), Impatient())}) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        kind = b"Content-Type: application/x-www-form-urlencoded"
        writer.write(b"POST /webhooks/line HTTP/1.1\r\nHost: d\r\n" + kind + b"\r\nContent-Length: 100\r\n\r\na=b")
        assert (await within(reader.readline())).startswith(b"HTTP/1.1 408")
        writer.close()


async def _chunks(n):
    for _ in range(n):
        yield b"y" * 1000


async def test_search_engines_are_kept_out_of_all_but_the_form(sqlite_store):
    """Only the families' form may be found."""
    async with serving(sqlite_store) as client:
        assert "X-Robots-Tag" not in (await client.get("/")).headers
        assert "noindex" in (await client.get("/m/forged")).headers["X-Robots-Tag"]
