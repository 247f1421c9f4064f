"""Which posts may take the short way (`router/web/short.py`), and what answers them."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, web
from aiohttp.hdrs import CONTENT_TYPE, EXPECT, METH_POST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp.http import RawRequestMessage

    from router.web.short import Answer

_NOTHING: tuple[None, frozenset[str]] = None, frozenset()


class Posts:
    """The posts of one application that may take the short way: by path, what answers them, and their media types."""

    def __init__(self, answers: Mapping[str, tuple[Answer, frozenset[str]]]) -> None:
        self._answers = answers

    def within(self, around: Callable[[Answer, web.BaseRequest], Awaitable[web.StreamResponse]]) -> Posts:
        """Return the same posts with something that stands around each answer."""
        return Posts({path: (partial(around, answer), kinds) for path, (answer, kinds) in self._answers.items()})

    def answer(self, message: RawRequestMessage) -> Answer | None:
        """Return what answers a request; None if it had better go aiohttp's way."""
        answer, kinds = self._answers.get(message.path.partition("?")[0]) or _NOTHING
        if answer is None or message.method != METH_POST or message.version != HttpVersion11:
            return None
        if message.should_close or message.upgrade or message.chunked or message.compression:
            return None
        headers = message.headers
        return answer if _kind(headers.get(CONTENT_TYPE, "")) in kinds and EXPECT not in headers else None


POSTS = web.AppKey("posts", Posts)


@lru_cache(16)
def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
