"""What an outside answer means to the person who sets a channel up: what is wrong, in a sentence, and how to mend it.

The other half of `_failures`, which says what it means for a message that is on its way.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import TYPE_CHECKING

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    InvalidURL,
    ServerDisconnectedError,
)

from channels._failures import Phase
from router.findings import Finding, failed, remark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# --- getting there ----------------------------------------------------------------------------------------------------

_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})
_FIREWALL = (
    "correct the host and the port if they are wrong; else a firewall on the way drops the connection: "
    "have it let this machine out to that port"
)
# X509_V_ERR_… of OpenSSL's x509_vfy.h
_NOT_YET, _EXPIRED, _WRONG_NAME, _WRONG_ADDRESS = 9, 10, 62, 64
_UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what caused it, from the outside in; aiohttp's wrappings are left out."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ClientConnectorCertificateError):
            seen = seen.certificate_error
        elif isinstance(seen, ClientConnectorError):
            seen = seen.os_error
        else:
            yield seen
            seen = seen.__cause__


def connection(error: BaseException, host: str, port: int) -> Finding:
    """Tell why there is no connection to a port."""
    for cause in causes(error):
        found = _no_name(cause, host) if isinstance(cause, socket.gaierror) else _no_way(cause, f"{host}, port {port}")
        if found is not None:
            return found
    return failed(
        f"The conversation with {host}, port {port} failed: {told(error)}.",
        "see whether it is the right server and the right port for this type of channel",
    )


def _no_name(cause: socket.gaierror, host: str) -> Finding:
    if cause.errno == socket.EAI_AGAIN:
        return failed(
            f"The name {host} can't be looked up: no name server (DNS) gives an answer.",
            "look at this machine's network and name servers, and at the spelling of the name",
        )
    return failed(f"There is no host named {host}.", "correct the name: is it spelt as the provider says?")


def _no_way(cause: BaseException, place: str) -> Finding | None:
    match cause:
        case ConnectionRefusedError():
            what, mend = (
                f"Nothing listens on {place}: the connection was refused.",
                ("correct the host or the port, or start the server there"),
            )
        case ConnectionResetError() | ServerDisconnectedError():
            what, mend = (
                f"{place} closed the connection at once.",
                ("have its administrator let this machine in, and see whether the port is the right one"),
            )
        case TimeoutError() | OSError(errno=errno.ETIMEDOUT):
            what, mend = f"{place} doesn't answer.", _FIREWALL
        case OSError(errno=code) if code in _UNREACHABLE:
            what, mend = f"There is no way in the network to {place}.", f"look at this machine's network; {_FIREWALL}"
        case _:
            return None
    return failed(what, mend)


def request(error: BaseException, url: str, host: str, port: int) -> Finding:
    """Tell why an HTTP request had no answer."""
    for cause in causes(error):
        if isinstance(cause, InvalidURL):
            return failed(f"{url} is no address that can be asked.", "correct the address")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return certificate(cause, host, ())
        if isinstance(cause, ssl.SSLError):
            return failed(
                f"{host}, port {port} doesn't speak TLS as it should ({told(cause)}).",
                "correct the port, or set up TLS (https) there",
            )
    return connection(error, host, port)


def told(error: BaseException) -> str:
    """Return what an exception says, in a few words and without a full stop."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError):
            return (cause.reason or type(cause).__name__).replace("_", " ").lower()
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, ClientError):
            return cause.strerror.lower().rstrip(".")
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


# --- certificates -----------------------------------------------------------------------------------------------------


def certificate(error: ssl.SSLCertVerificationError, host: str, names: Sequence[str]) -> Finding:
    """Tell why a server's certificate isn't trusted; `names` are those it is for, where they are known."""
    listed = f" It is for {', '.join(names[:5])}." if names else ""
    match getattr(error, "verify_code", 0):
        case code if code == _WRONG_NAME:
            return failed(
                f"The server's certificate is for another name than {host}.{listed}",
                "write the host as it stands in the certificate, or have the server's certificate made for this name",
            )
        case code if code == _WRONG_ADDRESS:
            return failed(
                f"The server's certificate isn't for the address {host}.{listed}",
                "write the host's name in place of its address: certificates are for names",
            )
        case code if code == _EXPIRED:
            return failed("The server's certificate has expired.", "have the server's administrator renew it")
        case code if code == _NOT_YET:
            return failed(
                "The server's certificate isn't valid yet.", "set this machine's clock right, or the server's"
            )
        case code if code in _UNKNOWN_ISSUER:
            return failed(
                f"The server's certificate comes from an authority that this machine doesn't know.{listed}",
                "if it is a server of your own, name its authority's certificate in ca_file; if it isn't, something "
                "on the way (a filter or proxy) answers in its place: have it let this connection through",
            )
    return failed(
        f"The server's certificate isn't trusted: {error.verify_message.rstrip('.')}.",
        "have the server's administrator look at it",
    )


