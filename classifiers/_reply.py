"""Find what the sender wrote in a mail: without quotes, forwarded headers, signatures and our own footer.

Conservative and linear: one pass over the lines, only prefixes and suffixes are looked at.
"""

from __future__ import annotations

from itertools import pairwise, takewhile

OWN_FOOTERS = ("not yours? send it on", "—— signpost ——")
OWN_LINK = "/m/"
_LOOK_AHEAD = 6  # lines
_LEAST = 3  # words that make a text of the sender's own
_SIGNATURE_LINES = 15
_CONTACT_LINES, _CONTACT_WIDTH = 8, 60
_MOST_LINE = 300  # characters of a line that are looked at
_ATTRIBUTION_STARTS = ("on ", "el ", "le ", "em ", "am ", "vào ")
_ATTRIBUTION_ENDS = ("wrote:", "escribió:", "escribio:", "a écrit :", "a écrit:", "escreveu:", "schrieb:", "đã viết:")
_SEPARATORS = {
    "original message": False,
    "mensaje original": False,
    "mensagem original": False,
    "forwarded message": True,
    "begin forwarded message:": True,
    "mensaje reenviado": True,
    "inicio del mensaje reenviado:": True,
    "mensagem encaminhada": True,
}
# Header lines as mail programs write them above what they quote or forward, in the languages of our families.
_FROM = ("from:", "de:", "von:", "от:", "发件人:", "寄件者:", "من:", "từ:", "보낸 사람:")
_TELLING = (  # hardly ever at the beginning of a person's own line, unlike "date:" and "to:"
    *("sent:", "subject:", "enviado:", "enviado el:", "enviada:", "enviada em:", "asunto:", "assunto:"),
    *("envoyé:", "objet:", "gesendet:", "betreff:", "отправлено:", "тема:", "发送时间:", "主题:", "寄件日期:", "主旨:"),
    *("تم الإرسال:", "الموضوع:", "đã gửi:", "chủ đề:", "보낸 날짜:", "제목:"),
)
_HEADERS = (
    *(*_FROM, *_TELLING, "date:", "to:", "cc:", "reply-to:", "importance:", "fecha:", "para:", "data:"),
    *("à:", "date:", "an:", "datum:", "кому:", "дата:", "копия:", "收件人:", "抄送:", "日期:", "إلى:", "نسخة:"),
    *("tới:", "đến:", "ngày:", "받는 사람:", "날짜:"),
    *("bcc:", "attachments:", "priority:", "sensitivity:", "cco:", "adjuntos:", "anexos:", "pièces jointes:"),
)
_FACT_WORDS = 4  # "Reason of the absence: fever": so many words at most stand before the colon
# What people write above what they pass on without saying so in the subject.
_POINTS_BELOW = ("below", "forwarding", "forwarded", "fyi", "abajo", "reenvio", "reenvío", "más abajo", "mas abajo")
_MOST_POINTING = 40  # words: whoever says more has said it themselves
_DEVICES = (
    *("sent from my ", "sent from outlook", "sent from yahoo", "sent from mail for", "get outlook for"),
    *("enviado desde mi ", "enviado desde outlook", "obtener outlook para", "enviado do meu ", "sent via "),
)
_DEVICE_WORDS = 8  # "Sent from my desk, which is easier than on the phone" is the person's
_BANNERS = ("caution: this email originated", "external email:", "[external email]")
_DISCLAIMERS = (
    *("confidentiality notice", "confidentiality:", "this e-mail and any", "this email and any", "disclaimer:"),
    *("aviso de confidencialidad", "este correo electrónico y", "este mensaje y sus"),
    *("you received this message because you are subscribed", "to unsubscribe from this group"),
)


def strip_footer(lines: list[str]) -> list[str]:
    """Drop our own footer (to the end, or to the end of the quote it stands in) and our own links."""
    kept: list[str] = []
    quoted_footer = False
    for line in lines:
        bare = line[:_MOST_LINE].lstrip("> \t*|").lower()
        is_quote = line.lstrip().startswith(">")
        if bare.startswith(OWN_FOOTERS):
            if not is_quote:
                break
            quoted_footer = True
        quoted_footer = quoted_footer and is_quote
        if not quoted_footer:
            kept.append(_without_own_links(line) if OWN_LINK in line else line)
    return kept


def _without_own_links(line: str) -> str:
    return " ".join(word for word in line.split() if "://" not in word or OWN_LINK not in word)


def written_by_sender(lines: list[str], *, forwarded: bool = False) -> list[str]:
    """Return the lines that the sender wrote or forwarded.

    `forwarded`: the subject says so; then what follows a header block is the matter itself and only the headers go.
    Without that, a block below a remark that points to it is taken for a forward too, and so is one before which there
    are fewer than three words, since there would be nothing else.
    """
    kept: list[str] = []
    words = skip_to = 0
    for index, line in enumerate(lines):
        bare = line[:_MOST_LINE].strip(" \t*").lower()
        if index < skip_to or bare.startswith((">", *_BANNERS)) or _is_device(bare):
            continue
        if words >= _LEAST and _closes(bare, lines, index):
            break
        if bare and not bare.strip("-_="):  # a ruled line
            continue
        forward = _SEPARATORS.get(bare.strip("-_ "))
        if forward is not None or _is_header_block(lines, index):
            if words >= _LEAST and not (forward or forwarded or _points_below(kept, words)):
                break
            forwarded, skip_to = True, _end_of_headers(lines, index)
            continue
        attribution = _attribution_lines(lines, index)
        if attribution and words >= _LEAST and not _is_quote(lines, index + attribution):
            break
        if attribution:
            skip_to = index + attribution
            continue
        kept.append(line)
        words += len(line.split())
    return _without_contacts(kept)


