"""A small district's form, being served, and the family that fills it in."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from channels._mime import understand
from channels.web_form import CHANNEL, WebForm, WebFormSettings
from router.colours import DEFAULT
from router.records import Department, School
from router.signing import KeyRing
from router.testing import FakeClock, RecordingIntake
from router.testing_sinks import sample_context
from router.web.pages import Assets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from router.whereabouts import Whereabouts

FILLED = {"message": "The bus was late.", "email": "ana@example.org"}


def browser_part(name: str, body: bytes, filename: str | None = None) -> bytes:
    """Write one part as browsers do (WHATWG HTML, "multipart form data"): names are raw UTF-8."""
    disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    kind = "" if filename is None else "Content-Type: application/pdf\r\n"
    return f"--b\r\nContent-Disposition: {disposition}\r\n{kind}\r\n".encode() + body + b"\r\n"


class Known(dict):
    """How far messages are, by their reference, as a store would say."""

    async def get_later(self, reference: str) -> Whereabouts | None:
        """Return it."""
        return self.get(reference)


class Family:
    """A form being served, and what comes of it."""

    def __init__(
        self, http: TestClient, intake: RecordingIntake, clock: FakeClock, form: WebForm, known: Known
    ) -> None:
        self.http = http
        self.intake = intake
        self.clock = clock
        self.form = form
        self.known = known

    async def page(self, query: str = "", **headers: str) -> str:
        """Open the form and return the page."""
        answer = await self.http.get(f"/forms/contact{query}", headers=headers)
        assert answer.status == 200
        return await answer.text()

    async def token(self) -> str:
        """Open the form and return its hidden token."""
        return re.search(r'name="form_token" value="([^"]+)"', await self.page())[1]

    async def post(self, **fields: str) -> aiohttp.ClientResponse:
        """Post a filled-in form."""
        return await self.http.post("/forms/contact", data=FILLED | fields, allow_redirects=False)

    @property
    def taken(self):
        """What was accepted, in order."""
        return list(self.intake.taken.values())

    @property
    def text(self) -> str:
        """What the only message that was accepted says."""
        (inbound,) = self.taken
        return understand(inbound.original, inbound.facts, inbound.medium).text


@contextlib.asynccontextmanager
async def serving(
    *failures: Exception, prepare: Any = None, colour: str = DEFAULT, **settings: object
) -> AsyncIterator[Family]:
    """Serve a form of a small district; `prepare` is told of each answer before it goes, `colour` is the site's."""
    intake, clock, known = RecordingIntake(*failures), FakeClock(), Known()
    context = sample_context(
        name="contact",
        clock=clock,
        signer=KeyRing([("k1", "secret")], "mail secret"),
        departments=(Department(id="transportation", name="Transportation"), Department(id="office", name="Office")),
        schools=(School(id="lincoln", name="Lincoln Elementary", aliases=("LES",)),),
        fallback="office",
        whereabouts=known.get_later,
    )
    form = CHANNEL.webhook(WebFormSettings.model_validate(settings), context)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await form.handle(request, intake.accept)

    application = web.Application()
    if prepare:
        application.on_response_prepare.append(prepare)
    application.router.add_route("*", "/forms/contact", handle)
    application.router.add_route("*", "/forms/contact/{tail:.*}", handle)
    application.router.add_get("/static/{name}", Assets(colour).serve)
    application.router.add_get("/", form.page)
    async with TestClient(TestServer(application)) as http:
        yield Family(http, intake, clock, form, known)
