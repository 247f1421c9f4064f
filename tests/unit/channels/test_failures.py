"""What outside codes mean for a delivery."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime

import pytest
from aiosmtplib import errors

from channels._failures import (
    Phase,
    failure,
    http_failure,
    is_for_good,
    retry_after_seconds,
    smtp_failure,
    twilio_failure,
    twilio_fate,
)
from router.errors import Permanent, Retryable, Unclear

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)

SMTP = [
    # code, text, phase, permanent
    (421, "4.3.2 shutting down", Phase.SESSION, False),
    (450, "4.2.1 mailbox busy", Phase.RECIPIENT, False),
    (451, "4.3.0 local error", Phase.DATA, False),
    (452, "4.2.2 mailbox full", Phase.RECIPIENT, False),
    (454, "4.7.0 TLS not available", Phase.SESSION, False),
    (550, "5.1.1 <quota@school.example> no such user", Phase.RECIPIENT, True),
    (550, "5.1.1 does not exist, see https://help.example/limits-and-quota", Phase.RECIPIENT, True),
    (550, "no such user here", Phase.RECIPIENT, True),
    (550, "5.1.10 recipient not found by SMTP address lookup", Phase.RECIPIENT, True),
    (551, "user not local", Phase.RECIPIENT, True),
    (553, "5.1.3 mailbox name not allowed", Phase.RECIPIENT, True),
    (501, "5.1.3 bad recipient address syntax", Phase.RECIPIENT, True),
    (554, "5.6.0 message content rejected", Phase.DATA, True),
    (554, "5.7.1 message looks like spam", Phase.DATA, True),
    (550, "5.2.1 account disabled", Phase.RECIPIENT, True),
    (550, "5.2.1 the user receives mail too quickly", Phase.RECIPIENT, False),
    # too large: no day changes that
    (552, "5.3.4 message size exceeds fixed maximum message size", Phase.SENDER, True),
    (552, "message too large", Phase.DATA, True),
    (552, "5.2.3 message size exceeds the administrative limit", Phase.DATA, True),
    (552, "Error: Too much mail data", Phase.DATA, False),
    # a full mailbox, whatever the code
    (552, "5.2.2 mailbox size limit exceeded", Phase.RECIPIENT, False),
    (552, "requested action aborted: exceeded storage allocation", Phase.DATA, False),
    (550, "5.2.2 over quota", Phase.RECIPIENT, False),
    (554, "mailbox is full", Phase.RECIPIENT, False),
    # rates and limits dressed as permanent
    (550, "5.4.5 Daily user sending limit exceeded", Phase.DATA, False),
    (550, "5.1.90 your message can't be sent: daily recipient limit", Phase.RECIPIENT, False),
    (554, "too many messages, rate exceeded", Phase.DATA, False),
    (550, "5.7.705 tenant has exceeded its threshold", Phase.DATA, False),
    # what an administrator mends
    (530, "5.7.0 must issue a STARTTLS command first", Phase.SENDER, False),
    (534, "5.7.9 application-specific password required", Phase.SESSION, False),
    (535, "5.7.8 username and password not accepted", Phase.SESSION, False),
    (535, "5.7.139 authentication unsuccessful, SmtpClientAuthentication is disabled", Phase.SESSION, False),
    (538, "encryption required", Phase.SESSION, False),
    (550, "5.7.60 client does not have permissions to send as this sender", Phase.DATA, False),
    (554, "5.2.252 SendAsDenied; contact@b.example not allowed to send as router@b.example", Phase.DATA, False),
    (550, "5.7.26 mail from this domain is unauthenticated", Phase.DATA, False),
    (554, "5.7.1 relay access denied", Phase.RECIPIENT, False),
    (550, "5.7.54 unable to relay recipient in non-accepted domain", Phase.RECIPIENT, False),
    (554, "5.7.1 blocked: listed at zen.spamhaus.org", Phase.RECIPIENT, False),
    (550, "5.7.1 sender rejected", Phase.SENDER, False),
    (554, "no SMTP service here", Phase.SESSION, False),
    # what a server says about us, but only when it hears a recipient (Postfix's smtpd_delay_reject) or a mail
    (554, "5.7.1 <router.example[192.0.2.7]>: Client host rejected: Access denied", Phase.RECIPIENT, False),
    (554, "5.7.1 Service unavailable; Client host [192.0.2.7] blocked using bl.example", Phase.RECIPIENT, False),
    (504, "5.5.2 <router>: Helo command rejected: need fully-qualified hostname", Phase.RECIPIENT, False),
    (550, "5.1.8 <contact@b.example>: Sender address rejected: Domain not found", Phase.RECIPIENT, False),
    (553, "5.7.1 <contact@b.example>: Sender address rejected: not owned by user router", Phase.RECIPIENT, False),
    (553, "5.1.7 <contact@b.example>: Sender address rejected: bad syntax", Phase.RECIPIENT, False),
    (550, "5.1.8 Access denied, bad outbound sender", Phase.DATA, False),
    (550, "5.7.606 Access denied, banned sending IP [192.0.2.7]", Phase.RECIPIENT, False),
    (550, "5.7.1 <no@b.example>: Recipient address rejected: Access denied", Phase.RECIPIENT, True),
    (521, "host does not accept mail", Phase.SESSION, False),
    (503, "bad sequence of commands", Phase.RECIPIENT, False),
    (-1, "Malformed SMTP response", Phase.DATA, False),
    (250, "an answer in the wrong place", Phase.DATA, False),
]


@pytest.mark.parametrize(("code", "text", "phase", "permanent"), SMTP)
def test_smtp_replies(code: int, text: str, phase: Phase, permanent: bool):
    """Only a refusal of this recipient or message is permanent."""
    assert isinstance(smtp_failure(code, text, phase), Permanent if permanent else Retryable)


@pytest.mark.parametrize(
    ("code", "text", "all_of_it"),
    [
        (550, "5.4.5 Daily user sending limit exceeded", True),
        (554, "too many messages, rate exceeded", True),
        (452, "4.3.1 Insufficient system storage", True),
        (450, "4.7.1 Error: too much mail from 192.0.2.7", True),
        (550, "5.7.705 tenant has exceeded its threshold", True),
        (432, "4.3.2 sender thread limit exceeded", True),
        (450, "4.2.1 the user is receiving mail too quickly: rate exceeded", False),
        (452, "4.2.2 the mailbox is over its daily quota", False),
        (450, "4.7.1 greylisted, try again later", False),
        (451, "4.3.0 temporary lookup failure", False),
        (550, "5.2.122 the recipient's rate limit", False),
    ],
)
def test_a_quota_of_ours_concerns_all_mails(code: int, text: str, all_of_it: bool):
    """What a mail or a recipient hears about our account or the whole server isn't asked again for each mail."""
    found = smtp_failure(code, text, Phase.DATA)
    assert isinstance(found, Retryable)
    assert found.host is all_of_it


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (400, True), (401, False), (402, False), (403, False), (404, True), (408, False), (410, True), (413, True),
        (422, True), (425, False), (429, False), (500, False), (502, False), (503, False), (504, False), (302, False),
    ],
)  # fmt: skip
def test_http_statuses(status: int, permanent: bool):
    """A refusal of the content is permanent; credentials, rates and broken servers are not."""
    assert isinstance(http_failure(status), Permanent if permanent else Retryable)


