"""What a forwarded mail says, in plain words, before it becomes text and HTML: subject, remarks, facts and the link."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

import phonenumbers

from router.records import Medium, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.records import Attachment, Content, Decision, Forward, Message

MARKER = "—— Signpost ——"  # stands on a line of its own before everything that the person didn't write
_MARKER_LINE = re.compile(rf"^[> \t*_]*{MARKER}[ \t*_\r]*$", re.MULTILINE)
OTHERS = "Other likely departments:"
_TAGS = {
    "evaluation-request": "This may be a request to evaluate a student (IEP, 504): a legal deadline may run.",
    "after-restore": "Signpost was restored from a backup: you may have had this message before.",
    "records-request": "This may be a request for records (FERPA, public records): a legal deadline may run.",
}
_LIKELIEST = 3
_LIKE_OURS = re.compile(r"signpost|yours|likely")
_OUR_STARTS = ("not yours send it on", "other likely departments")
_WORD = re.compile(r"[^\W_]+")
_INVISIBLE = re.compile(r"[\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
BODY_LIMIT = 100_000  # characters shown; the original has them all

_KINDS = {Medium.EMAIL: "Mail", Medium.SMS: "Text", Medium.WEB_FORM: "Web form"}
_MEDIA = {Medium.EMAIL: "e-mail", Medium.SMS: "text message", Medium.WEB_FORM: "web form"}
_NAMES = (
    "ar Arabic/zh Chinese/en English/fr French/de German/ht Haitian Creole/hi Hindi/ja Japanese/ko Korean/pl Polish/"
    "pt Portuguese/ru Russian/so Somali/es Spanish/sw Swahili/tl Tagalog/uk Ukrainian/ur Urdu/vi Vietnamese"
)
_LANGUAGES = dict(entry.split(" ", 1) for entry in _NAMES.split("/"))
_SURENESS = ((0.95, "very sure"), (0.8, "fairly sure"), (0.5, "not very sure"), (0.0, "a guess"))
_WHY = {
    Reason.RULE: "a rule of the district",
    Reason.THREAD: "it continues an earlier message that went to this department",
    Reason.MODEL: "the wording of the message",
    Reason.ABSTAINED: "the model wasn't sure",
    Reason.UNREADABLE: "the message couldn't be read automatically, so a person has to look",
    Reason.MODEL_DOWN: "the model couldn't be asked, so a person has to look",
    Reason.CORRECTION: "somebody passed it on to this department",
    Reason.DISPUTED: "departments have passed it on several times without agreeing; please settle whose it is",
    Reason.OBSERVE: "Signpost only watches for now, and every message comes here",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The content of one mail. `link` is "" if there is nothing to click; `facts` are rows of label and value.

    `others` are the other likely departments' names, each with the address of the page that has it chosen already (""
    where there is no page).
    """

    subject: str
    who: str
    body: str
    urgent: str = ""
    opening: str = ""
    quoted: str = ""  # a message that a notice is about
    remarks: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    link: str = ""
    link_text: str = ""
    others: tuple[tuple[str, str], ...] = ()
    marker: str = field(default=MARKER, init=False)

    def plain(self) -> str:
        """Return the text for a text client, lines ended by a line feed."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        if self.urgent:
            yield from (f"URGENT: {self.urgent}", "")
        if self.opening:
            yield from (self.opening, "")
        yield from (self.body, "")
        if self.quoted:
            yield from ("The message says:", "", self.quoted, "")
        yield MARKER
        yield from self.remarks
        yield from (f"{label}: {value}" for label, value in self.facts)
        if self.link:
            yield from ("", f"{self.link_text}: {self.link}")
        if self.others:
            yield OTHERS
            yield from (f"  {name}: {url}" if url else f"  {name}" for name, url in self.others)


def strip_footer(text: str) -> str:
    """Return a text without our marker line and what follows it, quoted (`> `) or not."""
    found = _MARKER_LINE.search(text)
    return text[: found.start()].rstrip() if found else text


def route_wording(forward: Forward, *, answerable: bool) -> Wording:
    """Return what a forwarded message's mail says; `answerable` tells whether a reply reaches the family."""
    message, decision = forward.message, forward.decision
    if message is None or decision is None:
        raise ValueError("a forward without a notice carries a message and its decision")
    content, who = message.content, _who(message.content)
    link = _safe_url(forward.misroute_url)
    others = [
        (clean(name), _choosing(link, ident)) for ident, name in forward.suggestions if ident != _own(forward, decision)
    ]
    return Wording(
        subject=("[URGENT] " if decision.urgent else "") + _subject(message, who),
        who=who,
        urgent=clean(decision.urgent),
        opening="" if answerable else _opening(message, who),
        body=_body(content),
        remarks=tuple(_remarks(content, decision, clean(forward.meant_for))),
        facts=tuple(_facts(forward, message, decision, [name for name, _url in others])),
        link=link,
        link_text="Not yours? Send it on",
        others=tuple(others[:_LIKELIEST]),
    )


