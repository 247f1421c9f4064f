"""What an outside code (SMTP reply, HTTP status, exception) means: `Retryable`, `Permanent` or `Unclear`.

Only a refusal of this very recipient or message is permanent. Whatever an administrator or time can mend (a password, a
quota, a policy) is tried again, because an expired password must not bury a day of mail. What a code means to the
person who sets a channel up is in `_failures_mending`.
"""

from __future__ import annotations

import math
import os
import re
import ssl
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ConnectionTimeoutError,
    InvalidURL,
)
from aiosmtplib.errors import (
    SMTPConnectError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPTimeoutError,
)

from router.errors import DeliveryError, Permanent, Retryable, SignpostError, Unclear

if TYPE_CHECKING:
    from datetime import datetime


class Phase(StrEnum):
    """What an SMTP reply answered."""

    SESSION = "session"  # greeting, EHLO, STARTTLS, AUTH
    SENDER = "sender"  # MAIL FROM
    RECIPIENT = "recipient"  # RCPT TO
    DATA = "data"  # DATA, or the message after its last dot


_ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")  # RFC 3463

# RFC 4954 (AUTH), RFC 5321 section 4.2.3, RFC 7504: replies about us or the moment, not about the message.
_OUR_TURN = frozenset({421, 432, 454, 503, 521, 530, 534, 535, 538})

# Enhanced codes (RFC 3463 and 7372, and what Exchange Online and Gmail add) that come with a 5xx all the same.
_MENDABLE = frozenset(
    {
        "1.7", "1.8",  # the sender's address: its domain isn't found now; Exchange: our account may not send for now
        "2.2",  # mailbox full
        "2.122",  # Exchange: this recipient gets too much at once
        "2.252",  # Exchange: may not send as the address in From
        "3.1",  # mail system full
        "3.2",  # system takes no mail now
        "4.5",  # Gmail: daily sending limit
        "1.90",  # Exchange: daily recipient limit
        "7.3",  # Exchange: not authenticated
        "7.8",  # credentials invalid
        "7.9",  # authentication mechanism too weak: an app password is needed
        "7.10",  # encryption needed
        "7.11",  # encryption required for the mechanism
        "7.14",  # Gmail: sign in with a browser first
        "7.20", "7.21", "7.22", "7.23", "7.24", "7.25", "7.26", "7.27",  # DKIM, SPF, reverse DNS of our domain
        "7.30",  # REQUIRETLS
        "7.54",  # Exchange: may not relay
        "7.57",  # Exchange: client not authenticated
        "7.60",  # Exchange: may not send as this sender
        "7.139",  # Exchange: SMTP AUTH is switched off
        "7.705", "7.708",  # Exchange: tenant over its threshold, address range not trusted yet
    }
)  # fmt: skip
_FULL_CODES = frozenset({"2.2", "3.1"})
_FULL_WORDS = re.compile(
    r"(mailbox|inbox) (is )?full|\bquota\b|insufficient (system )?storage|over its storage", re.IGNORECASE
)
_TOO_LARGE_CODES = frozenset({"2.3", "3.4"})
_TOO_LARGE = re.compile(
    r"too (large|big|long)|(message|mail|content)\W+(file )?size|size (limit|exceed)|exceeds\b.{0,40}\bsize",
    re.IGNORECASE,
)
_FULL = re.compile(r"mailbox|inbox|quota|storage", re.IGNORECASE)
_MENDABLE_WORDS = re.compile(
    r"\bquota|\brate\b|rate[- ]?limit|too (many|much|fast|quickly)|\bdaily\b|per (day|hour|minute)\b|\blimit|throttl"
    r"|(mailbox|inbox) (is )?full|insufficient (system )?(storage|resources)|over its (storage )?"
    r"|try again|temporar|greylist|graylist"
    r"|\b(start)?tls\b|encrypt|authenticat|credential|password"
    r"|relay(ing)? (access )?(denied|not|prohibited)|(not|un)\w*( permitted| allowed| able)? to relay"
    r"|blacklist|blocklist|block list|\blisted (at|by|in|on)\b|spamhaus|reputation"
    # about us, though it is a recipient that is answered (Postfix's smtpd_delay_reject)
    r"|client host|(helo|ehlo) command|sender (address )?rejected|banned sending|blocked using",
    re.IGNORECASE,
)
# What concerns our account or the whole server, though it is a recipient or a mail that is answered: the others would
# hear the same now. Not so if the status is about the recipient (X.1.x, X.2.x).
_FOR_ALL = frozenset({"1.90", "3.1", "3.2", "4.5", "7.57", "7.139", "7.705", "7.708"})
_FOR_ALL_WORDS = re.compile(
    r"\bdaily\b|sending (limit|quota|rate)|(message|submission|send) (rate|limit)|rate (limit )?exceeded|rate[- ]limit"
    r"|too (many (messages|mails)|much mail)|throttl|(thread|connections?) limit"
    r"|insufficient (system )?(storage|resources)",
    re.IGNORECASE,
)
_NOISE = re.compile(r"\S+@\S+|https?://\S+", re.IGNORECASE)  # an address or a link in a reply is no statement

