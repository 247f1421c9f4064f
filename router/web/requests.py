"""What pages ask of a request before they change anything: a small form, and a browser that was on our own page."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from router.errors import Malformed, NotAuthentic, Refused

if TYPE_CHECKING:
    from aiohttp import web

_FORM_BYTES = 65_536
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class TooSlow(Refused):
    """The form didn't arrive in time."""

    status = 408


async def read_form(request: web.Request, patience_s: float = 30) -> dict[str, str]:
    """Return the text fields of a small form, the first of each name, without control characters.

    Raises `Malformed` for what isn't a form, `TooSlow` for what isn't all there in time; aiohttp answers 413 beyond
    64 KiB.
    """
    try:
        async with asyncio.timeout(patience_s):
            fields = await request.clone(client_max_size=_FORM_BYTES).post()
    except TimeoutError as error:
        raise TooSlow("the form took too long to arrive; please try again") from error
    except (ValueError, LookupError) as error:  # wrong bytes, an unknown charset, broken multipart
        raise Malformed("the form can't be read") from error
    form: dict[str, str] = {}
    for name, value in fields.items():
        if isinstance(value, str):
            form.setdefault(name, _CONTROLS.sub("", value.replace("\r\n", "\n")))
    return form


def check_origin(request: web.Request, public_url: str, *, strict: bool = False) -> None:
    """Raise `NotAuthentic` if a browser says that the form stood on somebody else's page.

    Our pages send no referrer, and then browsers say `Origin: null` (Fetch, "append a request Origin header"); where
    they also say Sec-Fetch-Site, that decides. `strict` takes no `null` without it: for forms that need no secret link.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site not in (None, "same-origin", "none"):
        raise NotAuthentic("this form was sent from another site")
    if origin is None or (origin == "null" and (site is not None or not strict)):
        return
    if origin.lower() != _origin(public_url) and urlsplit(origin.lower()).netloc != (request.host or "").lower():
        raise NotAuthentic("this form was sent from another site")


def _origin(url: str) -> str:
    parts = urlsplit(url.lower())
    return f"{parts.scheme}://{parts.netloc}"