def notice_wording(forward: Forward) -> Wording:
    """Return what an alert's mail says; raise ValueError if there is no notice."""
    notice, message = forward.notice, forward.message
    if notice is None:
        raise ValueError("an alert carries a notice")
    about = () if message is None else (("From", _sender_words(message.content)), *_origin(forward, message))
    return Wording(
        subject=shorten(clean(notice.subject), 200) or "Signpost notice",
        who=clean(forward.organization),
        body=_lines_only(notice.text[:BODY_LIMIT]),
        quoted="" if message is None else _body(message.content),
        facts=(*about, ("Sent by", f"Signpost for {clean(forward.organization)}")),
        link=_safe_url(notice.url),
        link_text="Open" if message is None else "Open this to say that you have it",
    )


# --- pieces -----------------------------------------------------------------------------------------------------------


def _own(forward: Forward, decision: Decision) -> str:
    """Return the department that this mail is for."""
    return forward.delivery.department if forward.delivery.department in decision.also else decision.department


def _who(content: Content) -> str:
    name = content.sender_name or content.sender or content.reply_to or content.phone
    return shorten(clean(phone_words(name)), 60) or "Someone"


def _subject(message: Message, who: str) -> str:
    subject = shorten(clean(message.content.subject), 200)
    if subject:
        return subject
    words = shorten(clean(_spoken(message.content)[:400]), 60)
    start = f"{_KINDS[message.medium]} from {_number(message.content) or who}"
    return f"{start}: {words}" if words else start


def _number(content: Content) -> str:
    for text in (content.phone, content.sender):
        if text and "@" not in text:
            return clean(phone_words(text))[:60]
    return ""


def _opening(message: Message, who: str) -> str:
    number = _number(message.content)
    if number:
        start = f"{_KINDS[message.medium]} from {number}."
        return f"{start} Replying to this mail does not reach the family: call or text them."
    return f"{_KINDS[message.medium]} from {who}. Replying to this mail does not reach the sender: no address is known."


def _spoken(content: Content) -> str:
    return content.text if content.text.strip() else content.html_text


def _body(content: Content) -> str:
    spoken = _spoken(content)
    text = _marked(_lines_only(spoken[:BODY_LIMIT]).strip("\n"))
    if not text.strip():
        return "(There is no text to show: please open the attached original.)"
    return text if len(spoken) <= BODY_LIMIT else text + "\n(cut here: the attached original has the rest)"


def _marked(text: str) -> str:
    """Put "| " before lines of the person's that could pass for our footer: nobody shall take their link for ours."""
    if not _LIKE_OURS.search(_bare(text)):
        return text
    return "\n".join(f"| {line}" if _passes_for_ours(line) else line for line in text.split("\n"))


def _passes_for_ours(line: str) -> bool:
    words = " ".join(_WORD.findall(_bare(line[:500])))
    return words == "signpost" or words.startswith(_OUR_STARTS)


def _bare(text: str) -> str:
    """Return text as it reads: in small letters, without invisible characters, full-width ones as plain ones."""
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()


def _remarks(content: Content, decision: Decision, meant_for: str) -> Iterator[str]:
    for tag in decision.tags:
        yield _TAGS.get(tag) or f"Tagged: {clean(tag)}."
    if meant_for:
        yield f"This was sent to {meant_for} and came back from its mail server: please see that it reaches them."
    if why := content.suspicion or decision.suspicion:
        yield f"Careful, this may not be genuine: {shorten(clean(why), 300)}."
    if content.unreadable:
        yield (
            f"This message couldn't be read fully ({shorten(clean(content.unreadable), 300)}). "
            "The attached original is complete."
        )


