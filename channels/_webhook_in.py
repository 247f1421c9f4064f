"""Messages that a form tool or messaging provider posts: proved, mapped by pointers, and kept whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from aiohttp import web

from channels._form_answers import Answers, check, e164
from channels._form_body import WrongType
from channels._keywords import keyword_of
from channels._mime import Upload, compose
from channels._mime_fields import one_line
from channels._webhook_auth import NotSignedIn, check_before_body, check_signature
from channels._webhook_body import Body, is_parts, read_bytes, read_parts, understand
from channels._webhook_pointer import as_text, resolve
from router.errors import Malformed, NotAuthentic, Refused
from router.interfaces import mail_domain
from router.records import Inbound, Medium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from channels._webhook_settings import FieldSettings, WebhookSettings
    from router.interfaces import Accept, Context

_LONGEST_KEY = 300
_MOST_MESSAGES = 1000  # in one request
_TYPED = ("name", "email", "phone", "topic", "school", "subject", "language")


class Incoming:
    """POST /webhooks/NAME takes messages in; the answer is JSON: `{"references": [...]}`, or `{"error": …}`."""

    def __init__(self, settings: WebhookSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._path = f"/webhooks/{context.name}"

    async def handle(self, request: web.Request, accept: Accept) -> web.StreamResponse:
        """Answer one request; every message of it is on disk before the 200."""
        if self._settings.fields is None:
            raise web.HTTPNotFound(text="This channel only sends.")
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["POST"], text="Messages are posted to this address.")
        try:
            body = await self._authentic(request)
            inbounds = list(self._inbounds(body, self._settings.fields))
        except Refused as error:
            self._context.on_trouble(f"a request was refused: {error}")
            if not isinstance(error, NotSignedIn):
                raise
            headers = {"WWW-Authenticate": error.challenge}
            return web.json_response({"error": str(error)}, status=error.status, headers=headers)
        receipts = [await accept(inbound) for inbound in inbounds]
        self._context.on_proof()
        return web.json_response({"references": [receipt.message_id for receipt in receipts]})

    # --- is it the provider's? ----------------------------------------------------------------------------------------

    async def _authentic(self, request: web.Request) -> Body:
        """Return the body of a request that has proved itself; raise a `Refused` otherwise."""
        settings = self._settings
        place = settings.secret("secret")
        if place is None:
            raise NotAuthentic("this channel has no secret yet")
        secret = await asyncio.to_thread(place.read)
        tail = request.path.removeprefix(self._path).removeprefix("/")
        if tail and settings.authentication != "path":
            raise web.HTTPNotFound
        check_before_body(request, tail, settings, secret)
        if is_parts(request) and settings.hmac is None:
            return await read_parts(request)
        raw = await read_bytes(request)
        if settings.hmac is not None:
            check_signature(request, raw, settings.hmac, secret, self._context.clock.now())
        if is_parts(request):
            raise WrongType("a signed request has to be JSON or simple form fields")
        return understand(request.content_type, raw)

    # --- what does it say? --------------------------------------------------------------------------------------------

    def _inbounds(self, body: Body, fields: FieldSettings) -> Iterator[Inbound]:
        settings, now = self._settings, self._context.clock.now()
        items = [body.document] if settings.each is None else resolve(body.document, settings.each)
        if not isinstance(items, list) or len(items) > _MOST_MESSAGES:
            raise Malformed(f"there is no list of messages at {settings.each!r}")
        for number, item in enumerate(items):
            if any(as_text(resolve(item, pointer)) != value for pointer, value in settings.only.items()):
                continue
            found = {name: as_text(resolve(item, pointer)) for name, pointer in fields.model_dump().items() if pointer}
            if not any(value.strip() for name, value in found.items() if name != "id"):
                raise Malformed(f"none of the fields is there: look at what is sent, and at fields ({fields.message})")
            yield self._inbound(found, self._key(found.pop("id", ""), body.raw, number, now), body, now)

    def _key(self, given: str, raw: bytes, number: int, now: datetime) -> str:
        """Return the provider's id, else a hash: the same words on another day are another message."""
        key = one_line(given, _LONGEST_KEY + 1)
        if key and len(key) <= _LONGEST_KEY:
            return key
        seed = given.encode("utf-8", "replace") if key else raw + f"\0{number}\0{now:%Y-%m-%d}".encode()
        return f"sha256:{sha256(seed).hexdigest()}"

    def _inbound(self, found: dict[str, str], key: str, body: Body, now: datetime) -> Inbound:
        answers = self._answers(found)
        digest = sha256(f"{self._context.name}\0{key}".encode()).hexdigest()[:32]
        return Inbound(
            source_key=key,
            channel=self._context.name,
            medium=self._settings.medium,
            received_at=now,
            original=compose(
                text=answers.message,
                date=now,
                subject=answers.subject,
                sender=answers.email,
                sender_name=answers.name,
                message_id=f"hook.{digest}@{mail_domain(self._context.public_url)}",
                fields={
                    "form": self._context.name,
                    **{name: v for name, v in found.items() if v and name != "message"},
                },
                uploads=[Upload(_file_name(body), body.content_type, body.raw)],
            ),
            facts=self._facts(answers, found),
        )

    def _answers(self, found: dict[str, str]) -> Answers:
        """Return the fields, cleaned. What can't be right is left out of them, and stays in the original."""
        typed = {name: found.get(name, "") for name in (*_TYPED, "message")}
        answers, errors = check(typed, self._context, self._settings.region)
        phone = answers.phone
        if "phone" in errors and self._settings.medium is Medium.SMS:  # many providers leave the + out
            phone = e164(f"+{typed['phone'].strip()}", self._settings.region)
        return replace(answers, phone=phone, email="" if "email" in errors and answers.email else answers.email)

    def _facts(self, answers: Answers, found: dict[str, str]) -> dict[str, Any]:
        facts = answers.facts("")
        more = {"recipient": one_line(found.get("recipient", ""), 300)}
        if self._settings.medium is Medium.SMS:
            more["sender"] = answers.phone or one_line(found.get("phone", ""), 300) or answers.email
            more["keyword"] = keyword_of(answers.message)
        return facts | {name: value for name, value in more.items() if value}


def _file_name(body: Body) -> str:
    return "request.json" if body.content_type == "application/json" else "request.txt"
