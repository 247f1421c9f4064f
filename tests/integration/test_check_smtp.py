"""`check --connect` with a relay, against a real SMTP server: what is well, and how each mistake is to be mended."""

from __future__ import annotations

import ssl
import warnings
from types import SimpleNamespace

import pytest
from aiosmtpd.smtp import AuthResult

from channels.smtp import CHANNEL
from router.findings import Level
from router.testing_checks import CheckContract, failures, findings
from router.testing_smtp import smtp_server
from tests.integration.dovecot import Dovecot, make_certificate

FROM = "contact@maplevalley.k12.us"
TO = {"destinations": ("buses@maplevalley.k12.us", "office@maplevalley.k12.us")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a certificate for localhost, a good password and a wrong one."""
    folder = tmp_path_factory.mktemp("relay")
    make_certificate(folder)
    (folder / "password").write_text("the-right-one")
    (folder / "wrong").write_text("the-wrong-one")
    return folder


@pytest.fixture
def tls(folder):
    """The server's side of TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@pytest.fixture
def settings(folder):
    """Build settings for a server."""
    password = {"username": "router", "password_file": str(folder / "password")}

    def build(server, *, signed_in=False, **changes):
        values = {"host": "localhost", "port": server.port, "tls": "none", "from": FROM, "connect_timeout": "2s"}
        return values | {"ca_file": str(folder / "cert.pem")} | (password if signed_in else {}) | changes

    build.wrong = {"password_file": str(folder / "wrong")}
    return build


def sign_in(_server, _session, _envelope, _mechanism, data):
    """Let the right password in."""
    return AuthResult(success=data.password == b"the-right-one", handled=False)


@pytest.fixture
async def guarded(tls):
    """A server that wants TLS and a password."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # aiosmtpd's own deprecations
        async with smtp_server(tls_context=tls, auth_required=True, authenticator=sign_in) as server:
            yield server


@pytest.fixture
async def plain():
    """A server that takes anything, unencrypted."""
    async with smtp_server() as server:
        yield server


async def only_failure(settings, **context):
    """Run a check in which one thing fails, and return that."""
    (found,) = failures(await findings(CHANNEL, settings, **(TO | context)))
    return found


class TestSmtpCheck(CheckContract):
    """The suite."""

    channel = CHANNEL
    secret = "the-right-one"

    @pytest.fixture(autouse=True)
    def _serve(self, guarded, settings):
        self.server, self.settings = guarded, settings

    def good(self, folder):
        return self.settings(self.server, signed_in=True, tls="starttls")

    def bad(self, folder):
        return self.settings(self.server, signed_in=True, tls="starttls") | self.settings.wrong


async def test_all_is_well(guarded, settings):
    """It connects, signs in, names sender and recipients, and sends nothing."""
    found = await findings(CHANNEL, settings(guarded, signed_in=True, tls="starttls"), **TO)
    assert not failures(found)
    assert found[0].what.startswith(f"Connected to localhost, port {guarded.port}, encrypted; the certificate is for")
    assert [finding.what for finding in found[1:]] == [
        "Signed in as router.",
        f"It takes mail from {FROM} to each of our destinations; nothing was sent.",
    ]
    assert guarded.commands == [f"MAIL {FROM}", *(f"RCPT {to}" for to in TO["destinations"])]
    assert guarded.mails == []


async def test_a_wrong_password(guarded, settings):
    """535 leads to the password, and the password isn't shown."""
    found = await only_failure(settings(guarded, signed_in=True, tls="starttls") | settings.wrong)
    assert found.what.startswith('The server refused the user name or the password: the server says "535 5.7.8')
    assert "the-wrong-one" not in str(found)


@pytest.mark.parametrize(
    ("kept", "hint"),
    [("the-right-one ", "take away the blank"), ("the-right-one\n\n", "take away the blank"),
     ('"the-right-one"', "take away the quotation marks"), ("the-wrong-one", "correct username")],
)  # fmt: skip
async def test_a_password_that_was_pasted_with_too_much(guarded, settings, folder, kept, hint):
    """A blank, a line end or quotation marks around it can be seen, and are told first."""
    (folder / "pasted").write_text(kept)
    values = settings(guarded, signed_in=True, tls="starttls", password_file=str(folder / "pasted"))
    found = await only_failure(values)
    assert found.mend.startswith(hint)
    assert "correct username" in found.mend
    assert "the-right-one" not in str(found)


async def test_a_server_that_answers_late_to_a_wrong_password(tls, settings):
    """It is told that the sign-in wasn't answered, before the time for the whole check is over."""

    def silent(_server, _session, _envelope, _mechanism, _data):
        return AuthResult(success=False, handled=True)  # which leaves the client without an answer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        async with smtp_server(tls_context=tls, auth_required=True, authenticator=silent) as server:
            found = await only_failure(settings(server, signed_in=True, tls="starttls"), within_s=1.0)
    assert found.what == "localhost takes the connection, and then doesn't answer in time."
    assert "password" in found.mend


@pytest.mark.parametrize("encrypted", [True, False])
async def test_a_server_for_mailboxes(settings, folder, encrypted):
    """The port of an IMAP server: it is told as one, and the ports for SMTP are named."""
    with Dovecot.make() as dovecot:
        if encrypted:
            values = {"tls": "implicit", "port": dovecot.tls_port, "ca_file": str(dovecot.ca_file)}
        else:
            values = {"tls": "starttls", "port": dovecot.port}
        found = await only_failure(settings(SimpleNamespace(port=0), **values))
    assert found.what == f"localhost, port {values['port']} speaks IMAP, not SMTP."
    assert found.mend == "set port 465 with tls: implicit, or 587 with tls: starttls"


async def test_no_sign_in_where_one_is_wanted(guarded, settings):
    """530 at MAIL FROM leads to username."""
    found = await only_failure(settings(guarded, tls="starttls"))
    assert found.what == f'The server doesn\'t take mail from {FROM}: it answers "530 5.7.0 Authentication required".'
    assert found.mend.startswith("set username and password_env")


async def test_a_sign_in_where_there_is_none(plain, settings):
    """A server without AUTH, port 25 mostly: the submission port is named."""
    found = await only_failure(settings(plain, signed_in=True))
    assert found.what == f"localhost, port {plain.port} offers no sign-in (AUTH)."
    assert "587" in found.mend


async def test_implicit_tls_on_a_plain_port(plain, settings):
    """The server greets unencrypted: starttls is what this port wants."""
    found = await only_failure(settings(plain, tls="implicit"))
    assert found.what == f"localhost, port {plain.port} doesn't speak TLS at once: it greets unencrypted."
    assert "port 465" in found.mend


async def test_starttls_on_an_implicit_port(tls, settings):
    """The server waits for TLS in silence: implicit is what this port wants."""
    async with smtp_server(tls=tls) as server:
        found = await only_failure(settings(server, tls="starttls"))
    assert found.what == f"localhost, port {server.port} speaks TLS at once."


async def test_a_server_without_starttls(plain, settings):
    """Nothing goes out in the clear; the port for implicit TLS is named."""
    found = await only_failure(settings(plain, tls="starttls"))
    assert found.what == f"localhost, port {plain.port} offers no encryption (STARTTLS)."


@pytest.mark.parametrize("way", ["implicit", "starttls"])
async def test_a_certificate_for_another_name(tls, settings, way):
    """The names that it is for are told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        async with smtp_server(**({"tls": tls} if way == "implicit" else {"tls_context": tls})) as server:
            found = await only_failure(settings(server, tls=way, host="127.0.0.1"))
    assert found.what == "The server's certificate isn't for the address 127.0.0.1. It is for localhost."


async def test_a_sender_that_is_not_allowed(plain, settings):
    """553 leads to from."""
    plain.mail_reply = "553 5.7.1 Sender address rejected: not owned by user router"
    found = await only_failure(settings(plain))
    assert found.what.startswith(f"The server doesn't take mail from {FROM}")
    assert "set from to the account's own address" in found.mend


async def test_a_recipient_that_is_not_there(plain, settings):
    """550 leads to the address below deliver; several with the same answer are one sentence."""
    plain.recipient_reply = "550 5.1.1 User unknown"
    found = await only_failure(settings(plain))
    assert found.what.startswith(f"The server doesn't take mail to {' and '.join(TO['destinations'])}: it answers")
    assert "correct the address in deliver" in found.mend


async def test_a_server_that_does_not_relay(plain, settings):
    """554 leads to signing in, or to the server's administrator."""
    plain.recipient_reply = "554 5.7.1 Relay access denied"
    found = await only_failure(settings(plain))
    assert found.mend.startswith("sign in (username, password_env)")


async def test_nobody_listens(settings, plain, free_port):
    """A port with nothing behind it."""
    found = await only_failure(settings(plain, port=free_port))
    assert found.what == f"Nothing listens on localhost, port {free_port}: the connection was refused."


async def test_a_ca_file_that_is_none(plain, settings, folder):
    """A ca_file with something else in it is told before anything is connected to."""
    found = await only_failure(settings(plain, tls="starttls", ca_file=str(folder / "password")))
    assert found.what.startswith("ca_file can't be used")
    assert plain.sessions == 0


async def test_a_sender_that_no_mail_can_come_back_to(plain, settings):
    """A domain that isn't one of the Internet is remarked on."""
    found = await findings(CHANNEL, settings(plain, **{"from": "router@localhost"}), **TO)
    assert found[0].level is Level.REMARK
    assert found[0].what == "No mail can come back to router@localhost: localhost is no domain of the Internet."


async def test_a_small_limit_and_a_clock_that_is_wrong(settings):
    """A limit below ours is remarked on; a greeting with a time shows a clock that is wrong."""
    async with smtp_server(data_size_limit=10_240_000, ident="ready at Tue, 1 Sep 2020 08:00:00 +0000") as server:
        found = await findings(CHANNEL, settings(server), **TO)
    assert any(each.level is Level.REMARK and "mails up to 10 MB" in each.what for each in found)
    (failure,) = failures(found)
    assert failure.what.startswith("This machine's clock is ")
    assert failure.what.endswith("ahead of that of localhost.")
