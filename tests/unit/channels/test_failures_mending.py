"""What servers and systems say, and the remedy that it leads to: each case by the words that are really said."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from channels._failures import Phase
from channels._failures_mending import (
    certificate,
    connection,
    refused_envelope,
    sign_in,
    token,
    turned_away,
    twilio_account,
)
from router.errors import SourceUnavailable


@pytest.mark.parametrize(
    ("said", "host", "what", "mend"),
    [
        (
            "ALERT Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)",
            "imap.gmail.com",
            "wants an app password",
            "make an app password",
        ),
        ("534 5.7.9 Application-specific password required", "smtp.gmail.com", "app password", "app password"),
        ("AUTHENTICATIONFAILED Invalid credentials (Failure)", "imap.gmail.com", "refused the user", "app password"),
        ("ALERT Please log in via your web browser", "imap.gmail.com", "browser first", "sign in to this account"),
        ("WEBALERT Web login required", "imap.gmail.com", "browser first", "two-step"),
        ("ALERT Your account is not enabled for IMAP use", "imap.gmail.com", "switched off", "switch IMAP on"),
        ("LOGIN failed", "outlook.office365.com", "refused the user", "auth: xoauth2"),
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant",
            "smtp.office365.com",
            "Sending with a password is switched off",
            "authenticated SMTP",
        ),
        ("AUTHENTICATIONFAILED Authentication failed", "imap.example.org", "refused the user", "password_env"),
        ("535 5.7.8 Error: authentication failed", "smtp.example.org", "refused the user", "password_env"),
        ("UNAVAILABLE Temporary authentication failure", "imap.example.org", "can't look passwords up", "later"),
        ("PRIVACYREQUIRED Plaintext authentication disallowed", "imap.example.org", "unencrypted", "tls: starttls"),
        ("454 4.7.0 Too many login attempts", "smtp.gmail.com", "no more sign-ins", "quarter of an hour"),
    ],
)
def test_a_password_that_is_refused(said, host, what, mend):
    """The reason stands in the sentence, the server's words too, and the remedy fits the provider."""
    found = sign_in(said, host=host, by_token=False)
    assert what in found.what
    assert said[:40].split("https")[0] in found.what
    assert mend in found.mend


@pytest.mark.parametrize(
    ("said", "host", "mend"),
    [
        ("AUTHENTICATE failed", "outlook.office365.com", "New-ServicePrincipal"),
        ("User is authenticated but not connected", "outlook.office365.com", "Add-MailboxPermission"),
        ("status 400 Invalid SASL argument", "imap.gmail.com", "https://mail.google.com/"),
        ("Authentication failed", "imap.example.org", "scope"),
    ],
)
def test_a_token_that_is_refused_by_the_mailbox(said, host, mend):
    """Each provider has its own reasons."""
    assert mend in sign_in(said, host=host, by_token=True).mend


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("401 invalid_client AADSTS7000222: The provided client secret keys for app are expired", "has expired"),
        ("401 invalid_client AADSTS7000215: Invalid client secret provided", "value (not its id)"),
        ("400 unauthorized_client AADSTS700016: Application with identifier was not found", "client_id"),
        ("400 invalid_request AADSTS90002: Tenant not found", "correct tenant"),
        ("401 unauthorized_client Client is unauthorized to retrieve access tokens", "domain-wide delegation"),
        ("400 invalid_grant Token has been expired or revoked.", "consent anew"),
        ("400 invalid_grant Invalid JWT: Token must be a short-lived token", "clock"),
        ("can't be reached (ClientConnectorError)", "firewall"),
        ("418 something new", "provider's page"),
    ],
)
def test_a_token_that_cannot_be_had(said, mend):
    """The provider's own code leads to the remedy, and is told."""
    found = token(f"the token server answered {said}")
    assert mend in found.mend
    assert said.rstrip(".") in found.what


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "There is no host named mail.example.org."),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "The name mail.example.org can't be looked up"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "Nothing listens on mail.example.org, port 993"),
        (TimeoutError(), "mail.example.org, port 993 doesn't answer."),
        (OSError(errno.ETIMEDOUT, "timed out"), "mail.example.org, port 993 doesn't answer."),
        (OSError(errno.EHOSTUNREACH, "no route"), "There is no way in the network to mail.example.org, port 993."),
        (ConnectionResetError(), "mail.example.org, port 993 closed the connection at once."),
        (RuntimeError("odd"), "The conversation with mail.example.org, port 993 failed: odd."),
    ],
)
def test_a_connection_that_does_not_come_about(error, what):
    """The cause counts, however deep it lies."""
    try:
        raise SourceUnavailable(str(error)) from error
    except SourceUnavailable as wrapped:
        found = connection(wrapped, "mail.example.org", 993)
    assert found.what.startswith(what)
    assert found.mend


@pytest.mark.parametrize(
    ("code", "what", "mend"),
    [
        (62, "is for another name than mail.example.org. It is for a.example, b.example.", "write the host"),
        (64, "isn't for the address mail.example.org", "host's name"),
        (10, "has expired", "renew"),
        (9, "isn't valid yet", "clock"),
        (18, "an authority that this machine doesn't know", "ca_file"),
        (20, "an authority that this machine doesn't know", "ca_file"),
        (23, "isn't trusted: certificate revoked.", "administrator"),
    ],
)
def test_a_certificate_that_is_not_trusted(code, what, mend):
    """OpenSSL's reason is told in words."""
    error = ssl.SSLCertVerificationError(1, "verify failed")
    error.verify_code, error.verify_message = code, "certificate revoked"
    found = certificate(error, "mail.example.org", ["a.example", "b.example"])
    assert what in found.what
    assert mend in found.mend


@pytest.mark.parametrize(
    ("code", "text", "phase", "mend"),
    [
        (550, "5.7.60 SMTP; Client does not have permissions to send as this sender", Phase.SENDER, "send as"),
        (530, "5.7.57 Client not authenticated to send mail", Phase.SENDER, "set username"),
        (450, "4.1.8 Sender address rejected: Domain not found", Phase.SENDER, "whose domain exists"),
        (550, "5.1.1 The email account that you tried to reach does not exist", Phase.RECIPIENT, "correct the address"),
        (550, "5.7.54 SMTP; Unable to relay recipient in non-accepted domain", Phase.RECIPIENT, "sign in"),
        (450, "4.2.0 Recipient address rejected: Greylisted", Phase.RECIPIENT, "greylisting"),
        (571, "something new", Phase.RECIPIENT, "ask the server's administrator"),
    ],
)
def test_an_envelope_that_is_not_taken(code, text, phase, mend):
    """The reply stands in the sentence, with its code."""
    found = refused_envelope(code, text, phase, "office@d.example")
    assert f'"{code} {text}"' in found.what
    assert mend in found.mend


def test_a_server_that_turns_us_away():
    """Its own words are told, on one line and without quotation marks of its own."""
    found = turned_away("mx.example.org, port 25", 554, '5.7.1 "blocked"\r\nsee https://b.example.')
    assert found.what.endswith("it answers \"554 5.7.1 'blocked' see https://b.example\".")


@pytest.mark.parametrize(
    ("status", "mend"),
    [(401, "auth_token_env"), (403, "token"), (404, "account_sid"), (429, "minute"), (500, "status.")],
)
def test_an_account_that_twilio_does_not_show(status, mend):
    """Each status leads to what can be done."""
    assert mend in twilio_account(status, None).mend
