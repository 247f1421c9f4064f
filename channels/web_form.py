"""The families' web form: a page that needs no script, and the same fields as JSON for other programs."""

from __future__ import annotations

import asyncio
import secrets
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from channels._form_answers import Answers, check
from channels._form_body import JSON, PAIRS, TOKEN_FIELD, TRAP_FIELD, Busy, Limits, Submission, read_into
from channels._form_frames import policy
from channels._form_misses import Misses
from channels._form_pages import EMBEDDED, Pages, languages
from channels._form_settings import WebFormSettings
from channels._room import Room
from router.errors import NotAuthentic, Refused, StoreBusy
from router.interfaces import Accept, Channel, Context, mail_domain
from router.records import Inbound, Medium
from router.settings import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.whereabouts import Whereabouts

_BUSY_RETRY_S = 10
_LARGE = 250_000  # bytes; from here on rendering the original is worth a thread


class WebForm:
    """One form: GET shows it or a receipt, POST takes a message in."""

    at_once = frozenset({PAIRS, JSON})  # what is read without waiting

    def __init__(self, settings: WebFormSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        address = urlsplit(context.public_url)
        root = address.path.rstrip("/")
        self._base = f"{root}/forms/{context.name}"
        self._host, self._netloc = mail_domain(context.public_url), address.netloc.lower()
        self._visit, self._numbers = f"form:{secrets.token_hex(16)}", count()  # keys in order cost the store half
        self._limits = Limits(
            files=settings.max_files,
            file_bytes=settings.max_file_bytes,
            files_bytes=min(settings.max_files_bytes, context.max_message_bytes * 7 // 10),  # base64 makes 10 of 7
            seconds=settings.upload_timeout.total_seconds(),
        )
        self._room = Room(max(settings.max_uploading_bytes, self._limits.files_bytes))
        self._pages = Pages(settings, context, root, self._base, self._limits)
        self._topics = {name.lower(): topic.department for topic in self._pages.topics for name in topic.names.values()}
        self._misses = Misses(context.clock)

    async def handle(self, request: web.Request, accept: Accept) -> web.StreamResponse:
        """Answer a request to /forms/NAME; a message is on disk before the 303 or 202."""
        below = request.match_info.get("tail", "")
        if request.method in ("GET", "HEAD"):
            return await self.page(request)
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "GET, HEAD, POST"}, text="Open or post this form.\n")
        submission = Submission()
        try:
            await read_into(submission, request, self._limits, self._room)
            if below == "status":
                return await self._look_up(request, submission.fields.get("reference", ""))
            return await self._take(request, submission, accept)
        except Refused as refused:
            return self._refuse(request, submission, refused)
        except StoreBusy:
            return self._refuse(request, submission, Busy())
        finally:
            submission.let_go(self._room)

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Show the form, or the receipt named in `?receipt=`; this is also what the site's `/` shows.

        `?topic=` chooses a topic beforehand, `?q=` is looked for among them.
        """
        if token := request.query.get("receipt"):
            return await self._receipt(request, token)
        typed = {"topic": request.query.get("topic", "")}
        return self._html(request, self._form(request, typed, {}, query=request.query.get("q", "")))

    # --- how far a message is -----------------------------------------------------------------------------------------

    async def _receipt(self, request: web.Request, token: str) -> web.Response:
        language, more = self._language(request), self._more(request)
        try:
            reference = self._context.signer.unsign(token, self._purpose("receipt"))
        except NotAuthentic:
            page = self._pages.refusal(language, self._pages.text(language, "no_receipt"), more)
            return self._html(request, page, 404)
        where = await self._whereabouts(reference)
        page = self._pages.receipt(language, reference, token, where, more)
        return self._html(request, page, headers={"X-Robots-Tag": "noindex, nofollow"})

    async def _look_up(self, request: web.Request, reference: str) -> web.Response:
        """Lead to the receipt of a reference that somebody typed; its page says how far the message is."""
        language, more = self._language(request), self._more(request)
        try:
            self._misses.look()
        except Refused as refused:
            sentence = self._pages.text(language, f"refused_{refused.status}", str(refused))
            page = self._pages.refusal(language, sentence, more, looked_up=reference[:40])
            return self._html(request, page, refused.status, {"Retry-After": "60"})
        where = await self._whereabouts(reference)
        if where is None:
            self._misses.add()
            sentence = self._pages.text(language, "status_unknown")
            return self._html(request, self._pages.refusal(language, sentence, more, looked_up=reference[:40]), 404)
        return self._to_receipt(request, where.reference)

    async def _whereabouts(self, reference: str) -> Whereabouts | None:
        try:
            return await self._context.whereabouts(reference)
        except StoreBusy:
            return None  # the receipt is shown all the same

    def _to_receipt(self, request: web.Request, reference: str) -> web.Response:
        token = self._context.signer.sign(reference, self._purpose("receipt"))  # fit for a URL as it is
        location = f"{self._base}?receipt={token}&lang={self._language(request)}{self._more(request)}"
        return web.Response(status=303, headers={"Location": location})

    # --- taking a message in ------------------------------------------------------------------------------------------

    async def _take(self, request: web.Request, submission: Submission, accept: Accept) -> web.Response:
        answers, errors = check(submission.fields, self._context, self._settings.region, self._topics)
        if submission.not_text:
            errors |= dict.fromkeys(submission.not_text, "error_not_text")
        if errors:
            return self._incomplete(request, submission, errors)
        receipt = await accept(await self._inbound(request, submission, answers))
        self._context.on_proof()
        if request.content_type == "application/json":
            body = f'{{"reference": "{receipt.message_id}"}}'.encode()
            return web.Response(body=body, status=202, content_type="application/json")
        return self._to_receipt(request, receipt.message_id)

    async def _inbound(self, request: web.Request, submission: Submission, answers: Answers) -> Inbound:
        now = self._context.clock.now()
        key = self._source_key(request, submission)
        mail_id = f"form.{sha256(key.encode()).hexdigest()[:32]}@{self._host}"
        arguments = (self._context.name, submission.fields, now, mail_id, submission.uploads)
        if submission.uploads and sum(len(upload.data) for upload in submission.uploads) > _LARGE:
            original = await asyncio.to_thread(answers.original, *arguments)
        else:
            original = answers.original(*arguments)
        return Inbound(
            source_key=key,
            channel=self._context.name,
            medium=Medium.WEB_FORM,
            received_at=now,
            original=original,
            facts=answers.facts(self._suspicion(submission.fields) or self._from_elsewhere(request)),
        )

    # --- what is remembered in the form itself ------------------------------------------------------------------------

    def _purpose(self, what: str) -> str:
        return f"{what}:{self._context.name}"

    def _new_token(self) -> str:
        opened_ms = int(self._context.clock.now().timestamp() * 1000)
        return self._context.signer.sign(f"{secrets.token_hex(16)} {opened_ms}", self._purpose("form"))

    def _opened(self, token: str) -> tuple[str, float] | None:
        """Return the form's key and how many seconds ago it was opened; None if the token isn't ours."""
        try:
            key, _, opened_ms = self._context.signer.unsign(token, self._purpose("form")).partition(" ")
            return key, self._context.clock.now().timestamp() - int(opened_ms) / 1000
        except (NotAuthentic, ValueError):
            return None

    def _suspicion(self, fields: Mapping[str, str]) -> str:
        """Say why a program may have filled this in; "" if nothing speaks for it. No token at all says nothing."""
        if fields.get(TRAP_FIELD):
            return "a field was filled in that people don't see"
        token = fields.get(TOKEN_FIELD, "")
        opened = self._opened(token) if token else None
        if opened is None:
            return "the form's signature isn't ours" if token else ""
        if opened[1] < self._settings.shortest_visit.total_seconds():
            return f"it was sent {max(opened[1], 0):.1f} s after the page was opened"
        if opened[1] > self._settings.longest_visit.total_seconds():
            return f"it was sent more than {format_duration(self._settings.longest_visit)} after the page was opened"
        return ""

    def _from_elsewhere(self, request: web.Request) -> str:
        """Say so if a browser says that the form stood on another site's page; without that word nothing is said.

        `Origin: null` is no such word: our own pages send no referrer, and then browsers write that (Fetch, "append a
        request Origin header").
        """
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin", "null").lower()
        if site is None and origin != "null":
            host = origin.rpartition("://")[2]
            site = "same-origin" if host in (self._netloc, (request.host or "").lower()) else "cross-site"
        elsewhere = site == "cross-site" and request.content_type != "application/json"
        return "it was sent from another web site's page" if elsewhere else ""

    def _source_key(self, request: web.Request, submission: Submission) -> str:
        """Return the same key for a double click or a reload, another one for another content of the same form."""
        token = submission.fields.get(TOKEN_FIELD, "")
        key = request.headers.get("Idempotency-Key", "") or token
        if not key:
            return f"{self._visit}.{next(self._numbers):012x}"
        digest = sha256(key.encode("utf-8", "replace"))
        for name, value in sorted(submission.fields.items()):
            digest.update(f"\0{name}\0{value}".encode("utf-8", "replace"))
        for upload in submission.uploads:
            digest.update(b"\0" + upload.name.encode("utf-8", "replace") + sha256(upload.data).digest())
        return f"form:{digest.hexdigest()}"

    # --- answers ------------------------------------------------------------------------------------------------------

    def _incomplete(self, request: web.Request, submission: Submission, errors: Mapping[str, str]) -> web.Response:
        if _wants_json(request):
            language = self._language(request)
            return web.json_response(
                {"errors": {field: self._pages.text(language, key) for field, key in errors.items()}}, status=422
            )
        return self._html(request, self._form(request, submission.fields, errors), 422)

    def _refuse(self, request: web.Request, submission: Submission, why: Refused) -> web.Response:
        headers = {"Retry-After": str(_BUSY_RETRY_S)} if why.status == Busy.status else {}
        if _wants_json(request):
            return web.json_response({"error": str(why)}, status=why.status, headers=headers)
        sentence = self._pages.text(self._language(request), f"refused_{why.status}", str(why))
        return self._html(request, self._form(request, submission.fields, {}, sentence), why.status, headers)

    def _form(
        self,
        request: web.Request,
        fields: Mapping[str, str],
        errors: Mapping[str, str],
        sentence: str = "",
        query: str = "",
    ) -> str:
        token = fields.get(TOKEN_FIELD, "")
        return self._pages.form(
            self._language(request),
            token=token if token and self._opened(token) else self._new_token(),
            typed=fields,
            errors=errors,
            sentence=sentence,
            query=query,
            more=self._more(request),
        )

    def _more(self, request: web.Request) -> str:
        """Return what links carry on: whether the page stands in a frame."""
        framed = self._settings.embed_on and request.query_string and request.query.get("embed")
        return EMBEDDED if framed else ""

    def _language(self, request: web.Request) -> str:
        asked = request.query.get("lang", "") if request.query_string else ""
        return self._pages.language(asked, request.headers.get("Accept-Language", ""))

    def _html(
        self, request: web.Request, page: str, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        own = {"Cache-Control": "no-store", "Vary": "Accept-Language", **(headers or {})}
        if self._settings.embed_on:
            embedded = bool(self._more(request))
            own["Content-Security-Policy"] = policy(self._settings.embed_on, embedded=embedded)
        return web.Response(text=page, status=status, content_type="text/html", headers=own)


def _wants_json(request: web.Request) -> bool:
    accepted = request.headers.get("Accept", "")
    return request.content_type == "application/json" or ("application/json" in accepted and "html" not in accepted)


CHANNEL = Channel(
    summary="Web form for families: a page on / and /forms/NAME, or JSON",
    settings=WebFormSettings,
    webhook=WebForm,
    mount="forms",
    languages=languages,
)