def _facts(forward: Forward, message: Message, decision: Decision, others: list[str]) -> Iterator[tuple[str, str]]:
    yield "From", _sender_words(message.content)
    yield from _origin(forward, message)
    if message.content.attachments:
        yield "Files", _files(message.content.attachments)
    if forward.department_name:
        yield "For", clean(forward.department_name)
    if forward.also:
        yield "Also sent to", ", ".join(map(clean, forward.also))
    yield "Why", _why(decision, others)
    if decision.confidence is not None:
        # Not acted on: "very sure" would contradict the line above it.
        acted_on = decision.reason is not Reason.ABSTAINED
        yield "Confidence", sureness(decision.confidence) if acted_on else f"not enough ({decision.confidence:.0%})"


def _sender_words(content: Content) -> str:
    parts = (content.sender_name, content.sender, content.reply_to, content.phone)
    return shorten(", ".join(dict.fromkeys(clean(phone_words(part)) for part in parts if part)), 300) or "unknown"


def _origin(forward: Forward, message: Message) -> Iterator[tuple[str, str]]:
    yield "Channel", f"{_MEDIA[message.medium]} ({clean(message.channel)})"
    yield "Received", clean(forward.local_time) or message.received_at.strftime("%Y-%m-%d %H:%M UTC")
    if forward.school_name:
        yield "School", clean(forward.school_name)
    if message.content.language:
        yield "Language", language_name(message.content.language)


def _files(attachments: tuple[Attachment, ...]) -> str:
    shown = [f"{shorten(clean(file.name), 80)} ({_size(file.size)})" for file in attachments[:10]]
    more = len(attachments) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") + ", in the attached original"


def _size(octets: int) -> str:
    return f"{octets / 1e6:.1f} MB" if octets >= 1_000_000 else f"{max(1, round(octets / 1000))} kB"


def _why(decision: Decision, others: list[str]) -> str:
    text = _WHY.get(decision.reason) or clean(decision.reason.value)
    detail = shorten(clean(decision.detail), 300)
    if decision.reason is Reason.ABSTAINED and others:
        text += f"; likeliest: {', '.join(others[:_LIKELIEST])}"
    return f"{text} ({detail})" if detail else text


def sureness(confidence: float) -> str:
    """Return a probability in words and per cent."""
    words = next((words for least, words in _SURENESS if confidence >= least), _SURENESS[-1][1])
    return f"{words} ({confidence:.0%})"


def language_name(code: str) -> str:
    """Return the English name of an ISO 639-1 code, the code itself if it isn't a usual one here."""
    return _LANGUAGES.get(code.lower()) or clean(code)


def phone_words(text: str) -> str:
    """Return an E.164 number the way people write it, +1 555 555 0111; anything else as it is."""
    if not re.fullmatch(r"\+[0-9]{6,15}", text):
        return text
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL).replace("-", " ")


def clean(text: str) -> str:
    """Return one line without control, format or unassigned characters, white space collapsed."""
    text = text[:5000]
    if text.isprintable():  # as nearly all are: looking at each character would be a third of composing a mail
        return " ".join(text.split())
    kept = (char if char.isprintable() else " " if char.isspace() or char < " " else "" for char in text)
    return " ".join("".join(kept).split())


def shorten(text: str, limit: int) -> str:
    """Cut a line at a word, if there is one near, so that it has at most `limit` characters."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    space = cut.rfind(" ", limit // 2)
    return (cut[:space] if space > 0 else cut).rstrip() + "…"


def _lines_only(text: str) -> str:
    """Return text with line feeds as the only line ends and no other control character than the tab."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]", " ", text)


def _choosing(link: str, department: str) -> str:
    """Return the page's address with a department already chosen there; opening it changes nothing."""
    return f"{link}?to={quote(department, safe='', errors='replace')}" if link else ""


def _safe_url(url: str) -> str:
    return re.sub(r"[^!-~]", "", url) if url.startswith(("https://", "http://")) else ""