# --- signing in to a mail server --------------------------------------------------------------------------------------

_GOOGLE, _MICROSOFT, _OTHERS = "google", "microsoft", "others"
_FOR_PROGRAMS = (
    "make an app password in the account's security settings (two-step verification must be on) and put it where the "
    "password is now"
)
_XOAUTH2 = "sign in by token: auth: xoauth2 with oauth (docs/howto/imap.md tells how)"
_SIGN_IN: tuple[tuple[str, str, str], ...] = (  # what the server says, what that means, how to mend it
    (
        r"application-specific password|app(lication)?[- ]password|5\.7\.9\b",
        "The account wants an app password, not its ordinary one",
        _FOR_PROGRAMS,
    ),
    (
        r"web ?browser|web ?login|5\.7\.14\b",
        "The provider wants a person to sign in with a browser first",
        "sign in to this account in a browser, confirm that it was you, and see that two-step verification is on; then "
        "use an app password, or sign in by token (auth: xoauth2)",
    ),
    (
        r"not enabled for imap|imap (access )?(is|has been)? ?(disabled|not enabled)|imap access disabled",
        "IMAP is switched off for this mailbox",
        "switch IMAP on in the mailbox's or the domain's settings",
    ),
    (
        r"smtpclientauth\w*.{0,40}disabled|5\.7\.139\b",
        "Sending with a password is switched off for this mailbox or the whole organization",
        "in the Exchange admin center allow authenticated SMTP for this mailbox, or " + _XOAUTH2,
    ),
    (
        r"authenticated but not connected",
        "The token is good, yet it opens no mailbox",
        "at Microsoft: give the application FullAccess to this mailbox (Add-MailboxPermission; a new permission takes "
        "up to half an hour), see that the mailbox has a licence and that IMAP is on for it",
    ),
    (
        r"basic ?auth\w* (is )?(disabled|blocked|not)|logondenied.?basicauthblocked",
        "The provider takes no passwords any more",
        _XOAUTH2,
    ),
    (
        r"plaintext authentication disallowed|privacyrequired|must issue a? ?starttls|encryption (is )?required"
        r"|5\.7\.1[01]\b",
        "The server takes no password on an unencrypted connection",
        "set tls: starttls, or tls: implicit with the port for it",
    ),
    (
        r"too many|limit|throttl|4\.7\.0\b",
        "The server takes no more sign-ins just now",
        "wait a quarter of an hour and check again; if it stays so, something else signs in to this account too often",
    ),
    (
        r"temporar|unavailable|internal|try again",
        "The server can't look passwords up just now",
        "check again later; if it stays so, tell the server's administrator",
    ),
)


def sign_in(said: str, *, host: str, by_token: bool) -> Finding:
    """Tell why a mail server (IMAP or SMTP) refused the sign-in; `said` is its reply, with or without its code."""
    quoted = f': the server says "{short(said)}"' if said else ""
    for pattern, what, mend in _SIGN_IN:
        if re.search(pattern, said, re.IGNORECASE):
            return failed(f"{what}{quoted}.", mend)
    if by_token:
        return failed(f"The server refused the access token{quoted}.", _token_mend(_provider(host)))
    return failed(f"The server refused the user name or the password{quoted}.", _password_mend(_provider(host)))


def _provider(host: str) -> str:
    name = host.lower().rstrip(".")
    if name.endswith((".office365.com", ".outlook.com", "outlook.office.com")) or name == "outlook.com":
        return _MICROSOFT
    return _GOOGLE if name.endswith((".gmail.com", ".googlemail.com", ".google.com")) else _OTHERS


def _password_mend(provider: str) -> str:
    if provider == _MICROSOFT:
        return f"Microsoft 365 takes no passwords for mailboxes: {_XOAUTH2}"
    if provider == _GOOGLE:
        return f"Google takes no account password here: {_FOR_PROGRAMS}, or {_XOAUTH2}"
    return (
        "correct username and what password_env or password_file holds (sign in with both in the provider's web mail); "
        "some providers want an app password in its place, or the whole address as username"
    )


def _token_mend(provider: str) -> str:
    if provider == _MICROSOFT:
        return (
            "username must be the mailbox's address; register the application in Exchange with the object id of the "
            "enterprise application (New-ServicePrincipal), and give it FullAccess (Add-MailboxPermission)"
        )
    if provider == _GOOGLE:
        return (
            "username must be the mailbox's address; the scope must be https://mail.google.com/, and for a service "
            "account the domain-wide delegation must name the account's unique id with that scope"
        )
    return "compare username and scope with what the provider's page says"