def test_a_named_time_is_kept():
    """A 429 hands its Retry-After on."""
    error = http_failure(429, "slow down", retry_after=17.0)
    assert isinstance(error, Retryable)
    assert error.retry_after == 17.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0), (" 7 ", 7.0), ("Tue, 01 Sep 2026 12:01:30 GMT", 90.0), ("Tue, 01 Sep 2026 11:00:00 GMT", 0.0),
        (None, None), ("", None), ("soon", None), ("-5", None), ("1e9", None), ("9" * 50, None), ("1.5", None),
        ("Tue, 01 Sep 2026 12:01:30", None),
    ],
)  # fmt: skip
def test_retry_after(header: str | None, seconds: float | None):
    """Seconds and dates are read (RFC 9110 section 10.2.3); anything odd is no time at all."""
    assert retry_after_seconds(header, NOW) == seconds


def _with_cause(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (errors.SMTPRecipientRefused(550, "5.1.1 no such user", "x@y.example"), Permanent, "550 5.1.1 no such user"),
        (errors.SMTPSenderRefused(550, "not you", "x@y.example"), Retryable, "550 not you"),
        (errors.SMTPDataError(554, "content rejected"), Permanent, "554"),
        (errors.SMTPAuthenticationError(535, "wrong password"), Retryable, "535"),
        (errors.SMTPConnectResponseError(554, "go away"), Retryable, "554"),
        (errors.SMTPHeloError(550, "bad name"), Retryable, "550"),
        (errors.SMTPConnectTimeoutError("slow"), Retryable, "in time"),
        (errors.SMTPReadTimeoutError("slow"), Retryable, "in time"),
        (errors.SMTPServerDisconnected("Connection lost"), Retryable, "Connection lost"),
        (errors.SMTPException("AUTH not supported"), Retryable, "AUTH not supported"),
        (_with_cause(errors.SMTPConnectError("x"), ConnectionRefusedError(111, "Connection refused")), Retryable,
         "connection refused"),
        (_with_cause(errors.SMTPConnectError("x"), ssl.SSLCertVerificationError(1, "bad")), Retryable, "certificate"),
        (socket.gaierror(-2, "Name or service not known"), Retryable, "name or service not known"),
        (OSError(28, "No space left on device"), Retryable, "no space left"),
        (TimeoutError(), Retryable, "in time"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x"), Retryable, "TLS"),
    ],
)  # fmt: skip
def test_exceptions(error: Exception, kind: type[Exception], words: str):
    """A broken connection is temporary and its reason is in plain words."""
    found = failure(error)
    assert isinstance(found, kind)
    assert words in str(found)


