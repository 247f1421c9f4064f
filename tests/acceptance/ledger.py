"""What was handed in and what came out: every message carries a token, and the two lists are compared at the end."""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from functools import cached_property
from hashlib import sha256

_TOKEN = re.compile(r"RT-[a-z0-9]+-\d+-end")


@dataclass(frozen=True)
class Sent:
    """A message as it was handed in: `original` is None where the channel renders it (a form), then `text` counts."""

    token: str
    to: str
    text: str
    original: bytes | None = None


@dataclass
class Arrival:
    """A forwarded message at its destination."""

    recipient: str
    data: bytes

    @cached_property
    def mail(self):
        """The mail, parsed."""
        return message_from_bytes(self.data, policy=policy.default)

    def __getitem__(self, header):
        """Return a header of the mail as text; "" if it isn't there."""
        return str(self.mail[header] or "")

    @property
    def is_route(self):
        """Whether this is a forwarded message (an alert isn't)."""
        return bool(self["X-Signpost-Department"])

    @cached_property
    def token(self):
        """The token of the message that was forwarded, "" if there is none."""
        original = self.original.decode("latin-1") if self.is_route else ""
        found = _TOKEN.search(self["Subject"]) or _TOKEN.search(self.words) or _TOKEN.search(original)
        return found.group() if found else ""

    @property
    def words(self):
        """What a text client shows."""
        return self.mail.get_body(("plain",)).get_content()

    @property
    def original(self):
        """The bytes of the attached original, cut out of the mail by hand: a parser could smooth over a difference."""
        head, _, _ = self.data.partition(b"\r\n\r\n")
        boundary = re.search(rb'Content-Type: multipart/mixed;\s+boundary="([^"]+)"', head)[1]
        part = self.data.split(b"\r\n--" + boundary)[2]
        headers, _, body = part.partition(b"\r\n\r\n")
        return base64.b64decode(body) if b"Content-Transfer-Encoding: base64" in headers else body


@dataclass
class Audit:
    """The outcome; in a sound run the first three lists are empty."""

    lost: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    duplicates: dict[str, list[str]] = field(default_factory=dict)  # token and recipient: Message-IDs of all copies
    recovered: list[str] = field(default_factory=list)  # never acknowledged, yet delivered: allowed

    @property
    def copies(self):
        """How many mails too many arrived."""
        return sum(len(mail_ids) - 1 for mail_ids in self.duplicates.values())


class Ledger:
    """The source's side: what was handed in (`new`) and what was acknowledged (`acked`)."""

    def __init__(self, run, fallback):
        self._run = run
        self._fallback = fallback
        self.sent = {}
        self.acked = set()

    def new_token(self):
        """Return a token for the next message."""
        return f"RT-{self._run}-{len(self.sent)}-end"

    def hand_in(self, sent):
        """Note that a message is about to be handed in."""
        self.sent[sent.token] = sent
        return sent

    def audit(self, arrivals):
        """Compare with what arrived (alerts are left out)."""
        audit, mail_ids = Audit(), defaultdict(list)
        for arrival in arrivals:
            if not arrival.is_route:
                continue
            sent = self.sent.get(arrival.token)
            if sent is None or not self._is_right(sent, arrival):
                audit.unexpected.append(f"{arrival.token} at {arrival.recipient}")
            elif not _is_sound(sent, arrival):
                audit.corrupt.append(sent.token)
            else:
                mail_ids[sent.token, arrival.recipient].append(arrival["Message-ID"])
        arrived = {token for token, _ in mail_ids}
        audit.lost = sorted(self.acked - arrived)
        audit.recovered = sorted(arrived - self.acked)
        audit.duplicates = {f"{token} {to}": ids for (token, to), ids in mail_ids.items() if len(ids) > 1}
        return audit

    def _is_right(self, sent, arrival):
        """Whether it came to the right desk; what took three processes with it goes to the fallback unread."""
        set_aside = arrival.recipient == self._fallback and arrival["X-Signpost-Reason"] == "unreadable"
        return arrival.recipient == sent.to or set_aside


def _is_sound(sent, arrival):
    if sent.original is not None:
        return sha256(arrival.original).digest() == sha256(sent.original).digest()
    rendered = message_from_bytes(arrival.original, policy=policy.default).get_body(("plain",)).get_content()
    return sent.text in rendered.replace("\r\n", "\n")
