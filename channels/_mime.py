"""What an original says: from the bytes of an RFC 5322 message, and what its channel knows, to a `Content`.

Every stored original is such a message: a mail as it came, or a form or text rendered by `compose`.

Facts a channel may hand over beside the bytes (JSON values; they win over what the bytes say):
    sender          e-mail address or E.164 number of the person
    sender_name     the name the person gave
    reply_to        e-mail address that reaches the person, where it isn't the sender
    phone           E.164 number that reaches the person
    recipient       envelope recipient, or the number or form written to
    recipients      every envelope recipient, if there are several
    subject, topic  as typed or chosen on a form
    school          the id of a school
    language        ISO 639-1, if the person chose one
    external_id     the provider's id where there is no Message-ID (Twilio's MessageSid)
    reference       an earlier message that this one answers, by id
    envelope_from   the reverse path of the transaction; "" (present and empty) means `MAIL FROM:<>`. It counts for
                    more than a Return-Path that the mail came with
    suspicion       why this looks like spam, as a sentence part for people
    keyword         stop, help or start, if that is all a text message says
    auto_submitted  true if the channel knows that no person wrote this
"""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from channels._html import html_to_text, strip_tags
from channels._mime_compose import Upload, compose
from channels._mime_fields import (
    MAX_HEADER_BYTES,
    Fields,
    addresses,
    decode,
    mail_id,
    mail_ids,
    one_line,
    split_header,
)
from channels._mime_origin import NOTED_HEADERS, is_automatic, noted, sender_of
from channels._mime_parts import Part, Tree, walk
from channels._mime_report import report_of
from router.records import Attachment, Content

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["NOTED_HEADERS", "Upload", "compose", "glance", "mail_id", "understand"]

MAX_TEXT = 500_000  # characters of text kept apart from the original
_MAX_FACT = 2_000
_PLAIN_FACTS = (  # that become the field of the same name
    "sender_name", "recipient", "subject", "topic", "school", "language", "suspicion", "keyword", "phone",
    "external_id", "unreadable",
)  # fmt: skip
_GLANCE_BYTES = 20_000
_MOST_RECIPIENTS = 50
_LETTERS = re.compile(r"[^\W\d_]{2,40}")
_USUAL = ("text/plain", "text/html")  # where there is neither, an invitation's text/calendar is read
_SEALED = {
    "multipart/encrypted": "it is encrypted",
    "application/pgp-encrypted": "it is encrypted",
    "application/pkcs7-mime": "it is an S/MIME envelope",
    "application/x-pkcs7-mime": "it is an S/MIME envelope",
    "application/ms-tnef": "it is in a format of Outlook (TNEF)",
}


def understand(original: bytes, facts: Mapping[str, Any], medium: str) -> Content:
    """Return what a message says. Total: whatever the bytes are, the answer is a `Content`.

    On trouble `unreadable` says why, and the rest holds what could be read all the same. Time is about linear in the
    size, but rendering HTML isn't guaranteed to be: run it where it can be stopped (`router.understand`).
    """
    try:
        return _with_facts(_read(original, medium), facts)
    except Exception as error:
        return glance(original, facts, medium, f"it could not be read ({type(error).__name__})")


def glance(original: bytes, facts: Mapping[str, Any], _medium: str, why: str = "it could not be read") -> Content:
    """Return the little that a short look at the first bytes tells, marked unreadable: safe without any limits."""
    head = original[: MAX_HEADER_BYTES + _GLANCE_BYTES]
    block, body = split_header(head, 0, len(head))
    fields = Fields(block[:_GLANCE_BYTES])
    sender, sender_name = sender_of(fields)
    lines = strip_tags(decode(head[body : body + _GLANCE_BYTES], "utf-8")).split("\n")
    content = Content(
        sender=sender,
        sender_name=sender_name,
        reply_to=sender,
        subject=fields.text("subject"),
        # base64 and delimiters hold no blank, and part headers begin with their name
        text="\n".join(line for line in lines if " " in line.strip() and not line.startswith("Content-")),
        external_id=mail_id(original),
        hops=len(fields.raw("received")),
        headers=noted(fields),
        unreadable=why,
    )
    return _with_facts(content, facts)


def _read(original: bytes, medium: str) -> Content:
    tree = walk(original)
    fields = tree.parts[0].fields if tree.parts else Fields(b"")
    report = report_of(tree)
    text, html_text = _texts(tree, with_enclosed=report is None)
    sender, sender_name = sender_of(fields)
    reply_to = next((address for _, address in addresses(fields.first("reply-to"))), sender)
    recipients = _recipients(fields)
    content = Content(
        sender=sender,
        sender_name=sender_name,
        reply_to=reply_to,
        recipient=next(iter(recipients), ""),
        recipients=recipients if len(recipients) > 1 else (),
        subject=fields.text("subject"),
        text=text,
        html_text=html_text,
        attachments=tuple(_attachments(tree.parts)),
        external_id=mail_id(original),
        in_reply_to=next(iter(mail_ids(fields.first("in-reply-to"))), ""),
        references=tuple(dict.fromkeys(mail_ids(fields.first("references")))),
        auto_submitted=medium == "email" and is_automatic(fields),
        hops=len(fields.raw("received")),
        headers=noted(fields),
        report=report if medium == "email" else None,
    )
    return replace(content, unreadable=_trouble(tree, fields, content))


