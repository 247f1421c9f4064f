"""`check --connect` with a mailbox, against a real Dovecot: what is well, and that each mistake leads to its remedy."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from channels._imap_position import Position, account_of
from channels.imap import CHANNEL, ImapSettings, ImapSource
from router.findings import Level
from router.interfaces import memory_cursors
from router.testing import RecordingIntake, until
from router.testing_checks import CheckContract, failures, findings
from router.testing_sinks import sample_context
from router.testing_smtp import smtp_server
from tests.integration.dovecot import PASSWORD, TOKEN, USER, Dovecot
from tests.unit.channels.imap_reading import mail, reading


@pytest.fixture
def dovecot():
    """A server with an empty mailbox."""
    with Dovecot.make() as server:
        yield server


@pytest.fixture
def settings(dovecot, tmp_path):
    """Build settings that suit the server."""
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    (tmp_path / "wrong").write_text("another-password")
    plain = {"host": "127.0.0.1", "port": dovecot.port, "tls": "none", "username": USER, "connect_timeout": "2s"}
    tls = {"host": "localhost", "ca_file": str(dovecot.ca_file)}

    def build(*, encrypted=False, **changes):
        return plain | {"password_file": str(tmp_path / "password")} | (tls if encrypted else {}) | changes

    build.wrong = str(tmp_path / "wrong")
    return build


async def only_failure(settings, **context):
    """Run a check in which one thing fails, and return that."""
    (found,) = failures(await findings(CHANNEL, settings, **context))
    return found


class TestImapCheck(CheckContract):
    """The suite."""

    channel = CHANNEL
    secret = PASSWORD

    @pytest.fixture(autouse=True)
    def _settings(self, settings):
        self.settings = settings

    def good(self, folder):
        return self.settings()

    def bad(self, folder):
        return self.settings(password_file=self.settings.wrong)


# --- what is well -----------------------------------------------------------------------------------------------------


async def test_all_is_well(dovecot, settings):
    """It connects, signs in, opens the mailbox and counts; nothing in the mailbox changes, not even marks."""
    for number in (1, 2):
        dovecot.deliver(mail(number))
    dovecot.deliver(mail(3), flags="S")
    found = await findings(CHANNEL, settings())
    assert [finding.what for finding in found] == [
        f"Connected to 127.0.0.1, port {dovecot.port}, unencrypted, on this machine.",
        f"Signed in as {USER} with the password.",
        "INBOX is open: 3 mails, 2 of them unread; with start: new the first run takes in none of them, and whatever "
        "comes from then on.",
    ]
    assert dovecot.flags() == ["", "", "S"]
    assert len(list((dovecot.maildir() / "new").iterdir())) == 2  # a SELECT would have moved them to cur/


@pytest.mark.parametrize(("start", "count"), [("unseen", "2"), ("all", "3")])
async def test_what_the_first_run_would_take(dovecot, settings, start, count):
    """`start` is told in numbers."""
    for number in (1, 2):
        dovecot.deliver(mail(number))
    dovecot.deliver(mail(3), flags="S")
    found = await findings(CHANNEL, settings(start=start))
    assert f"start: {start} the first run takes in {count} of them" in found[-1].what


async def test_what_waits_for_a_source_that_has_read_before(dovecot, settings):
    """Once Signpost has read the mailbox, what came since is counted, whatever its flags."""
    cursors = memory_cursors()
    cursor = cursors("mailbox:INBOX")
    dovecot.deliver(mail(1))
    source = ImapSource(ImapSettings.model_validate(settings(start="all")), sample_context(cursor=cursors))
    intake = RecordingIntake()
    async with reading(source, intake):
        await until(lambda: intake.taken)
        await until(lambda: (cursor._value or {}).get("last") == 1)  # kept after the mail was flagged
    kept = Position.from_json(await cursor.get())
    assert kept.account == account_of("127.0.0.1", USER)
    dovecot.deliver(mail(2))
    found = await findings(CHANNEL, settings(start="all"), cursor=cursors)
    assert found[-1].what == "INBOX is open: 2 mails, 1 of them unread; 1 of them waits to be taken in."


@pytest.mark.parametrize(("tls", "port"), [("implicit", "tls_port"), ("starttls", "port")])
async def test_the_certificate_is_told_with_its_end(dovecot, settings, tls, port):
    """An encrypted connection says until when its certificate is good, and remarks on one that ends soon."""
    found = await findings(CHANNEL, settings(encrypted=True, tls=tls, port=getattr(dovecot, port)))
    assert found[0].level is Level.REMARK  # the test's certificate lasts two days
    assert "encrypted; the certificate is for this name and good until 20" in found[0].what
    assert not failures(found)


async def test_a_folder_to_move_to_that_is_not_there_is_remarked_on(dovecot, settings):
    """It will be made; that is worth knowing before."""
    found = await findings(CHANNEL, settings(move_to="Routed"))
    assert found[-1].what == "There is no mailbox Routed yet: it is made when the first mail is moved to it."
    assert not failures(found)
    dovecot.deliver(mail(1), "Routed")
    assert "Routed" not in str(await findings(CHANNEL, settings(move_to="Routed")))


# --- mistakes ---------------------------------------------------------------------------------------------------------


async def test_a_wrong_password(settings):
    """The server's words are told, and where the password is."""
    found = await only_failure(settings(password_file=settings.wrong))
    assert found.what.startswith("The server refused the user name or the password: the server says")
    assert "password_env or password_file" in found.mend


