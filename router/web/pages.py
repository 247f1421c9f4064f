"""What every page shares: the templates, the look, and the files of the look (`/static/…`)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from router.colours import DEFAULT, sheet

if TYPE_CHECKING:
    from collections.abc import Mapping

_HERE = Path(__file__).parent
_TYPES = {
    ".css": "text/css",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_YEAR = "public, max-age=31536000, immutable"
_HOUR = "public, max-age=3600"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the look; `tag` changes with its bytes."""

    data: bytes
    content_type: str
    tag: str


class Assets:
    """The files under `/static`, read once. Their addresses carry a tag, so that browsers may keep them for a year.

    `look.css` is among them: the district's colour.
    """

    def __init__(self, colour: str = DEFAULT) -> None:
        files = [path for path in sorted((_HERE / "static").iterdir()) if path.suffix in _TYPES]
        self._files = {path.name: _asset(path.suffix, path.read_bytes()) for path in files}
        self._files["look.css"] = _asset(".css", sheet(colour).encode())

    def path(self, name: str) -> str:
        """Return where a page finds a file; raise KeyError if there is none of that name."""
        return f"/static/{name}?v={self._files[name].tag}"

    async def serve(self, request: web.Request) -> web.Response:
        """Answer `GET /static/{name}`: 304 where the browser has it already, 404 where there is no such file."""
        asset = self._files.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        current = request.query.get("v") == asset.tag
        headers = {"Cache-Control": _YEAR if current else _HOUR, "ETag": f'"{asset.tag}"'}
        if any(known.value == asset.tag for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        charset = "utf-8" if asset.content_type.startswith("text/") else None
        return web.Response(body=asset.data, content_type=asset.content_type, charset=charset, headers=headers)


def _asset(suffix: str, data: bytes) -> Asset:
    return Asset(data, _TYPES[suffix], sha256(data).hexdigest()[:16])


class Pages:
    """Renders the templates. Whatever is put into them is escaped.

    `root` is the path of the public address ("" for most), so that links hold behind a path prefix.
    """

    def __init__(self, organization: str, root: str = "", colour: str = DEFAULT) -> None:
        self.assets = Assets(colour)
        self.root = root
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals.update(
            organization=organization, root=root, asset=lambda name: root + self.assets.path(name)
        )

    def render(self, template: str, **values: Any) -> str:
        """Return a page as HTML."""
        return self._templates.get_template(template).render(values)

    def response(
        self, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> web.Response:
        """Return a page as a response."""
        text = self.render(template, **values)
        return web.Response(text=text, status=status, headers=headers, content_type="text/html")


def sentence(text: str) -> str:
    """Return the text of an error as a sentence: a capital at its beginning, a full stop at its end."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