_TEXT_LIMIT = 1000  # characters of a reply that are read: the patterns above are quadratic at worst

_HTTP_RETRY = frozenset({401, 402, 403, 407, 408, 421, 423, 425, 429})


def smtp_failure(code: int, text: str, phase: Phase) -> DeliveryError:
    """Tell what a failing SMTP reply means; `text` is the reply without its code (RFC 5321 section 4.2)."""
    text = text[:_TEXT_LIMIT]
    reason = f"the server answered {code} {text}".strip()
    if 500 <= code <= 599 and not _can_be_mended(code, text, phase):
        return Permanent(reason)
    # 421 ends the session whenever it comes (RFC 5321 section 3.8): that is the host's trouble.
    return Retryable(reason, host=phase in {Phase.SESSION, Phase.SENDER} or code == 421 or _is_for_all(text))


def _is_for_all(text: str) -> bool:
    enhanced = _ENHANCED.search(text)
    status = f"{enhanced[2]}.{enhanced[3]}" if enhanced else ""
    return status in _FOR_ALL or (
        not status.startswith(("1.", "2.")) and bool(_FOR_ALL_WORDS.search(_NOISE.sub("", text)))
    )


def _can_be_mended(code: int, text: str, phase: Phase) -> bool:
    enhanced = _ENHANCED.search(text)
    status = f"{enhanced[2]}.{enhanced[3]}" if enhanced else ""
    words = _NOISE.sub("", text)
    if _is_too_large(text, phase):
        return False
    if phase in {Phase.SESSION, Phase.SENDER} or code in _OUR_TURN or status in _MENDABLE:
        return True
    if status.startswith("1.") or status in {"2.0", "2.1"}:  # the address itself is wrong: no word changes that
        return bool(re.search(r"too (many|fast|quickly)|\brate\b", words, re.IGNORECASE))
    return code == 552 or bool(_MENDABLE_WORDS.search(words))  # 552 without a word on size: the mailbox is full


def is_too_large(error: Exception) -> bool:
    """Tell whether a server refused a mail for its size alone, for good (RFC 1870, section 6; X.2.3 and X.3.4)."""
    if not isinstance(error, SMTPResponseException) or not 500 <= error.code <= 599:
        return False
    return _is_too_large(error.message[:_TEXT_LIMIT], _phase(error))


def _is_too_large(text: str, phase: Phase) -> bool:
    enhanced = _ENHANCED.search(text)
    status = f"{enhanced[2]}.{enhanced[3]}" if enhanced else ""
    said = status in _TOO_LARGE_CODES or _says_too_large(_NOISE.sub("", text))
    return said and phase is not Phase.SESSION


def is_for_good(status: str, said: str) -> bool:
    """Tell whether a returned mail was refused for good: a report's status and diagnostic (RFC 3464 section 2.3).

    Not so if the mailbox or its system is full, or if a server gave up what would have passed (4.x.x). What we could
    mend ourselves, such as a policy, is refused for good here: the message mustn't wait for that unseen.
    """
    if status.startswith("4."):
        return False
    said = said[:_TEXT_LIMIT]
    codes = {status.partition(".")[2], *(f"{found[2]}.{found[3]}" for found in _ENHANCED.finditer(said))}
    if any(code.startswith("1.") for code in codes) or codes & _TOO_LARGE_CODES:
        return True
    words = _NOISE.sub("", said)
    return _says_too_large(words) or not (codes & _FULL_CODES or _FULL_WORDS.search(words))


def _says_too_large(words: str) -> bool:
    return bool(_TOO_LARGE.search(words)) and not _FULL.search(words)


