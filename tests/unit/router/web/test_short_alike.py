"""A post the short way and aiohttp's: the same bytes give the same answer, and the same message is stored."""

from __future__ import annotations

import gzip
import json
import re
from functools import partial

import pytest
from aiohttp import web

from router.errors import StoreBroken, StoreBusy, TooLarge
from tests.unit.router.web.site import LogLines
from tests.unit.router.web.ways import FIELDS, JSON, PAIRS, PLAIN, a_form, comparable, form, post, row, site, token

CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(form()), form().encode())
PART = b'--b\r\nContent-Disposition: form-data; name="message"\r\n\r\nLate\r\n--b--\r\n'
SHORT = {
    "form": (PLAIN, 303),
    "form in Spanish": (post(form(), PAIRS, "Accept-Language: es"), 303),
    "with a query": (post(form(), line="POST /forms/contact?lang=es HTTP/1.1"), 303),
    "JSON": (post(json.dumps(FIELDS), JSON), 202),
    "JSON of a charset": (post(json.dumps(FIELDS), "Application/JSON; charset=utf-8"), 202),
    "beyond ASCII": (post(form(message="Mañana — ¡sí! 🚌", name="José Núñez")), 303),
    "another charset": (post("message=ma%F1ana&phone=5555550123", f"{PAIRS}; charset=iso-8859-1"), 303),
    "percent signs that are none": (post("message=100%+%zz+%4&email=a%40b.example&x=%"), 303),
    "raw equals signs": (post("message=a=%41=b&email=a%40b.example"), 303),
    "CR, LF and NUL": (post(form(message="a\r\nb\0c\rd", name="Ana\r\nBcc: x@y.example")), 303),
    "names with escapes": (post("m%65ssage=Late&emai%6c=a@b.example&message=twice"), 303),
    "an empty form": (post(""), 422),
    "no message": (post(form(message=None)), 422),
    "no message, asked for JSON": (post(form(message=None), PAIRS, "Accept: application/json"), 422),
    "no message in JSON": (post('{"email": "ana@example.org"}', JSON), 422),
    "not text in JSON": (post('{"email": 7, "message": "x"}', JSON), 422),
    "a long message": (post(form(message="x" * 20_001)), 422),
    "broken JSON": (post('{"message": ', JSON), 400),
    "a JSON list": (post("[1]", JSON), 400),
    "too many fields": (post("&".join(f"a{number}=1" for number in range(200))), 400),
    "a trap was filled in": (post(form(leave_blank="x")), 303),
    "a form opened just now": (post(form(form_token=token(0))), 303),
    "a form opened a minute ago": (post(form(form_token=token(60))), 303),
    "a forged token": (post(form(form_token="k1.forged.x")), 303),
    "a key of the client's": (post(form(), PAIRS, "Idempotency-Key: 7"), 303),
    "from another site": (post(form(), PAIRS, "Sec-Fetch-Site: cross-site"), 303),
    "from another origin": (post(form(), PAIRS, "Origin: https://elsewhere.example"), 303),
    "a coding nobody knows": (post(form(), PAIRS, "Content-Encoding: rot13"), 303),
    "folded like a proxy's": (post(form(), PAIRS, "X-Forwarded-For: 10.0.0.1, 10.0.0.2", "Cookie: a=b"), 303),
}
LONG = {
    "no type": (post(form(), ""), 415),
    "text": (post(form(), "text/plain"), 415),
    "multipart": (post(PART, "multipart/form-data; boundary=b"), 422),
    "HTTP/1.0": (post(form(), line="POST /forms/contact HTTP/1.0"), 303),
    "HTTP/1.0, kept": (post(form(), PAIRS, "Connection: keep-alive", line="POST /forms/contact HTTP/1.0"), 303),
    "to be closed": (post(form(), PAIRS, "Connection: close"), 303),
    "expecting": (post(form(), PAIRS, "Expect: 100-continue"), 303),
    "upgrading": (post(form(), PAIRS, "Connection: upgrade", "Upgrade: websocket"), 303),
    "chunked": (post(CHUNKED, PAIRS, "Transfer-Encoding: chunked"), 303),
    "compressed": (post(gzip.compress(form().encode(), mtime=0), PAIRS, "Content-Encoding: gzip"), 303),
    "more than a text": (post(b"message=" + b"x" * 1_100_000), 413),
    "absolute": (post(form(), line="POST http://h/forms/contact HTTP/1.1"), 303),
    "escaped path": (post(form(), line="POST /forms/c%6fntact HTTP/1.1"), 303),
    "put": (post(form(), line="PUT /forms/contact HTTP/1.1"), 405),
    "below the form": (post(form(), line="POST /forms/contact/x HTTP/1.1"), 303),
}
NOBODY = {  # no form hears of these
    "expecting too much": (post(form(), PAIRS, "Expect: 200-ok"), 417),
    "another path": (post(form(), line="POST /forms/other HTTP/1.1"), 404),
    "two lengths": (post(form(), PAIRS, "Content-Length: 1"), 400),
    "a length and chunks": (post(CHUNKED, PAIRS, "Transfer-Encoding: chunked", length=5), 400),
    "a negative length": (post(form(), length=-1), 400),
    "no host": (PLAIN.replace(b"Host: h\r\n", b""), 400),
    "no HTTP": (b"\x16\x03\x01\x02\x00" * 40 + b"\r\n\r\n", 400),
    "a blank before a colon": (PLAIN.replace(b"Host:", b"Host :"), 400),
    "a folded header": (PLAIN.replace(b"Host: h", b"Host: h\r\n x"), 400),
    "a long header": (post(form(), PAIRS, "X: " + "y" * 9000), 400),
}


