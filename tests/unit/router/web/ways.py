"""A form behind a real front, and requests handed to a connection segment by segment: so each way can be chosen."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from channels.web_form import CHANNEL, WebForm, WebFormSettings
from router.records import Department
from router.settings import Address
from router.signing import KeyRing
from router.testing import FakeClock, RecordingIntake, until, within
from router.testing_sinks import sample_context
from router.web.front import Behind, Front
from tests.unit.router.web.site import built

RING = KeyRing([("k1", "secret")], "mail secret")
OPENED_MS = int(FakeClock().now().timestamp() * 1000)
END = b"GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
PAIRS, JSON = "application/x-www-form-urlencoded", "application/json"
FIELDS = {
    "name": "Ana Ruiz",
    "email": "ana@example.org",
    "subject": "Bus 12",
    "message": "The bus\nwas 100% late + wet.",
}
_VARYING = [  # what differs from one answer to the next in any case
    (rb"\r\nDate: [^\r]+", b""),
    (rb"receipt=[\w.=-]+", b"receipt=T"),
    (rb'(name="form_token" value=")[^"]+', rb"\1T"),
]


def post(body, kind=PAIRS, *more, line="POST /forms/contact HTTP/1.1", length=None):
    """Return the bytes of a post."""
    body = body if isinstance(body, bytes) else body.encode()
    head = [line, "Host: h", *([f"Content-Type: {kind}"] if kind else []), *more]
    if length is not None or not any(name.startswith("Transfer-Encoding") for name in more):
        head.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def form(**changes):
    """Return a filled-in form, urlencoded."""
    return urlencode({key: value for key, value in (FIELDS | changes).items() if value is not None})


def token(seconds_ago):
    """Return what a form carries that was opened so long ago."""
    return RING.sign(f"0123456789abcdef {OPENED_MS - 1000 * seconds_ago}", "form:contact")


PLAIN = post(form())


class Watched:
    """A form that notes by which way each request to it came."""

    at_once = WebForm.at_once

    def __init__(self, form):
        self._form = form
        self.ways = []

    async def handle(self, request, accept):
        """Note the way: there is no task on the short one."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        self.ways.append("long" if task else "short")
        return await self._form.handle(request, accept)


class Site:
    """A front with a form behind it, connections to it, and what was accepted."""

    def __init__(self, front, port, webhook, intake):
        self.front, self.port = front, port
        self.webhook, self.intake = webhook, intake

    async def connect(self):
        """Connect; return the front's end of the connection, at rest, and the client's streams."""
        before = set(self.front._runner.server.connections)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await until(lambda: set(self.front._runner.server.connections) - before)
        (connection,) = set(self.front._runner.server.connections) - before
        await until(lambda: connection._waiter)
        return connection, reader, writer

    async def answers(self, *segments):
        """Hand over segments, one after the other, and return all that is answered until the connection is closed."""
        connection, reader, writer = await self.connect()
        await hand(connection, *segments, END)
        said = await within(reader.read())
        writer.close()
        return said


async def hand(connection, *segments):
    """Hand over segments as the event loop does: outside any task."""
    handed = asyncio.get_running_loop().create_future()

    def hand_over():
        for segment in segments:
            connection.data_received(segment)
        handed.set_result(None)

    asyncio.get_running_loop().call_soon(hand_over)
    await handed


def a_form():
    """Return a form of a small district, whose clock stands still."""
    context = sample_context(
        name="contact",
        clock=FakeClock(),
        signer=RING,
        departments=(Department(id="transportation", name="Transportation"), Department(id="office", name="Office")),
        fallback="office",
    )
    return Watched(CHANNEL.webhook(WebFormSettings(), context))


@asynccontextmanager
async def site(*failures, webhook=None, accept=None, patience_s=5.0, **more):
    """Serve a form at /forms/contact, without a store; `failures` are raised by `accept`, one per call."""
    webhook, intake = webhook or a_form(), RecordingIntake(*failures)
    behind = Behind(built(None, webhooks={"contact": (CHANNEL, webhook)}, accept=accept or intake.accept, **more))
    await behind.prepare()
    front = Front(patience_s)
    front.use(behind)
    listening = await front.listen(Address("127.0.0.1", 0))
    try:
        yield Site(front, listening.port, webhook, intake)
    finally:
        await front.aclose()
        await within(behind.finish())


def comparable(said):
    """Return answers without what differs anyway, the headers of each in an order."""
    for pattern, instead in _VARYING:
        said = re.sub(pattern, instead, said)
    return re.sub(rb"(HTTP/1\.[01] [^\r]*\r\n)(.*?)\r\n\r\n", _in_order, said, flags=re.DOTALL)


def _in_order(head):
    return head[1] + b"\r\n".join(sorted(head[2].split(b"\r\n"))) + b"\r\n\r\n"


def row(inbound):
    """Return what is stored of a message, without the key by which a form tells two of the same words apart."""
    original = re.sub(rb"<form\.[0-9a-f]{32}@", b"<form.K@", inbound.original)
    key = re.sub(r"^form:[0-9a-f]{32}\.", "form:V.", inbound.source_key)
    return (key, inbound.channel, inbound.medium, inbound.received_at, original, dict(inbound.facts))