def http_failure(status: int, text: str = "", retry_after: float | None = None) -> DeliveryError:
    """Tell what an HTTP status other than 2xx means; `retry_after` in seconds (see `retry_after_seconds`)."""
    reason = f"the server answered {status} {text[:_TEXT_LIMIT]}".strip()
    if 400 <= status <= 499 and status not in _HTTP_RETRY:
        return Permanent(reason)
    return Retryable(reason, retry_after)


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Read a Retry-After header (RFC 9110 section 10.2.3): seconds or a date; None if there is none or it is odd."""
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        seconds = (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def failure(error: Exception) -> DeliveryError:
    """Tell what an exception of a connection means; a `DeliveryError` is returned as it is.

    Texts of unknown exceptions are left out: they may quote a message.
    """
    if isinstance(error, DeliveryError):
        return error
    if isinstance(error, SignpostError):  # no password where it should be, no token from its provider
        return Retryable(str(error))
    if isinstance(error, SMTPResponseException):
        return smtp_failure(error.code, error.message, _phase(error))
    return Retryable(_sentence(error))


def _phase(error: SMTPResponseException) -> Phase:
    match error:
        case SMTPRecipientRefused():
            return Phase.RECIPIENT
        case SMTPSenderRefused():
            return Phase.SENDER
        case SMTPDataError():
            return Phase.DATA
        case _:  # SMTPHeloError, SMTPAuthenticationError, SMTPConnectResponseError, STARTTLS
            return Phase.SESSION


def _sentence(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            text = f"the server's certificate is not trusted: {getattr(error, 'verify_message', '')}"
        case ssl.SSLError():
            text = f"TLS failed: {getattr(error, 'reason', '') or type(error).__name__}"
        case SMTPConnectError() if isinstance(error.__cause__, OSError):
            text = _sentence(error.__cause__)
        case SMTPTimeoutError() | TimeoutError():
            text = "the server didn't answer in time"
        case SMTPException():
            text = f"the connection failed: {error.message}"
        case OSError():
            text = _system_words(error)
        case _:
            text = f"unexpected {type(error).__name__}"
    return text


def _system_words(error: OSError) -> str:
    """Return what the system says, without the address that asyncio puts in its place."""
    known = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return (known or type(error).__name__).lower()


# --- requests that we post: the twilio_sms and webhook sinks ----------------------------------------------------------

_TWILIO_PAGE = "twilio.com/docs/api/errors"
# What a code says; a text with one of these will never arrive. Source: twilio.com/docs/api/errors/CODE, for each.
_TWILIO_FINAL = {
    21211: "Twilio says that this isn't a telephone number",
    21214: "Twilio says that this number can't be reached",
    21217: "Twilio says that this isn't a telephone number",
    21602: "Twilio takes no empty text",
    21610: "the person has opted out of texts from this number (STOP)",
    21614: "Twilio says that this isn't a mobile number",
    21617: "the text is too long for Twilio",
    21635: "Twilio says that this is a landline",
    30004: "the person or their carrier blocks our texts",
    30005: "the number doesn't exist any more, or can't be reached",
    30006: "this is a landline, or its carrier takes no texts",
    30007: "the carrier took the text for spam",
    63003: "there is no such number on WhatsApp",
    63016: "the person wrote last more than 24 hours ago, and WhatsApp wants a template then",
}
# Of those that time or a person can mend, the ones that say nothing about other numbers; others may concern them all.
_TWILIO_RECIPIENT = {
    21408: "texts to this country are switched off",
    21608: "a trial account writes to verified numbers only",
    21612: "this number can't be reached from ours",
    30001: "the queue is full",
    30003: "the telephone is off or out of reach",
    30008: "the carrier doesn't say why",
}


def twilio_failure(status: int, code: int | None, retry_after: float | None = None) -> DeliveryError:
    """Tell what Twilio's answer means: HTTP status and error code (twilio.com/docs/api/errors).

    Twilio's own sentences are left out: they repeat the number. Only what is wrong with this recipient or text is
    permanent; credentials, registrations, quotas and regions can be mended while the text waits.
    """
    if code in _TWILIO_FINAL:
        return Permanent(f"{_TWILIO_FINAL[code]} ({code})")
    if code:
        reason = f"Twilio answered {status} with code {_twilio_code(code)}"
        return Retryable(reason, retry_after, host=code not in _TWILIO_RECIPIENT)
    return Retryable(f"Twilio answered {status}", retry_after)


def twilio_fate(code: int | None) -> tuple[str, bool]:
    """Tell why a text that Twilio had taken wasn't delivered, and whether trying again is no use.

    By the same codes as `twilio_failure` (twilio.com/docs/messaging/guides/debugging-common-issues).
    """
    if code in _TWILIO_FINAL:
        return f"{_TWILIO_FINAL[code]} ({code})", True
    return (
        f"Twilio took it and didn't deliver it: {'code ' + _twilio_code(code) if code else 'it gives no code'}",
        False,
    )


def _twilio_code(code: int) -> str:
    says = _TWILIO_RECIPIENT.get(code)
    return f"{code}{f', {says}' if says else ''} ({_TWILIO_PAGE}/{code})"


def post_failure(error: Exception) -> DeliveryError:
    """Tell what an exception of an HTTP POST means: before the connection stood, it didn't arrive; after, who knows."""
    if isinstance(error, DeliveryError):
        return error
    if isinstance(error, SignpostError):  # a secret that isn't there, for one
        return Retryable(str(error))
    if isinstance(error, InvalidURL):
        return Permanent("the address is no URL")
    if not isinstance(error, ClientConnectorError | ConnectionTimeoutError):
        if isinstance(error, TimeoutError):
            return Unclear("the server didn't answer in time: it may have arrived")
        if isinstance(error, ClientError | OSError):
            return Unclear("the connection was lost before the answer: it may have arrived")
    return Retryable(_unconnected(error))


def _unconnected(error: Exception) -> str:
    match error:
        case ClientConnectorDNSError():
            return "the host name can't be found"
        case ClientConnectorCertificateError(certificate_error=Exception() as cause):
            return _sentence(cause)
        case ClientConnectorError():
            return _sentence(error.os_error)
        case ConnectionTimeoutError():
            return "no connection in time"
        case _:
            return f"unexpected {type(error).__name__}"
