"""The HTML of a stranger's mail made harmless: no script, no request, no link that leads anywhere, no look of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape, unescape
from typing import TYPE_CHECKING

import nh3

from channels._html import MAX_CHARS, is_outlandish

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT = frozenset({"align", "bgcolor", "color", "dir", "lang", "style", "title"})
_CELL = _TEXT | {"colspan", "height", "rowspan", "valign", "width"}
_PLAIN_TAGS = (  # noqa: SIM905 -- words
    "abbr address article aside b bdi blockquote body br caption center cite code col colgroup dd del dfn div dl dt em "
    "figcaption figure footer h1 h2 h3 h4 h5 h6 header hr i ins kbd li main mark ol p pre q s samp section small span "
    "strike strong sub sup tbody tfoot thead tr tt u ul var"
).split()
_ATTRIBUTES: dict[str, frozenset[str]] = {
    "*": frozenset(),  # else nh3 keeps some of its own choice
    **dict.fromkeys(_PLAIN_TAGS, _TEXT),
    "a": frozenset({"href"}),
    "font": _TEXT | {"face", "size"},
    "img": frozenset({"alt", "height", "src", "width"}),
    "table": _CELL | {"border", "cellpadding", "cellspacing"},
    "td": _CELL,
    "th": _CELL,
}
# With these goes what is in them: it is no text for people, or a browser reads it by other rules than the cleaner.
_GONE = frozenset(
    "applet audio canvas embed frame frameset head iframe link math meta noembed noframes noscript object plaintext "  # noqa: SIM905 -- words
    "script select style svg template textarea title video xmp".split()
)
_DECLARED = frozenset(
    "background-color border border-bottom border-collapse border-color border-left border-radius border-right "  # noqa: SIM905 -- words
    "border-spacing border-style border-top border-width color direction font font-family font-size font-style "
    "font-variant font-weight height letter-spacing line-height list-style-type margin margin-bottom margin-left "
    "margin-right margin-top max-width padding padding-bottom padding-left padding-right padding-top text-align "
    "text-decoration text-indent text-transform vertical-align white-space width word-spacing".split()
)
_VALUE = re.compile(r"(?:[\w\s#%.,'\"+!-]|\b(?:rgba?|hsla?)\([\d\s.,%/]*\)){1,200}")
_LINKS = re.compile(r'<a(?: href="([^"]*)"| [a-z-]+="[^"]*")*>|</a>')
_FOLLOWED = ("http://", "https://", "mailto:", "tel:")
_DATA = re.compile(r"data:image/(?:png|gif|jpeg|webp);base64,[A-Za-z0-9+/=\s]*")
_LONGEST_ADDRESS = 300  # characters of a link's address that are shown
_LONGEST_DATA = 1_500_000


class Outlandish(ValueError):
    """HTML that is too long or too deep to be made harmless in good time."""


@dataclass(frozen=True, slots=True)
class Harmless:
    """A piece of HTML for a frame, and how many pictures it doesn't show since they lie elsewhere."""

    html: str
    left_out: int


class _Filter:
    """Says of each attribute what may stay of it."""

    def __init__(self, pictures: Mapping[str, str]) -> None:
        self._pictures = pictures
        self.left_out = 0

    def __call__(self, tag: str, name: str, value: str) -> str | None:
        """Return the value to keep, None to leave the attribute out."""
        if name == "style":
            return _style(value) or None
        if name == "href":
            return value if value.strip().lower().startswith(_FOLLOWED) else None
        if name == "src":
            return self._picture(value.strip())
        if name in ("height", "width") and tag == "img":
            return value if re.fullmatch(r"\d{1,4}(?:px|%)?", value) else None
        return value

    def _picture(self, address: str) -> str | None:
        if address[:4].lower() == "cid:":
            found = self._pictures.get(unescape(address[4:]).strip())
        else:
            found = address if len(address) <= _LONGEST_DATA and _DATA.fullmatch(address) else None
        self.left_out += found is None
        return found


def harmless(markup: str, pictures: Mapping[str, str]) -> Harmless:
    """Return what may be put into a sandboxed frame; `pictures` are data: addresses by Content-ID (RFC 2392).

    Raises `Outlandish`. Links become text with the address behind it, so that nothing in it leads anywhere.
    """
    if len(markup) > MAX_CHARS or is_outlandish(markup):
        raise Outlandish
    kept = _Filter(pictures)
    cleaned = nh3.clean(
        markup,
        tags=set(_ATTRIBUTES) - {"*"},
        clean_content_tags=set(_GONE),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        attribute_filter=kept,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
        link_rel=None,
    )
    return Harmless(_without_links(cleaned), kept.left_out)


def _style(value: str) -> str:
    """Return the declarations that only change how text looks: none that loads, moves, covers or hides anything."""
    kept = []
    for declaration in value.split(";")[:100]:
        name, _, given = declaration.partition(":")
        name, given = name.strip().lower(), given.strip()
        if name in _DECLARED and _VALUE.fullmatch(given):
            kept.append(f"{name}:{given}")
    return ";".join(kept)


def _without_links(cleaned: str) -> str:
    """Return what nh3 wrote with each link as text and its address behind it.

    It writes `"` in values and `<` in text as references, so that this is nothing but a link's beginning or end.
    """
    pieces, position, address = list[str](), 0, ""
    for match in _LINKS.finditer(cleaned):
        pieces.append(cleaned[position : match.start()])
        position = match.end()
        if match[0] == "</a>":
            pieces.append(f'</span><span class="to" dir="ltr"> [{address}]</span>' if address else "</span>")
        else:
            address = _shown(match[1] or "")
            pieces.append('<span class="link">')
    return "".join([*pieces, cleaned[position:]])


def _shown(address: str) -> str:
    plain = unescape(address).strip()
    cut = f"{plain[:_LONGEST_ADDRESS]}…" if len(plain) > _LONGEST_ADDRESS else plain
    return escape(cut)