async def test_a_secret_that_is_gone(settings):
    """A file that isn't there any more is told as such."""
    found = await only_failure(settings(password_file="/nowhere"))
    assert found.what.startswith("There is no password: the secret's file can't be read")


async def test_implicit_tls_on_a_plain_port(dovecot, settings):
    """The server greets unencrypted: starttls is what this port wants."""
    found = await only_failure(settings(encrypted=True, tls="implicit"))
    assert found.what == f"localhost, port {dovecot.port} doesn't speak TLS at once: it greets unencrypted."
    assert found.mend.startswith("set tls: starttls for this port, or set port 993")


async def test_starttls_on_an_implicit_port(dovecot, settings):
    """The server waits for TLS in silence: implicit is what this port wants."""
    found = await only_failure(settings(encrypted=True, tls="starttls", port=dovecot.tls_port))
    assert found.what == f"localhost, port {dovecot.tls_port} speaks TLS at once."
    assert found.mend.startswith("set tls: implicit for this port")


@pytest.mark.parametrize(("tls", "port"), [("implicit", "tls_port"), ("starttls", "port")])
async def test_a_certificate_for_another_name(dovecot, settings, tls, port):
    """The names that it is for are told."""
    found = await only_failure(settings(encrypted=True, tls=tls, port=getattr(dovecot, port), host="127.0.0.1"))
    assert found.what == "The server's certificate isn't for the address 127.0.0.1. It is for localhost."


async def test_a_server_that_takes_mail(settings, dovecot):
    """The port of an SMTP server: it is told as one, and the ports for IMAP are named."""
    async with smtp_server() as server:
        found = await only_failure(settings(port=server.port))
    assert found.what == f"127.0.0.1, port {server.port} speaks SMTP, not IMAP."
    assert found.mend == "set port 993 with tls: implicit, or 143 with tls: starttls"


async def test_a_certificate_of_nobody_known(dovecot, settings):
    """Without ca_file a server of one's own isn't trusted, and ca_file is named."""
    found = await only_failure(settings(encrypted=True, tls="implicit", port=dovecot.tls_port, ca_file=""))
    assert found.what == "The server's certificate comes from an authority that this machine doesn't know."
    assert "ca_file" in found.mend


async def test_nobody_listens(settings, free_port):
    """A port with nothing behind it."""
    found = await only_failure(settings(port=free_port))
    assert found.what == f"Nothing listens on 127.0.0.1, port {free_port}: the connection was refused."


async def test_a_host_that_is_not_there(settings):
    """A typing error in the host's name; without a name server the sentence says so."""
    found = await only_failure(settings(host="imap.exampel.invalid", tls="implicit", port=993))
    assert "imap.exampel.invalid" in found.what
    assert "spel" in found.mend


async def test_a_mailbox_with_a_typing_error(dovecot, settings):
    """What is nearly called so is named, and what there is."""
    dovecot.deliver(mail(1), "Families")
    found = await only_failure(settings(mailbox="Familys"))
    assert found.what.startswith("The mailbox Familys can't be opened")
    assert found.mend == "set mailbox to Families; there are: Families, INBOX"


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def provider():
    """A token server: `answer` is what it says."""
    application = web.Application()
    found = SimpleNamespace(answer=(200, {"access_token": TOKEN, "expires_in": 3600}))

    async def token(_request):
        status, body = found.answer
        return web.json_response(body, status=status)

    application.router.add_post("/token", token)
    async with TestServer(application) as server:
        found.url = str(server.make_url("/token"))
        yield found


@pytest.fixture
def by_token(dovecot, provider, tmp_path):
    """Return settings that sign in by token."""
    (tmp_path / "secret").write_text("client-secret")
    oauth = {"flow": "client_credentials", "token_url": provider.url, "client_id": "app"}
    oauth |= {"client_secret_file": str(tmp_path / "secret")}
    values = {"host": "127.0.0.1", "port": dovecot.port, "tls": "none", "username": USER, "auth": "xoauth2"}
    return values | {"oauth": oauth}


async def test_a_good_token(by_token):
    """The token is fetched and opens the mailbox; how long it lasts is told."""
    found = await findings(CHANNEL, by_token)
    assert not failures(found)
    assert "by an access token that is good until" in found[1].what


async def test_a_token_that_the_mailbox_refuses(by_token, provider):
    """The provider gives a token, and the mailbox wants another."""
    provider.answer = (200, {"access_token": "bad", "expires_in": 3600})
    found = await only_failure(by_token)
    assert found.what.startswith("The server refused the access token")
    assert "scope" in found.mend


async def test_a_provider_that_refuses_the_secret(by_token, provider):
    """The provider's own error leads to the client secret, which isn't shown."""
    said = {
        "error": "invalid_client",
        "error_description": "AADSTS7000222: The provided client secret keys are expired.",
    }
    provider.answer = (401, said)
    found = await only_failure(by_token)
    assert found.what.startswith("There is no access token: the token server answered 401 invalid_client")
    assert "the client secret has expired" in found.mend
    assert "client-secret" not in str(found)