_TOKEN: tuple[tuple[str, str], ...] = (  # the error of a token server (RFC 6749, Entra's AADSTS numbers) and its remedy
    (r"AADSTS7000222\b", "the client secret has expired: make a new one in Entra and put it where the old one is"),
    (r"AADSTS7000215\b|invalid_client", "put in the client secret's value (not its id), made for this client_id"),
    (r"AADSTS700016\b", "correct client_id, or tenant: this directory has no such application"),
    (r"AADSTS(90002|900023)\b", "correct tenant: Microsoft knows no such directory"),
    (r"AADSTS65001\b|consent", "an administrator has to grant the application's permissions (admin consent)"),
    (r"AADSTS(70011|1002012)\b|invalid_scope", "leave scope out, or set it as the provider's page says"),
    (r"unauthorized_client", "allow this client the scope: at Google by domain-wide delegation, in the Admin console"),
    (r"\bjwt\b|token must be|short-lived|\biat\b", "set this machine's clock right; then see whether the key file is "
                                                    "current"),
    (r"invalid_grant", "the refresh token was withdrawn or has expired, or the mailbox's address is wrong: give "
                       "consent anew and put the new token in"),
    (r"can't be reached", "let this machine reach the token server (DNS, firewall); token_url must be right"),
)  # fmt: skip


def token(said: str) -> Finding:
    """Tell why no access token could be had; `said` is our own sentence with the provider's error in it."""
    mend = next((mend for pattern, mend in _TOKEN if re.search(pattern, said, re.IGNORECASE)), "")
    sentence = f"There is no access token: {said.rstrip('.')}."
    return failed(sentence, mend or "compare the settings below oauth with the provider's page")


# --- a mail server's other replies ------------------------------------------------------------------------------------

_REPLIES: tuple[tuple[Phase, str, str], ...] = (
    (Phase.SENDER, r"\bdomain\b.*(not found|not exist|resolve)|\bmx\b",
     "set from to an address whose domain exists and takes mail"),
    (Phase.SENDER, r"not owned|send ?as|5\.7\.60\b|not (permitted|allowed)|denied|reject|relay",
     "allow the account of username to send as this address, or set from to the account's own address"),
    (Phase.SENDER, r"auth", "set username and password_env: the server takes mail only from those who sign in"),
    (Phase.RECIPIENT, r"relay",
     "sign in (username, password_env), or have the server's administrator allow this machine's address to relay"),
    (Phase.RECIPIENT, r"auth", "set username and password_env: the server takes mail only from those who sign in"),
    (Phase.RECIPIENT, r"5\.1\.\d|5\.2\.1|unknown|no such|does(n't| not) exist|not found|invalid|reject",
     "correct the address in deliver, or have the mailbox made"),
)  # fmt: skip


def refused_envelope(code: int, text: str, phase: Phase, address: str) -> Finding:
    """Tell why a mail server doesn't take our sender, or a recipient; `text` is the reply without its code."""
    who = "mail from" if phase is Phase.SENDER else "mail to"
    if phase is Phase.RECIPIENT and 400 <= code <= 499:
        return remark(
            f'The server doesn\'t take mail to {address} just now: it answers "{code} {short(text)}".',
            "nothing, if it is greylisting: mail is tried again; check once more in ten minutes",
        )
    mend = next((m for p, pattern, m in _REPLIES if p is phase and re.search(pattern, text, re.IGNORECASE)), "")
    sentence = f'The server doesn\'t take {who} {address}: it answers "{code} {short(text)}".'
    return failed(sentence, mend or "ask the server's administrator what this answer means")


def turned_away(place: str, code: int, text: str) -> Finding:
    """Tell why a mail server talks to us no further after the connection stood."""
    return failed(
        f'{place} turns us away: it answers "{code} {short(text)}".',
        "have its administrator let this machine in, or use the provider's submission server (port 587)",
    )


def short(text: str) -> str:
    """Return a reply as it fits into a sentence: one line, without quotation marks or a full stop."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200].rstrip(". ").replace('"', "'")


# --- Twilio -----------------------------------------------------------------------------------------------------------


def twilio_account(status: int, code: int | None) -> Finding:
    """Tell why Twilio doesn't show the account: HTTP status and error code (twilio.com/docs/api/errors)."""
    numbered = f"{status}, code {code}" if code else str(status)
    if status == 401:
        return failed(
            f"Twilio refuses the account SID with this auth token ({numbered}).",
            "copy both from the first page of Twilio's console (the live ones, not the test credentials), and put the "
            "token where auth_token_env or auth_token_file says",
        )
    if status == 404:
        return failed(f"Twilio knows no such account ({numbered}).", "correct account_sid, and api_base if you set it")
    if status == 403:
        return failed(f"Twilio doesn't let us look ({numbered}).", "use the auth token of this very account")
    if status == 429:
        return failed(f"Twilio has had too many requests ({numbered}).", "check again in a minute")
    return failed(f"Twilio answers {numbered}.", "see status.twilio.com, and whether api_base is right")


def joined(sentences: Iterable[str]) -> str:
    """Return a list in words: "a, b and c"."""
    items = list(sentences)
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1]))) if items else ""
