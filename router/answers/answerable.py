"""Who may be answered automatically: a person who wrote, from an address that is theirs as far as can be seen.

Everything else is left alone: programs and lists (RFC 3834, section 2), spam, forged senders, who would be hit by what
somebody else wrote in their name, and ourselves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from router.answers.paths import is_senders_own, path_of
from router.records import Medium
from router.store.opt_outs import number_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from router.records import Content, Message

# Beside what makes a mail `auto_submitted`: also of forms, where anybody may have typed such an address.
_ROBOT = re.compile(
    r"(?:.*[-_.+])?(?:no|do[-_.]?not)[-_.]?reply[0-9]*(?:[-_.+].*)?|mailer[-_.]?daemon|postmaster|listserv|majordomo"
    r"|(?:.*[-_.+])?bounces?(?:[-_.+].*)?|owner-.*|.*-(?:owner|request)|daemon|root|nobody|notifications?"
    r"|auto[-_.]?(?:reply|responder|mailer|confirm|notif)[a-z]*",
    re.IGNORECASE,
)
_LONGEST = 254  # characters of a mail address (RFC 5321, section 4.5.3.1.3)
_MARKS = frozenset({"list-id", "feedback-id", "x-loop"})
_NESTED = re.compile(r"\([^()]*\)")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_RESULT = re.compile(r"\s*(dmarc|spf)\s*=\s*([a-z]+)", re.IGNORECASE)


def key_of(address: str) -> str:
    """Return what stands for everything that reaches the same person: without case, +tag and a phone's prefix."""
    if number := number_of(address):
        return number
    local, _, domain = address.casefold().rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


def domain_of(address: str) -> str:
    """Return whose server bears an answer: the mail domain, or a block of ten thousand telephone numbers."""
    return number_of(address)[:-4] or address.casefold().rpartition("@")[2]


def address_of(message: Message) -> str:
    """Return the address or number of whom an answer to a message is for, "" if there is none.

    Nobody is texted because a number stands in a form or a mail: it may be anybody's.
    """
    content = message.content
    if message.medium is Medium.SMS:
        return content.sender if number_of(content.sender) else ""
    given = content.reply_to if message.medium is Medium.WEB_FORM else content.sender
    return given if "." in given.rpartition("@")[2] and len(given) <= _LONGEST else ""


def way_to(message: Message) -> str:
    """Return where an answer leaves for: the address, or the reverse path in which servers have wrapped it up.

    Only the path leads back through them: a server that signs its paths takes no mail without a sender elsewhere.
    """
    content = message.content
    wrapped = message.medium is Medium.EMAIL and path_of(content) and is_senders_own(content)
    same = path_of(content).casefold() == content.sender.casefold()
    return path_of(content) if wrapped and not same else address_of(message)


def why_not(message: Message, ours: Collection[str], authserv_id: str = "") -> str:
    """Return why the writer isn't answered, "" if they may be. `ours` are keys (`key_of`) of addresses of our own.

    `authserv_id` is the name under which our own mail server says whom it believes (RFC 8601), "" if that isn't known.
    """
    content, to = message.content, address_of(message)
    robot = _is_marked(content) or _ROBOT.fullmatch(to.rpartition("@")[0])
    reasons = (
        ("no address", not to),
        ("suspicious", content.suspicion or _is_spam(content)),
        ("unreadable", content.unreadable),  # then nobody knows whether a person wrote it
        ("automatic", content.auto_submitted or robot),
        ("our own address", key_of(to) in ours or key_of(to) == key_of(content.recipient)),
        ("sender not proved", message.medium is Medium.EMAIL and not _is_theirs(content, authserv_id)),
    )
    return next((why for why, holds in reasons if holds), "")


def _is_spam(content: Content) -> bool:
    said = (*content.headers.get("x-spam-flag", ()), *content.headers.get("x-spam-status", ()))
    return any(value.casefold().startswith("yes") for value in said)


def _is_marked(content: Content) -> bool:
    """Tell whether a mail says that a program passed it on; another Signpost's forwarded mail does."""
    return any(name in _MARKS or name.startswith("x-signpost-") for name in content.headers)


def _is_theirs(content: Content, authserv_id: str) -> bool:
    """Tell whether the envelope names the sender, too, and no mail server speaks against it (ours for it, if known)."""
    if not is_senders_own(content):
        return False
    headers = content.headers.get("authentication-results", ())
    if authserv_id:
        ours = next((header for header in headers if _server_of(header) == authserv_id.casefold()), "")
        results = dict(_results(ours))
        return results.get("dmarc") != "fail" and "pass" in (results.get("dmarc"), results.get("spf"))
    return not any(_speaks_against(dict(_results(header))) for header in headers)


def _speaks_against(results: dict[str, str]) -> bool:
    if (dmarc := results.get("dmarc")) in ("pass", "fail"):
        return dmarc == "fail"
    return results.get("spf") in ("fail", "softfail")


def _server_of(header: str) -> str:
    words = header.partition(";")[0].split()
    return words[0].casefold() if words else ""


def _results(header: str) -> Iterator[tuple[str, str]]:
    """Yield each method's result; comments and quoted strings, which hold what the sender likes, count for nothing."""
    plain, before = _QUOTED.sub("", header), ""
    while plain != before:
        plain, before = _NESTED.sub("", plain), plain
    for part in reversed(plain.split(";")):  # of several results the first is kept
        if match := _RESULT.match(part):
            yield match[1].lower(), match[2].lower()
