"""Messages that a form tool or messaging provider posts: proved, mapped by pointers, and kept whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from aiohttp import web

from channels._form_answers import MAX_MESSAGE_CHARS, Answers, check, e164
from channels._keywords import keyword_of
from channels._mime import Upload, compose
from channels._mime_fields import one_line
from channels._webhook_auth import check_before_body, check_signature, proved, refusal
from channels._webhook_body import Body, as_lines, is_parts, read_bytes, read_parts, understand
from channels._webhook_pointer import as_text, resolve
from router.errors import Malformed, NotAuthentic, Refused
from router.interfaces import mail_domain
from router.records import Inbound, Medium

if TYPE_CHECKING:
    from datetime import datetime

    from channels._webhook_settings import FieldSettings, WebhookSettings
    from router.interfaces import Accept, Context

_LONGEST_KEY = 200  # characters
_MOST_MESSAGES = 1000  # in one request
_TYPED = ("name", "email", "phone", "topic", "school", "subject", "language")


class Incoming:
    """POST /webhooks/NAME takes messages in; the answer is JSON: `{"references": [...]}`, or `{"error": …}`."""

    def __init__(self, settings: WebhookSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._path = f"/webhooks/{context.name}"

    async def handle(self, request: web.Request, accept: Accept) -> web.StreamResponse:
        """Answer one request; every message of it is on disk before the 200.

        What has proved itself is taken whatever it says: where the settings don't fit, a person gets it as it came.
        """
        if self._settings.fields is None:
            raise web.HTTPNotFound(text="This channel only sends.")
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["POST"], text="Messages are posted to this address.")
        signed = await proved(self._prove(request), self._context)
        if isinstance(signed, web.Response):
            return signed
        try:
            body = await self._body(request, signed)
        except Refused as error:
            self._context.on_trouble(f"a request was refused: {error}")
            return refusal(error)
        inbounds, why = self._messages(body, self._settings.fields)
        receipts = [await accept(inbound) for inbound in inbounds]
        answer: dict[str, Any] = {"references": [receipt.message_id for receipt in receipts]}
        if why:
            self._context.on_trouble(f"a request doesn't fit the settings, so a person got it as it came: {why}")
            answer["warning"] = why
        else:
            self._context.on_proof()
        return web.json_response(answer)

    # --- is it the provider's? ----------------------------------------------------------------------------------------

    async def _prove(self, request: web.Request) -> bytes | None:
        """Return the body if the proof covers it, None if the request has proved itself without; else raise `Refused`.

        Also raises `SecretMissing`.
        """
        settings = self._settings
        place = settings.secret("secret")
        if place is None:
            raise NotAuthentic("this channel has no secret yet")
        secret = await asyncio.to_thread(place.read)
        tail = request.path.removeprefix(self._path).removeprefix("/")
        if tail and settings.authentication != "path":
            raise web.HTTPNotFound
        check_before_body(request, tail, settings, secret)
        if settings.hmac is None:
            return None
        raw = await read_bytes(request)
        check_signature(request, raw, settings.hmac, secret, self._context.clock.now())
        return raw

    async def _body(self, request: web.Request, signed: bytes | None) -> Body:
        """Return the body, understood or not; raise a `Refused` if it didn't arrive or is too large."""
        if is_parts(request) and signed is None:
            return await read_parts(request)
        raw = await read_bytes(request) if signed is None else signed
        try:
            return understand(request.content_type, raw)
        except Refused as error:
            return Body(document=None, raw=raw, content_type="text/plain", problem=str(error))

    # --- what does it say? --------------------------------------------------------------------------------------------

    def _messages(self, body: Body, fields: FieldSettings) -> tuple[list[Inbound], str]:
        """Return what a request holds; where the settings don't fit, the request itself last, and why."""
        now = self._context.clock.now()
        inbounds: list[Inbound] = []
        try:
            items, why = self._items(body), ""
        except Malformed as error:
            items, why = [], str(error)
        for number, item in enumerate(items):
            found = {name: as_text(resolve(item, pointer)) for name, pointer in fields.model_dump().items() if pointer}
            if any(as_text(resolve(item, pointer)) != value for pointer, value in self._settings.only.items()):
                continue
            if any(value.strip() for name, value in found.items() if name != "id"):
                key = self._key(found.pop("id", ""), found, body.raw, number, now)
                inbounds.append(self._inbound(found, key, replace(body, document=item), now))
            else:
                why = f"none of the fields is there: look at what is sent, and at fields ({fields.message})"
        return [*inbounds, *([self._as_it_came(body, why, now)] if why else [])], why

    def _items(self, body: Body) -> list[Any]:
        if body.problem:
            raise Malformed(body.problem)
        items = [body.document] if self._settings.each is None else resolve(body.document, self._settings.each)
        if not isinstance(items, list) or len(items) > _MOST_MESSAGES:
            raise Malformed(f"there is no list of messages at {self._settings.each!r}")
        return items

    def _as_it_came(self, body: Body, why: str, now: datetime) -> Inbound:
        """Return a whole request as one message that a person has to read."""
        key = self._key("", {}, body.raw, -1, now)
        return Inbound(
            source_key=key,
            channel=self._context.name,
            medium=self._settings.medium,
            received_at=now,
            original=compose(
                text=as_lines(body)[:MAX_MESSAGE_CHARS],
                date=now,
                message_id=self._mail_id(key),
                fields={"form": self._context.name},
                uploads=[Upload(_file_name(body), body.content_type, body.raw)],
            ),
            facts={"unreadable": why},
        )

    def _mail_id(self, key: str) -> str:
        digest = sha256(f"{self._context.name}\0{key}".encode()).hexdigest()[:32]
        return f"hook.{digest}@{mail_domain(self._context.public_url)}"

    def _key(self, given: str, found: dict[str, str], raw: bytes, number: int, now: datetime) -> str:
        """Return what names a message: the provider's id, with what was found, else a hash of the request and the day.

        What was found counts because the pointer to the id may lead to something else, such as the form's own id: then
        every message after the first would be taken for a repetition, and lost.
        """
        if key := one_line(given, _LONGEST_KEY + 1):
            if len(key) > _LONGEST_KEY:
                key = f"sha256:{sha256(given.encode('utf-8', 'replace')).hexdigest()}"
            said = "\0".join(f"{name}={value}" for name, value in found.items())
            return f"{key}#{sha256(said.encode('utf-8', 'replace')).hexdigest()[:16]}"
        place = f"\0{number}\0{now:%Y-%m-%d}".encode()
        return f"sha256:{sha256(raw + place).hexdigest()}"

    def _inbound(self, found: dict[str, str], key: str, body: Body, now: datetime) -> Inbound:
        answers = self._answers(found)
        facts = self._facts(answers, found)
        if not answers.message:  # left blank, or the pointer is wrong: what it says may stand elsewhere in the request
            facts["unreadable"] = "no message is where the settings say (fields.message)"
        return Inbound(
            source_key=key,
            channel=self._context.name,
            medium=self._settings.medium,
            received_at=now,
            original=compose(
                text=answers.message or as_lines(body)[:MAX_MESSAGE_CHARS],
                date=now,
                subject=answers.subject,
                sender=answers.email,
                sender_name=answers.name,
                message_id=self._mail_id(key),
                fields={
                    "form": self._context.name,
                    **{name: v for name, v in found.items() if v and name != "message"},
                },
                uploads=[Upload(_file_name(body), body.content_type, body.raw)],
            ),
            facts=facts,
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
