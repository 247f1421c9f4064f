"""Find what the sender wrote in a mail: without quotes, forwarded headers, signatures and our own footer.

Conservative and linear: one pass over the lines, only prefixes and suffixes are looked at.
"""

from __future__ import annotations

OWN_FOOTERS = ("not yours? send it on", "—— signpost ——")
OWN_LINK = "/m/"
_LOOK_AHEAD = 6  # lines
_SIGNATURE_LINES = 15
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
_HEADERS = (
    *("from:", "sent:", "date:", "to:", "cc:", "subject:", "reply-to:", "importance:"),
    *("de:", "enviado:", "enviado el:", "fecha:", "para:", "asunto:", "assunto:", "data:"),
)
_DEVICES = (
    *("sent from my ", "sent from outlook", "sent from yahoo", "sent from mail for", "get outlook for"),
    *("enviado desde mi ", "enviado desde outlook", "obtener outlook para", "enviado do meu "),
    *("caution: this email originated", "external email:", "[external email]"),
)
_DISCLAIMERS = (
    *("confidentiality notice", "confidentiality:", "this e-mail and any", "this email and any", "disclaimer:"),
    *("aviso de confidencialidad", "este correo electrónico y", "este mensaje y sus"),
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
    Without that, a block that comes first is taken for a forward too, since there would be nothing else.
    """
    kept: list[str] = []
    words = skip_to = 0
    for index, line in enumerate(lines):
        bare = line[:_MOST_LINE].strip(" \t*").lower()
        if index < skip_to or bare.startswith((">", *_DEVICES)):
            continue
        if words >= 3 and _closes(bare, lines, index):
            break
        if bare and not bare.strip("-_="):  # a ruled line
            continue
        forward = _SEPARATORS.get(bare.strip("-_ "))
        if forward is not None or _is_header_block(lines, index):
            if words >= 3 and not (forward or forwarded):
                break
            forwarded, skip_to = True, _end_of_headers(lines, index)
            continue
        attribution = _attribution_lines(lines, index)
        if attribution and words >= 3 and not _is_quote(lines, index + attribution):
            break
        if attribution:
            skip_to = index + attribution
            continue
        kept.append(line)
        words += len(line.split())
    return kept


def _closes(bare: str, lines: list[str], index: int) -> bool:
    """Tell whether a signature or a disclaimer starts here."""
    if bare in {"--", "—", "__"}:
        return len(lines) - index <= _SIGNATURE_LINES
    return bare.startswith(_DISCLAIMERS)


def _is_header_block(lines: list[str], index: int) -> bool:
    if not _is_header(lines[index], ("from:", "de:")):
        return False
    return sum(_is_header(line, _HEADERS) for line in lines[index + 1 : index + _LOOK_AHEAD]) >= 2


def _is_header(line: str, names: tuple[str, ...]) -> bool:
    return line[:_MOST_LINE].lstrip(" \t*").lower().replace("*", "").startswith(names)


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
    """Return how many lines "On …, … wrote:" takes up here, 0 if there is none; mail programs wrap it."""
    if not lines[index][:8].lstrip(" \t*").lower().startswith(_ATTRIBUTION_STARTS):
        return 0
    joined = ""
    for count, line in enumerate(lines[index : index + 3], start=1):
        joined += line[:_MOST_LINE].strip(" \t*").lower() + " "
        if joined.rstrip().endswith(_ATTRIBUTION_ENDS):
            return count if "@" in joined or _has_time(joined) else 0
    return 0


def _has_time(text: str) -> bool:
    """Tell whether a clock time stands in the text: people who quote in their own words rarely give one."""
    return any(text[i].isdigit() and text[i + 1] == ":" and text[i + 2].isdigit() for i in range(len(text) - 2))


def _is_quote(lines: list[str], index: int) -> bool:
    following = next((line for line in lines[index : index + _LOOK_AHEAD] if line.strip()), "")
    return following.lstrip().startswith(">")
