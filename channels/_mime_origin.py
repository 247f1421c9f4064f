"""Who sent a mail, whether a person did, and the headers that routing wants to see of it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from channels._mime_fields import addresses, decode_words, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from channels._mime_fields import Fields

NOTED_HEADERS = frozenset(
    {
        "authentication-results", "auto-submitted", "content-type", "delivered-to", "feedback-id", "importance",
        "list-id", "precedence", "return-path", "x-auto-response-suppress", "x-loop", "x-original-to", "x-priority",
        "x-spam-flag", "x-spam-status",
    }
)  # fmt: skip
"""Kept in `Content.headers`; also every `x-signpost-*`."""

_BULK = ("bulk", "list", "junk", "auto_reply")
_MARKS = (
    "x-auto-response-suppress",
    "x-autoreply",
    "x-autorespond",
    "x-autoresponse",
    "x-autoreply-from",
    "x-mail-autoreply",
)
_ROBOTS = (
    "mailer-daemon",
    "postmaster",
    "noreply",
    "no-reply",
    "no_reply",
    "donotreply",
    "do-not-reply",
    "bounce",
    "bounces",
)
_MAX_VALUES = 20
_MAX_VALUE = 500


def sender_of(fields: Fields) -> tuple[str, str]:
    """Return the sender's address and display name: From, else Sender, else Return-Path; "" where there is none."""
    for name in ("from", "sender", "return-path"):
        for value in fields.raw(name):
            for display, address in addresses(value):
                return address, display
    return "", one_line(decode_words(fields.first("from")), 200)


def is_automatic(fields: Fields) -> bool:
    """Tell whether no person waits for an answer: RFC 3834 and what came before and beside it."""
    local_part = sender_of(fields)[0].lower().partition("@")[0].partition("+")[0]
    return (
        fields.token("auto-submitted") not in ("", "no")
        or fields.token("precedence") in _BULK
        or any(name.startswith("list-") for name in fields.names())
        or any(fields.first(name) for name in _MARKS)
        or fields.first("return-path") == "<>"
        or fields.token("content-type") == "multipart/report"
        or local_part in _ROBOTS
    )


def noted(fields: Fields) -> Mapping[str, tuple[str, ...]]:
    """Return the headers in `NOTED_HEADERS`, each as a tuple of its values."""
    names = [name for name in fields.names() if name in NOTED_HEADERS or name.startswith("x-signpost-")]
    found = {name: tuple(_shown(value) for value in fields.raw(name)[:_MAX_VALUES]) for name in names[:100]}
    if kind := fields.token("content-type"):
        found["content-type"] = (kind,)
    return MappingProxyType(found)


def _shown(value: str) -> str:
    return one_line(decode_words(value), _MAX_VALUE)
