"""The one text preparation: what a classifier sees of a message, the same in training and in serving."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from classifiers._reply import left_out, strip_footer, written_by_sender
from router.interfaces import ModelInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.records import Content

MAX_BODY = 8_000  # characters; what a message is about stands at its beginning
MAX_SUBJECT = 300
_MAX_RAW = 64_000  # looked at before stripping, so that time is bounded whatever comes
_MAX_LINK = 60
_ENOUGH_WORDS = 3
_ENOUGH_IDEOGRAPHS = 6  # Chinese and Japanese write without spaces
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_REPLY_MARKS = ("re", "fw", "fwd", "rv", "aw", "wg", "reenv", "resp", "tr", "enc")
_EXTERNAL_MARKS = ("[external]", "[ext]", "[externo]", "external:", "{external}")


def prepare(content: Content, medium: str) -> ModelInput:
    """Return what the model sees of a message: plain text, or the HTML part's text where there is no plain text."""
    text = content.text if content.text.strip() else content.html_text
    given = {"language": content.language, "topic": content.topic, "medium": str(medium)}
    return _remembered(content.subject, text[:_MAX_RAW], **given)


def readings(content: Content, medium: str) -> list[ModelInput]:
    """Return all that a model is asked about where nothing may be overlooked: what `prepare` returns comes first.

    Then the HTML part's text where it says something else, and what was left out as somebody else's, or as a way to
    reach the sender: a header block may stand above the matter, a cry for help below the name.
    """
    texts = [text for text in (content.text, content.html_text) if text.strip()]
    if len(texts) == 2 and texts[0].split() == texts[1].split():
        del texts[1]
    first = prepare(content, medium)
    read = [first, *(prepare(replace(content, text=text), medium) for text in texts[1:])]
    besides = (_beside(own, content.subject, text) for own, text in zip(read, texts, strict=False))
    return [*read, *(each for each in besides if each)]


def _beside(own: ModelInput, subject: str, text: str) -> ModelInput | None:
    """Return what was left out of a text, None if that isn't worth asking about."""
    if len(own.body.split()) >= len(text[:MAX_BODY].split()):
        return None
    rest = _left_out(subject, text[:_MAX_RAW])
    return replace(own, subject="", body=rest) if _enough(rest) else None


@lru_cache(128)
def _left_out(subject: str, text: str) -> str:
    lines = strip_footer(_normal(text).splitlines())
    return _joined(left_out(lines, written_by_sender(lines, forwarded=_bare_subject(subject)[1])))[:MAX_BODY]


def from_row(row: Mapping[str, Any]) -> ModelInput:
    """Return the input of a data row `{"subject", "body", "language", "medium" or "channel", "topic"}`.

    Missing and null fields count as empty; the text goes through the same preparation as a message's.
    """
    return from_text(
        str(row.get("subject") or ""),
        str(row.get("body") or ""),
        language=str(row.get("language") or ""),
        topic=str(row.get("topic") or ""),
        medium=str(row.get("medium") or row.get("channel") or ""),
    )


def from_text(subject: str, body: str, *, language: str = "", topic: str = "", medium: str = "") -> ModelInput:
    """Prepare a subject and a body: Unicode NFKC, one space between words, only what the sender wrote.

    Linear in the length of the text. If stripping leaves fewer than three words, the text stays as it was except for
    our own footer and links.
    """
    bare_subject, forwarded = _bare_subject(subject)
    lines = strip_footer(_normal(body[:_MAX_RAW]).splitlines())
    own = _joined(written_by_sender(lines, forwarded=forwarded))
    return ModelInput(
        subject=bare_subject,
        body=(own if _enough(own) else _joined(lines))[:MAX_BODY],
        language=language,
        topic=_one_line(topic, MAX_SUBJECT),
        medium=medium,
    )


_remembered = lru_cache(128)(from_text)  # of several batches: urgency and department are asked one after the other


def _normal(text: str) -> str:
    """NFKC (Unicode Annex 15) without the characters that can't be seen, such as zero-width spaces."""
    normal = unicodedata.normalize("NFKC", text.replace("\r\n", "\n"))
    return normal if normal.isascii() else _NOT_ASCII.sub(_seen, normal)


def _seen(run: re.Match[str]) -> str:
    return "".join([char for char in run[0] if unicodedata.category(char) != "Cf"])


def _one_line(text: str, most: int) -> str:
    return " ".join(_normal(text[: 4 * most]).split())[:most].strip()


def _bare_subject(subject: str) -> tuple[str, bool]:
    """Return the subject without `Re:`, `Fwd:` and the like, and whether it said that this is a forward."""
    bare, forwarded = _one_line(subject, MAX_SUBJECT), False
    while True:
        lower = bare.lower()
        external = next((mark for mark in _EXTERNAL_MARKS if lower.startswith(mark)), "")
        mark, colon, _rest = lower.partition(":")
        word = mark.partition("[")[0].strip()  # some programs count: "Re[2]:"
        if external:
            bare = bare[len(external) :].strip()
        elif colon and word in _REPLY_MARKS:
            forwarded = forwarded or word in {"fw", "fwd", "rv", "wg", "tr", "reenv", "enc"}
            bare = bare[len(mark) + 1 :].strip()
        else:
            return bare, forwarded


def _joined(lines: list[str]) -> str:
    """Collapse white space and shorten links, which are noise after the first words of their path."""
    short = (" ".join(map(_shorter, line.split()) if "://" in line else line.split()) for line in lines)
    return "\n".join(line for line in short if line)


def _shorter(word: str) -> str:
    if not word.lower().startswith(("http://", "https://")):
        return word
    return word.partition("://")[2].partition("?")[0][:_MAX_LINK]


def _enough(text: str) -> bool:
    words = (word for word in text.split() if any(map(str.isalnum, word)))
    if len(list(islice(words, _ENOUGH_WORDS))) == _ENOUGH_WORDS:
        return True
    return sum(char >= "\u2e80" for char in text) >= _ENOUGH_IDEOGRAPHS