def cases(table, way):
    """Return a table as pytest takes parameters."""
    return [pytest.param(request, status, way, id=name) for name, (request, status) in table.items()]


@pytest.mark.parametrize(
    ("request_", "status", "way"), [*cases(SHORT, ["short"]), *cases(LONG, ["long"]), *cases(NOBODY, [])]
)
async def test_both_ways_give_the_same_answer_and_the_same_row(request_, status, way):
    """A request in one segment and in two: the same status, headers and body, and the same message is accepted."""
    other = a_form()
    if request_.endswith(b"\r\n\r\n"):  # without a body it is there at once, however it is cut
        other.at_once = frozenset()
    async with site() as whole, site(webhook=other) as cut:
        said, also = await whole.answers(request_), await cut.answers(request_[:-1], request_[-1:])
        rows, others = [[row(each) for each in one.intake.taken.values()] for one in (whole, cut)]
    final = re.sub(rb"^HTTP/1.1 100 Continue\r\n\r\n", b"", said)
    assert int(final[9:12]) == status
    assert comparable(said) == comparable(also)
    assert rows == others
    assert (len(rows) == 1) == (status in (202, 303))
    assert whole.webhook.ways == way
    assert cut.webhook.ways == ["long" for _ in way]


async def test_it_may_be_cut_anywhere():
    """Wherever a request is cut in two, it is answered alike, and accepted once; in its body, it goes the long way."""
    request = post(form(message="Late"), PAIRS, "Accept: text/html")
    async with site() as at:
        said = comparable(await at.answers(request))
        places = range(1, len(request), 3)
        for place in places:
            assert comparable(await at.answers(request[:place], request[place:])) == said
        assert len(at.intake.taken) == len(at.webhook.ways) == len(places) + 1
        short = 1 + sum(place <= request.index(b"\r\n\r\n") + 4 for place in places)
        assert at.webhook.ways == ["short"] * short + ["long"] * (len(at.webhook.ways) - short)


@pytest.mark.parametrize("headers", [[], ["Accept: application/json"]])
@pytest.mark.parametrize(
    "failure",
    [
        partial(StoreBusy, "disk full"),
        partial(StoreBroken, "gone"),
        partial(TooLarge, "the message is larger than 25 MB"),
        partial(RuntimeError, "secret"),
        partial(web.HTTPSeeOther, "/elsewhere"),
        web.HTTPTooManyRequests,
        ConnectionRefusedError,
        TimeoutError,
    ],
    ids=lambda failure: getattr(failure, "func", failure).__name__,
)
async def test_what_can_not_be_stored_is_refused_alike(failure, headers):
    """An error of `accept` has the same answer and the same log line on both ways, Retry-After too."""
    request, logs = post(form(), PAIRS, *headers), [LogLines(), LogLines()]
    async with site(failure(), log=logs[0]) as whole, site(failure(), log=logs[1]) as cut:
        said = await whole.answers(request)
        assert comparable(said) == comparable(await cut.answers(request[:-1], request[-1:]))
        assert (whole.webhook.ways, cut.webhook.ways) == (["short"], ["long"])
        assert comparable(await whole.answers(PLAIN)).startswith(b"HTTP/1.1 303")  # and it goes on
    assert (b"\r\nRetry-After: 10\r\n" in said) == (getattr(failure, "func", None) in (StoreBusy, StoreBroken))
    lines = [[(event, facts.get("error"), facts.get("route")) for event, facts in log.lines] for log in logs]
    assert lines[0] == lines[1]


class Taking:
    """A webhook that answers what it is posted as it is told to."""

    at_once = frozenset({PAIRS})

    def __init__(self, **answer):
        self._answer = answer

    async def handle(self, request, _accept):
        """Take the words."""
        assert await request.text() == "words"
        return web.Response(**self._answer)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 202, "body": b'{"reference": "X"}', "content_type": "application/json"},
        {"status": 303, "headers": {"Location": "/forms/contact?receipt=X"}},
        {"status": 303, "headers": {"Location": "/x", "Cache-Control": "private"}},
        {"status": 303, "reason": "Because", "headers": {"Location": "/x"}},
        {"status": 202, "text": "señor"},
        {"status": 202},
        {"status": 200, "text": "x" * 300_000},
        {"status": 422, "text": "no"},
    ],
)
async def test_whatever_a_form_answers_looks_the_same(answer):
    """An answer that is written in one piece, and one that isn't, carry what aiohttp and the site say on every one."""
    request = post("words")
    async with site(webhook=Taking(**answer)) as at:
        said = await at.answers(request)
        assert comparable(said) == comparable(await at.answers(request[:-1], request[-1:]))
        assert len(re.findall(rb"\r\nDate: ", said)) == 2
    assert b"\r\nContent-Security-Policy: default-src 'none'" in said
    assert b"\r\nServer: Signpost\r\n" in said