def test_an_unknown_exception_keeps_its_text_to_itself():
    """The text of an exception nobody meant may quote a message: only its type is told."""
    found = failure(RuntimeError("Dear Ms Lopez, my son"))
    assert isinstance(found, Retryable)
    assert "Lopez" not in str(found)
    assert "RuntimeError" in str(found)


def test_our_own_errors_pass():
    """A lost answer stays what it is."""
    error = Unclear("lost")
    assert failure(error) is error


def test_a_long_reply_is_cut():
    """A hostile server's endless reply is neither searched nor kept as a whole."""
    assert len(str(smtp_failure(550, "x" * 30_000, Phase.DATA))) < 1100


@pytest.mark.parametrize(
    ("status", "said", "for_good"),
    [
        ("5.1.1", "550 5.1.1 unknown user", True),
        ("5.1.1", "550 5.1.1 quota.maker@x.example is no mailbox", True),
        ("", "550 no such user", True),
        ("5.7.1", "550 5.7.1 listed at a block list, please try again", True),
        ("5.3.4", "552 5.3.4 message size exceeds quota", True),
        ("5.2.2", "", False),
        ("5.0.0", "552 5.2.2 E4.12 user MAILBOX FULL", False),
        ("5.0.0", "550 The recipient is over its storage limit", False),
        ("5.3.1", "", False),
        ("4.4.7", "550 4.4.7 expired", False),
        ("4.1.1", "450 4.1.1 unknown for now", False),
    ],
)
def test_what_came_back_for_good(status: str, said: str, for_good: bool):
    """Only a full mailbox and what a server gave up are worth another attempt; a policy must not hide a message."""
    assert is_for_good(status, said) is for_good


@pytest.mark.case("T05")
@pytest.mark.parametrize(
    ("code", "final", "host"),
    [
        *((code, True, False) for code in (21211, 21610, 21614, 21635, 30004, 30005, 30006, 30007, 63016)),
        *((code, False, False) for code in (21408, 21608, 21612, 30001, 30003, 30008)),
        *((code, False, True) for code in (20003, 20404, 20429, 21606, 21609, 30002, 30032, 30034)),
    ],
)
def test_a_code_of_twilios_means_the_same_at_once_and_later(code: int, final: bool, host: bool):
    """In an answer, and in what Twilio says of a text that it had taken; and which concern other numbers, too."""
    error = twilio_failure(400, code)
    reason, lasting = twilio_fate(code)
    assert isinstance(error, Permanent if final else Retryable)
    assert lasting is final
    assert str(code) in str(error)
    assert str(code) in reason
    assert getattr(error, "host", False) is host
