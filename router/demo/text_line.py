"""The demo's simulated text line: a page on which one writes a text message as if from a telephone."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Annotated

from aiohttp import web
from pydantic import AfterValidator, Field

from channels._form_answers import e164
from channels._mime_compose import compose
from router.ids import normalise
from router.interfaces import Accept, Channel, Context, Settings
from router.records import Inbound, Medium
from router.web.pages import Pages
from router.web.requests import read_form

if TYPE_CHECKING:
    from datetime import datetime

_REGION = "US"
_MOST_CHARS = 1600  # what a concatenated text message carries at most, as at the usual providers
_KEY = re.compile(r"[0-9a-f]{32}")


def _number(value: str) -> str:
    number = e164(value, _REGION)
    if not number:
        raise ValueError("must be a telephone number")
    return number


class TextLineSettings(Settings):
    """Settings of the simulated text line."""

    number: Annotated[str, AfterValidator(_number)] = Field(
        "+15555550100", description="The number that people pretend to write to."
    )
    from_number: Annotated[str, AfterValidator(_number)] = Field(
        "+15555550111", description="The number that stands in the page's form at first."
    )


class TextLine:
    """GET shows the telephone, POST takes a text message in."""

    def __init__(self, settings: TextLineSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._pages = Pages(context.organization)
        self._path = f"/webhooks/{context.name}"

    async def handle(self, request: web.Request, accept: Accept) -> web.StreamResponse:
        """Answer a request; the message is on disk before the 303."""
        if request.method in ("GET", "HEAD"):
            return self._page(sent=normalise(request.query.get("sent", "")))
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["GET", "HEAD", "POST"])
        form = await read_form(request)
        text, typed = form.get("text", "").strip()[:_MOST_CHARS], form.get("phone", "").strip()[:40]
        phone = e164(typed, _REGION)
        if not text or not phone:
            wrong = "Please write something." if not text else "That isn't a telephone number."
            return self._page(status=422, wrong=wrong, phone=typed, text=text)
        receipt = await accept(self._inbound(form.get("key", ""), phone, text))
        self._context.on_proof()
        return web.Response(status=303, headers={"Location": f"{self._path}?sent={receipt.message_id}"})

    def _inbound(self, key: str, phone: str, text: str) -> Inbound:
        now = self._context.clock.now()
        key = key if _KEY.fullmatch(key) else secrets.token_hex(16)  # the page's key: a double click is one message
        return Inbound(
            source_key=key,
            channel=self._context.name,
            medium=Medium.SMS,
            received_at=now,
            original=self._original(key, phone, text, now),
            facts={"sender": phone, "phone": phone, "recipient": self._settings.number},
        )

    def _original(self, key: str, phone: str, text: str, now: datetime) -> bytes:
        fields = {"from": phone, "to": self._settings.number}
        return compose(text=text, date=now, message_id=f"text.{key}@simulated.invalid", fields=fields)

    def _page(
        self, *, status: int = 200, sent: str = "", wrong: str = "", phone: str = "", text: str = ""
    ) -> web.Response:
        return self._pages.response(
            "demo_text_line.html",
            status=status,
            path=self._path,
            text_line=self._path,
            number=self._settings.number,
            phone=phone or self._settings.from_number,
            key=secrets.token_hex(16),
            sent=sent,
            wrong=wrong,
            text=text,
            most=_MOST_CHARS,
        )


SIMULATED_TEXT_LINE = Channel(
    summary="The demo's telephone: text messages written on a page of this machine.",
    settings=TextLineSettings,
    webhook=TextLine,
)
