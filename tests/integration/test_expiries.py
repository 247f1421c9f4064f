"""What runs out by itself is known ahead: certificates, as they are really offered, and an application's secret."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

from channels._certificates import Served, presented
from channels._oauth import OAuthSettings, Tokens
from channels.imap import ImapSettings, ImapSource
from channels.smtp_server import SmtpServer, SmtpServerSettings
from router.interfaces import MemoryCursor
from router.testing import FakeClock, RecordingIntake, until, within
from router.testing_sinks import sample_context
from tests.integration.dovecot import PASSWORD, USER, Dovecot, make_certificate
from tests.unit.channels.imap_reading import reading

DAY = timedelta(days=1)


def in_days(at):
    """Return in how many days that is, nearly."""
    return round((at - datetime.now(UTC)) / DAY)


def renewed(folder, days):
    """Put another certificate in place of the present one, with a later time."""
    make_certificate(folder, days)
    for name in ("cert.pem", "key.pem"):
        os.utime(folder / name, ns=(days * 10**15, days * 10**15))


@asynccontextmanager
async def listening(folder):
    """Run a listener with the certificate of a folder."""
    settings = {"listen": "127.0.0.1:0", "tls_cert": str(folder / "cert.pem"), "tls_key": str(folder / "key.pem")}
    server = SmtpServer(SmtpServerSettings.model_validate(settings), sample_context())
    task = asyncio.create_task(server.run(RecordingIntake().accept))
    await until(lambda: server.port or task.done())
    try:
        yield server
    finally:
        task.cancel()
        await within(asyncio.wait([task]))


async def offered(server, folder):
    """Return in how many days the certificate ends that a client is shown."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await reader.readline()
    for line in (b"EHLO x\r\n", b"STARTTLS\r\n"):
        writer.write(line)
        while (await reader.readline())[3:4] == b"-":
            pass
    await writer.start_tls(ssl.create_default_context(cafile=folder / "cert.pem"), server_hostname="localhost")
    ends = ssl.cert_time_to_seconds(writer.get_extra_info("peercert")["notAfter"])
    writer.close()
    return in_days(datetime.fromtimestamp(ends, UTC))


async def test_a_renewed_certificate_was_offered_only_after_a_restart(tmp_path):
    """A certificate that was replaced on disk is offered to the next connection, and is the one that is told about."""
    make_certificate(tmp_path, 2)
    async with listening(tmp_path) as server:
        [(_, before)] = server.expiries()
        first = await offered(server, tmp_path)
        renewed(tmp_path, 90)
        second = await offered(server, tmp_path)
        [(what, after)] = server.expiries()

    assert (first, in_days(before), second, in_days(after)) == (2, 2, 90, 90)
    assert what == "the certificate (tls_cert)"


async def test_a_certificate_half_written_cut_the_listener_off(tmp_path):
    """While its files don't fit together, the former certificate is offered."""
    make_certificate(tmp_path, 2)
    async with listening(tmp_path) as server:
        (tmp_path / "cert.pem").rename(tmp_path / "good.pem")
        (tmp_path / "cert.pem").write_text("-----BEGIN CERTI")
        (tmp_path / "good.pem").rename(tmp_path / "ca.pem")
        assert server.tls_context() is not None
        assert in_days(server.expiries()[0][1]) == 2


def test_an_expired_certificate_is_still_read(tmp_path):
    """When it has run out, the day is known all the same."""
    make_certificate(tmp_path)
    for command in (
        "openssl x509 -x509toreq -in cert.pem -signkey key.pem -out request.pem",
        "openssl x509 -req -in request.pem -signkey key.pem -days 0 -out cert.pem",
    ):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    served = Served(tmp_path / "cert.pem", tmp_path / "key.pem")
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        presented(served.context(), tmp_path / "cert.pem")
    assert served.ends_at <= datetime.now(UTC)


async def test_a_listener_without_tls_has_nothing_that_runs_out():
    """Without a certificate there is nothing to tell."""
    assert SmtpServer(SmtpServerSettings.model_validate({}), sample_context()).expiries() == []


@pytest.mark.parametrize(("days", "told"), [(90, ["the certificate of localhost"]), (6, [])])
async def test_a_mail_servers_certificate(monkeypatch, days, told):
    """One that somebody may forget to renew is told about; one of a few days is a machine's to renew."""
    monkeypatch.setenv("IMAP_PASSWORD", PASSWORD)
    with Dovecot.make() as server:
        server.kill()
        make_certificate(server.base, days)
        server._own(server.base / "cert.pem", server.base / "key.pem")
        server.start()
        values = {"host": "localhost", "port": server.tls_port, "username": USER, "password_env": "IMAP_PASSWORD"}
        settings = ImapSettings.model_validate(values | {"ca_file": str(server.ca_file)})
        proofs = []
        source = ImapSource(settings, sample_context(on_proof=lambda: proofs.append(1)))
        assert source.expiries() == []
        async with reading(source, RecordingIntake()):
            await until(lambda: proofs)
        assert [what for what, _ in source.expiries()] == told
        assert all(in_days(at) == days for _, at in source.expiries())


def oauth(**changes):
    """Return settings for an application's tokens."""
    values = {"flow": "client_credentials", "token_url": "http://127.0.0.1:1/", "client_id": "app"}
    return OAuthSettings.model_validate(values | {"client_secret_env": "SECRET"} | changes)


@pytest.mark.parametrize("given", ["2027-05-31", date(2027, 5, 31)])
def test_the_day_on_which_an_applications_secret_expires(given):
    """A provider shows it once and never tells: it is a setting, in quotes or not."""
    tokens = Tokens(oauth(client_secret_expires=given), USER, clock=FakeClock(), cursor=MemoryCursor())
    assert tokens.expiries() == [("the application's secret", datetime(2027, 5, 31, tzinfo=UTC))]


@pytest.mark.parametrize("given", ["31.05.2027", 20270531, "soon", datetime(2027, 5, 31, tzinfo=UTC)])
def test_a_day_that_is_none(given):
    """What isn't a date is an error with an example."""
    with pytest.raises(ValidationError, match="such as 2027-05-31"):
        oauth(client_secret_expires=given)