def _trouble(tree: Tree, fields: Fields, content: Content) -> str:
    if tree.problem or fields.truncated:
        return tree.problem or "its headers are too long"
    if content.text.strip():
        return ""
    return next((_SEALED[part.kind] for part in tree.parts if part.kind in _SEALED), "")


def _recipients(fields: Fields) -> tuple[str, ...]:
    """Return the addresses that a mail was sent to, the one it came by first."""
    names = ("x-original-to", "envelope-to", "to", "cc", "delivered-to")
    named = (address for name in names for _, address in addresses(fields.first(name)))
    return tuple(dict.fromkeys(named))[:_MOST_RECIPIENTS]


# --- text -------------------------------------------------------------------------------------------------------------


def _texts(tree: Tree, *, with_enclosed: bool) -> tuple[str, str]:
    """Return what the message says, and the text of its HTML parts; below, what enclosed (forwarded) messages say."""
    messages: dict[int, list[Part]] = {}
    for part in tree.parts:
        if with_enclosed or not part.message:
            messages.setdefault(part.message, []).append(part)
    texts: list[str] = []
    html_texts: list[str] = []
    for parts in messages.values():
        if sum(map(len, texts)) > MAX_TEXT or sum(map(len, html_texts)) > MAX_TEXT:
            break
        text, html_text = _text_of(parts)
        subject = parts[0].fields.text("subject") if parts[0].message else ""
        texts += [subject, text]
        html_texts.append(html_text)
    return "\n\n".join(filter(None, texts))[:MAX_TEXT], "\n\n".join(filter(None, html_texts))[:MAX_TEXT]


def _text_of(parts: Sequence[Part]) -> tuple[str, str]:
    """Return the text of one message's own parts, and that of its HTML parts."""
    shown = [part for part in parts if part.is_read_on_the_spot()]
    plain = "\n\n".join(filter(None, (text.strip() for text in _bounded(shown, "text/plain"))))
    markup = "\n".join(_bounded(shown, "text/html"))
    html_text = html_to_text(markup) if markup else ""
    return _honest(plain, html_text) or next((part.text() for part in shown if part.kind not in _USUAL), ""), html_text


def _bounded(parts: Sequence[Part], kind: str) -> Iterator[str]:
    rest = MAX_TEXT * 2
    for part in parts:
        if part.kind == kind and rest > 0:
            text = part.text()
            rest -= len(text)
            yield text


def _honest(plain: str, html_text: str) -> str:
    """Return the plain text if it says what the HTML says; else what the HTML shows, with the plain text below."""
    if not html_text or not plain:
        return plain or html_text
    shown, said = (set(_LETTERS.findall(text[:50_000].lower())) for text in (html_text, plain))
    common = len(shown & said)
    if common >= 0.5 * len(shown) or (common >= 0.5 * len(said) and common >= 0.25 * len(shown)):
        return plain
    return f"{html_text}\n\n{plain}"


def _attachments(parts: Iterable[Part]) -> Iterable[Attachment]:
    for part in parts:
        if part.is_listed():
            yield Attachment(name=part.name(), content_type=part.kind[:100], size=part.size())


# --- facts ------------------------------------------------------------------------------------------------------------


def _with_facts(content: Content, facts: Mapping[str, Any]) -> Content:
    known = {name: one_line(value, _MAX_FACT) for name, value in facts.items() if isinstance(value, str)}
    changes: dict[str, Any] = {name: known[name] for name in _PLAIN_FACTS if known.get(name)}
    if sender := known.get("sender"):
        changes |= {"sender": sender, "reply_to": sender if "@" in sender else ""}
    if reply_to := known.get("reply_to"):
        changes["reply_to"] = reply_to
    if reference := known.get("reference"):
        changes["references"] = (*content.references, reference)
    if isinstance(several := facts.get("recipients"), list):
        told = [one_line(each, _MAX_FACT) for each in several[:_MOST_RECIPIENTS] if isinstance(each, str)]
        named = dict.fromkeys(filter(None, (*told, content.recipient, *content.recipients)))
        changes["recipients"] = tuple(named)[:_MOST_RECIPIENTS] if len(named) > 1 else ()
    if facts.get("auto_submitted") is True or known.get("envelope_from", "-") in ("", "<>"):
        changes["auto_submitted"] = True
    if "envelope_from" in known:  # what the transaction said counts, not what the sender wrote into the header
        path = (f"<{known['envelope_from'].strip('<>')}>",)
        changes["headers"] = MappingProxyType({**content.headers, "return-path": path})
    return replace(content, **changes)