def left_out(lines: list[str], own: list[str]) -> list[str]:
    """Return the lines that aren't the sender's `own`, without the marks of quotes and header lines."""
    rest, kept = [], iter([*own, None])
    next_own = next(kept)
    for line in lines:
        if line == next_own:
            next_own = next(kept)
        elif not _is_header(line, _HEADERS):
            rest.append(line.lstrip("> \t"))
    return rest


def _without_contacts(lines: list[str]) -> list[str]:
    """Drop the last paragraph if it is a name and how to reach it: short lines, two of them nothing but an address."""
    end = next((n for n in range(len(lines), 0, -1) if lines[n - 1].strip()), 0)
    start = next((n for n in range(end, max(0, end - _CONTACT_LINES - 1), -1) if not lines[n - 1].strip()), 0)
    last = lines[start:end]
    if not start or len(last) > _CONTACT_LINES or any(len(line) > _CONTACT_WIDTH for line in last):
        return lines
    if any(_is_fact(line) and not _is_contact(line) for line in last):
        return lines
    contacts = sum(map(_is_contact, last))
    before = sum(len(line.split()) for line in lines[max(0, start - _SIGNATURE_LINES) : start])
    return lines[:start] if contacts >= 2 and before >= 3 and not any("?" in line for line in last) else lines


def _is_contact(line: str) -> bool:
    """Tell whether a line is an address or a telephone number, with little else."""
    few = len(line.split()) <= 5
    return few and ("@" in line or "www." in line or "://" in line or sum(map(str.isdigit, line)) >= 7)


def _closes(bare: str, lines: list[str], index: int) -> bool:
    """Tell whether a signature or a disclaimer starts here."""
    if bare in {"--", "—", "__"}:
        return len(lines) - index <= _SIGNATURE_LINES
    return bare.startswith(_DISCLAIMERS)


def _is_device(bare: str) -> bool:
    """Tell whether a line only says which program sent this."""
    return bare.startswith(_DEVICES) and "," not in bare and len(bare.split()) <= _DEVICE_WORDS


def _points_below(kept: list[str], words: int) -> bool:
    """Tell whether what stands above a header block is a remark on what it passes on."""
    if words > _MOST_POINTING:
        return False
    said = {word.strip(".,:;!()").lower() for line in kept for word in line[:_MOST_LINE].split()}
    return not said.isdisjoint(_POINTS_BELOW)


def _is_header_block(lines: list[str], index: int) -> bool:
    """Tell whether three header lines begin here, with a sender and what a person's own list of facts hasn't.

    Such a list tells other facts among them, as an absence note does ("From: … Student: … Date: … Reason: …").
    """
    if not _is_header(lines[index], _HEADERS):
        return False
    ahead = lines[index : index + _LOOK_AHEAD]
    block = [line for line in ahead if _is_header(line, _HEADERS)]
    senders = [line for line in block if _is_header(line, _FROM)]
    telling = any(_is_header(line, _TELLING) for line in block) or any("@" in line for line in senders)
    facts = any(map(_is_fact, takewhile(str.strip, ahead))) or (index > 0 and _is_fact(lines[index - 1]))
    return len(block) >= 3 and bool(senders) and telling and not facts


def _is_fact(line: str) -> bool:
    """Tell whether a line is "Name of the thing: …", with another name than those of mail headers."""
    name, colon, value = line[:_MOST_LINE].partition(":")
    words = name.split()
    told = bool(colon) and 0 < len(words) <= _FACT_WORDS and all(map(str.isalpha, words))
    return told and value[:1] in {"", " "} and not _is_header(line, _HEADERS)


def _is_header(line: str, names: tuple[str, ...]) -> bool:
    return line[:_MOST_LINE].lstrip(" \t*").lower().replace("*", "").replace(" :", ":").startswith(names)


def _end_of_headers(lines: list[str], index: int) -> int:
    """Return the first line after the separator at `index` and the header lines that follow it."""
    end = index + 1
    for number in range(index + 1, min(index + 1 + 2 * _LOOK_AHEAD, len(lines))):
        if _is_header(lines[number], _HEADERS):
            end = number + 1
        elif lines[number].strip() and number > end:
            break
    return end


def _attribution_lines(lines: list[str], index: int) -> int:
    """Return how many lines "On …, … wrote:" takes up here, 0 if there is none; mail programs wrap it.

    In other languages it is told by a clock time, an address in angle brackets and a colon at the end.
    """
    first = lines[index][:_MOST_LINE].strip(" \t*").lower()
    known = first.startswith(_ATTRIBUTION_STARTS)
    if not (known or _has_time(first)):
        return 0
    joined = ""
    for count, line in enumerate(lines[index : index + 3], start=1):
        joined += line[:_MOST_LINE].strip(" \t*").lower() + " "
        if known and joined.rstrip().endswith(_ATTRIBUTION_ENDS):
            return count if "@" in joined or _has_time(joined) else 0
        if joined.rstrip().endswith(":") and _has_time(joined) and _has_address(joined):
            return count
    return 0


def _has_address(text: str) -> bool:
    """Tell whether an address in angle brackets stands in the text."""
    _before, _bracket, after = text.partition("<")
    return "@" in after.partition(">")[0] and ">" in after


def _has_time(text: str) -> bool:
    """Tell whether a clock time stands in the text: people who quote in their own words rarely give one."""
    return any(hour[-1:].isdigit() and minute[:1].isdigit() for hour, minute in pairwise(text.split(":")))


def _is_quote(lines: list[str], index: int) -> bool:
    following = next((line for line in lines[index : index + _LOOK_AHEAD] if line.strip()), "")
    return following.lstrip().startswith(">")
