"""What families post in a measurement: messages of the bundled corpus, each from a sender of its own.

The sender's address is the token by which a mail at the sink is told from every other; it has a fixed width, so that
a request needs no counting again.
"""

from __future__ import annotations

import json
import re
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from classifiers._corpus import load_corpus

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKEN = re.compile(rb"family-\d{8}")
_PLACE = "family-99999999"
_HEAD = (
    "POST /forms/contact HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: signpost-benchmark\r\n"
    "Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
)
FORM, JSON, MIXED = "form", "json", "mixed"


class Requests:
    """Requests as bytes, ready to be written; `of(n)` always gives the same one for the same n."""

    def __init__(self, kind: str, seed: int = 0, variety: int = 400) -> None:
        rows = everyday(Random(seed), variety)
        kinds = (FORM, JSON) if kind == MIXED else (kind,)
        self._cut = [_request(row, kinds[n % len(kinds)]) for n, row in enumerate(rows)]

    def of(self, number: int) -> bytes:
        """Return the request of one token."""
        before, after = self._cut[number % len(self._cut)]
        return before + token(number).encode() + after


def everyday(random: Random, count: int) -> list[dict[str, Any]]:
    """Return messages of the bundled corpus of which one in a hundred is urgent.

    In the corpus it is one in ten, so that the model learns them; each means an alert, that is another mail.
    """
    urgent, calm = [], []
    for row in load_corpus().rows:
        (urgent if row.get("urgent") else calm).append(row)
    rare = count // 100
    rows = random.sample(urgent, rare) + random.sample(calm, count - rare)
    random.shuffle(rows)
    return rows


def token(number: int) -> str:
    """Return the n-th token."""
    return f"family-{number:08d}"


def numbers(first: int, count: int) -> Sequence[str]:
    """Return `count` tokens from the `first` on."""
    return [token(number) for number in range(first, first + count)]


def _request(row: dict[str, Any], kind: str) -> tuple[bytes, bytes]:
    """Return what stands before and after the token."""
    fields = {
        "name": "Ana Ruiz",
        "email": f"{_PLACE}@families.example",
        "subject": str(row.get("subject") or ""),
        "message": str(row.get("body") or ""),
    }
    if kind == JSON:
        body, content_type = json.dumps(fields).encode(), "application/json"
    else:
        body, content_type = urlencode(fields).encode(), "application/x-www-form-urlencoded"
    before, place, after = (_HEAD.format(kind=content_type, length=len(body)).encode() + body).partition(
        _PLACE.encode()
    )
    assert place
    return before, after
