"""How the web application says no: the right status and a sentence, as a page or as JSON."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from router.errors import Conflict, NotFound, Refused, StoreBroken, StoreBusy
from router.log import trace
from router.web.pages import sentence

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware
    from structlog.typing import FilteringBoundLogger

    from router.web.pages import Pages

_RETRY_AFTER_S = 10
_TITLES = {
    400: "That can’t be done",
    403: "That can’t be done",
    404: "Not found",
    405: "That can’t be done here",
    408: "That took too long",
    409: "Something has changed",
    413: "Too large",
    415: "That can’t be read",
    500: "Something went wrong",
    503: "Please try again in a minute",
}
_SENTENCES = {
    400: "The request can't be understood.",
    404: "There is no such page.",
    405: "This address doesn't take that kind of request.",
    413: "What you sent is larger than we can take.",
    415: "This address doesn't take that kind of content.",
    500: "The mistake is ours, and it has been noted. Please try again later.",
}
_OWN_LIMITS = "/forms/"  # a family's form reads what is too much, so that what was typed isn't lost
_KEPT = ("Allow", "Retry-After")


def wants_json(request: web.Request) -> bool:
    """Return whether a program is asking: it says or accepts JSON, and no page."""
    accepted = request.headers.get("Accept", "")
    if "text/html" in accepted:
        return False
    return request.content_type == "application/json" or "application/json" in accepted


class Refusals:
    """Turns errors into answers."""

    def __init__(self, pages: Pages, max_bytes: int, log: FilteringBoundLogger) -> None:
        self._pages = pages
        self._max_bytes = max_bytes
        self._log = log

    def middleware(self) -> Middleware:
        """Return what stands around every request of the application."""

        @web.middleware
        async def answer_all(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                if (request.content_length or 0) > self._max_bytes and not request.path.startswith(_OWN_LIMITS):
                    return self.answer(request, 413, _SENTENCES[413])
                return await handler(request)
            except Exception as error:
                return self.of(request, error)

        return answer_all

    def of(self, request: web.Request, error: Exception) -> web.Response:
        """Return the refusal that an error means; raise it again if it is a redirect."""
        if isinstance(error, web.HTTPException):
            return self._from_aiohttp(request, error)
        return self._from_error(request, error)

    def answer(
        self, request: web.Request, status: int, text: str, headers: dict[str, str] | None = None
    ) -> web.Response:
        """Return a refusal with one sentence."""
        if wants_json(request):
            return web.json_response({"error": text}, status=status, headers=headers)
        title = _TITLES.get(status, HTTPStatus(status).phrase)
        return self._pages.response("refusal.html", status=status, headers=headers, title=title, text=text)

    def _from_aiohttp(self, request: web.Request, error: web.HTTPException) -> web.Response:
        if error.status < 400:
            raise error
        kept = {name: error.headers[name] for name in _KEPT if name in error.headers}
        said = error.text or ""
        if error.status != 413 and said and not said.startswith(f"{error.status}: "):
            return self.answer(request, error.status, sentence(said), kept)  # a channel's own words
        return self.answer(request, error.status, _SENTENCES.get(error.status, sentence(error.reason)), kept)

    def _from_error(self, request: web.Request, error: Exception) -> web.Response:
        if isinstance(error, Refused):
            return self.answer(request, error.status, sentence(str(error)))
        if isinstance(error, NotFound):
            return self.answer(request, 404, sentence(str(error)))
        if isinstance(error, Conflict):
            return self.answer(request, 409, sentence(str(error)))
        if isinstance(error, StoreBusy | StoreBroken):
            self._log.warning("request_not_taken", error=type(error).__name__)
            said = "We can't take anything in at this moment. Nothing was stored; please try again in a minute."
            return self.answer(request, 503, said, {"Retry-After": str(_RETRY_AFTER_S)})
        if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            self._log.debug("client_left", route=_route(request))
            return self.answer(request, 400, _SENTENCES[400])  # which nobody reads
        self._log.error("request_failed", route=_route(request), error=type(error).__name__, trace=trace(error))
        return self.answer(request, 500, _SENTENCES[500])


def _route(request: web.Request) -> str:
    """Return the pattern of the address, which holds no link's secret."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""
