"""The one web application: public pages, webhooks, the misroute link, health; and what holds for every answer."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import web

from router.colours import DEFAULT
from router.web.health import Health
from router.web.misroute import Misroute
from router.web.pages import Pages
from router.web.plain import PlainAnswers
from router.web.posts import POSTS, Posts
from router.web.refusals import Refusals
from router.web.urgent import UrgentPage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import tzinfo

    from structlog.typing import FilteringBoundLogger

    from router.destinations import Desks
    from router.interfaces import Accept, Channel, Webhook
    from router.learning.corrections import Corrections
    from router.metrics import Metrics
    from router.signing import KeyRing
    from router.store.engine import Store
    from router.web.short import Answer

_FORMS = "forms"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_SERVER = "Signpost"
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def build(
    *,
    webhooks: Mapping[str, tuple[Channel, Webhook]],
    accept: Accept,
    store: Store,
    corrections: Corrections,
    keys: KeyRing,
    desks: Desks,
    metrics: Metrics,
    ready: Callable[[], list[str]],
    wake: Callable[[], None],
    public_url: str,
    organization: str,
    max_message_bytes: int,
    log: FilteringBoundLogger,
    degraded: Callable[[], Mapping[str, str]] = dict,
    channels: Callable[[], list[dict[str, Any]]] = list,
    zone: tzinfo = UTC,
    colour: str = DEFAULT,
) -> web.Application:
    """Return the application, not yet listening.

    `webhooks` are the channels that are called over HTTP, by name; `ready` returns the reasons why the daemon isn't
    ready; `wake` is called after a message moved; `degraded` and `channels` say how the channels are (`Health`);
    `zone` is for times that people read, `colour` the district's.
    """
    pages = Pages(organization, urlsplit(public_url).path, colour)
    refusals = Refusals(pages, max_message_bytes, log)
    application = web.Application(client_max_size=max_message_bytes, middlewares=[refusals.middleware()])
    misroute = Misroute(
        store=store,
        corrections=corrections,
        keys=keys,
        desks=desks,
        pages=pages,
        public_url=public_url,
        wake=wake,
        log=log,
    )
    urgent = UrgentPage(
        store=store, keys=keys, desks=desks, pages=pages, public_url=public_url, zone=zone, wake=wake, log=log
    )
    health = Health(store, metrics, ready, degraded, channels)
    application.on_response_prepare.append(_secure)
    application.add_routes([*health.routes(), *misroute.routes(), *urgent.routes()])
    application.router.add_get("/static/{name}", pages.assets.serve)
    application.router.add_get("/", _front(webhooks, accept, pages))
    for name, (channel, webhook) in webhooks.items():
        answer = _answer(webhook, accept)
        application.router.add_route("*", f"/{channel.mount}/{name}", answer)
        application.router.add_route("*", f"/{channel.mount}/{name}/{{tail:.*}}", answer)
    forms = {f"/{_FORMS}/{name}": hook for name, (channel, hook) in webhooks.items() if channel.mount == _FORMS}
    application[POSTS] = _posts(application, forms, accept, refusals)
    return application


def _posts(application: web.Application, forms: Mapping[str, Webhook], accept: Accept, refusals: Refusals) -> Posts:
    """Return the posts to forms that may take the short way, past the search for a route and the middleware."""
    plain = PlainAnswers({**_HEADERS, "Server": _SERVER})

    def answering(webhook: Webhook, found: web.UrlMappingMatchInfo) -> Answer:
        async def answer(request: web.Request) -> web.StreamResponse:
            request._match_info = found
            try:
                return plain.render(await webhook.handle(request, accept))
            except Exception as error:
                return refusals.of(request, error)

        return answer

    answers = {}
    for resource in application.router.resources():
        webhook = forms.get(resource.canonical)
        if webhook is not None and (kinds := getattr(webhook, "at_once", None)):
            found = web.UrlMappingMatchInfo({}, next(iter(resource)))
            found.add_app(application)
            found.freeze()
            answers[resource.canonical] = answering(webhook, found), kinds
    return Posts(answers)


def _answer(webhook: Webhook, accept: Accept) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "HEAD":  # a channel need not know HEAD: aiohttp leaves out the body
            request = request.clone(method="GET")
        return await webhook.handle(request, accept)

    return answer


def _front(
    webhooks: Mapping[str, tuple[Channel, Webhook]], accept: Accept, pages: Pages
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return what answers `/`: the first form, else a page that says what runs here."""
    for channel, webhook in webhooks.values():
        if channel.mount == _FORMS:
            return _answer(webhook, accept)

    async def plain(_request: web.Request) -> web.StreamResponse:
        return pages.response("front.html")

    return plain


async def _secure(request: web.Request, response: web.StreamResponse) -> None:
    """Add what holds for every answer, unless the page has said otherwise."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.path != "/" and not request.path.startswith((f"/{_FORMS}/", "/static/")):
        response.headers.setdefault("X-Robots-Tag", "noindex, nofollow")
    response.headers["Server"] = _SERVER
