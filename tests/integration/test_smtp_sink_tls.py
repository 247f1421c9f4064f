"""The SMTP sink's encryption and sign-in, against a real server with a certificate of its own."""

from __future__ import annotations

import ssl
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.smtp import AuthResult

from channels.smtp import SmtpSettings, SmtpSink
from router.errors import Retryable
from router.testing_sinks import sample_context, sample_forward
from router.testing_smtp import SmtpServer, smtp_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def sink_to(server: SmtpServer, **changes: Any) -> AsyncIterator[SmtpSink]:
    values = {"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "router@maplevalley.example"} | changes
    sink = SmtpSink(SmtpSettings.model_validate(values), sample_context())
    try:
        yield sink
    finally:
        await sink.aclose()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a key and a certificate for localhost, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out",
         "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    (folder / "both.pem").write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return folder / "both.pem"


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def trusting(certificate: Path) -> dict[str, str]:
    return {"host": "localhost", "ca_file": str(certificate.with_name("cert.pem"))}


async def test_starttls_and_sign_in(certificate: Path, tmp_path: Path):
    """The connection is encrypted before the password from its file is sent, and the mail arrives."""
    seen: list[tuple[bytes, bytes]] = []

    def sign_in(_server: Any, session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert session.ssl is not None
        seen.append((data.login, data.password))
        return AuthResult(success=data.password == b"right")

    (tmp_path / "password").write_text("right\n")
    sign_in_settings = {"username": "router", "password_file": str(tmp_path / "password")}
    options = {"tls_context": server_tls(certificate), "auth_required": True, "authenticator": sign_in}
    async with (
        smtp_server(**options) as server,
        sink_to(server, tls="starttls", **sign_in_settings, **trusting(certificate)) as sink,
    ):
        await sink.send(sample_forward())
        assert len(server.mails) == 1
    assert seen == [(b"router", b"right")]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_mails_of_any_size_leave_one_after_the_other(certificate: Path, tls: str):
    """What an encrypted connection holds back is told by it: no mail waits for news that never comes."""
    key = "tls" if tls == "implicit" else "tls_context"
    quick = {"transfer_timeout": "5s", "command_timeout": "5s", "data_timeout": "5s"}
    async with (
        smtp_server(**{key: server_tls(certificate)}) as server,
        sink_to(server, tls=tls, **quick, **trusting(certificate)) as sink,
    ):
        sizes = (10, 10_000, 300_000, 2_000_000, 10)
        for size in sizes:
            original = b"Subject: large\r\n\r\n" + b"0123456789 0123456789 0123456789\r\n" * (size // 34)
            await sink.send(sample_forward(original=original))
        assert len(server.mails) == len(sizes)


async def test_a_wrong_password_is_retryable(certificate: Path, tmp_path: Path):
    """An expired password must not bury a day of mail, and the reason doesn't repeat it."""
    (tmp_path / "password").write_text("hunter-two")
    options = {"auth_required": True, "authenticator": lambda *_: AuthResult(success=False, handled=False)}
    async with (
        smtp_server(tls_context=server_tls(certificate), **options) as server,
        sink_to(
            server, tls="starttls", username="router", password_file=str(tmp_path / "password"), **trusting(certificate)
        ) as sink,
    ):
        with pytest.raises(Retryable, match="535") as caught:
            await sink.send(sample_forward())
    assert "hunter" not in str(caught.value)


async def test_a_missing_password_is_retryable(tmp_path: Path):
    """A secret that isn't there yet delays mail, it doesn't lose it."""
    async with smtp_server() as server, sink_to(server, username="u", password_file=str(tmp_path / "no")) as sink:
        with pytest.raises(Retryable):
            await sink.send(sample_forward())


async def test_implicit_tls(certificate: Path):
    """Encrypted from the first byte."""
    async with (
        smtp_server(tls=server_tls(certificate)) as server,
        sink_to(server, tls="implicit", **trusting(certificate)) as sink,
    ):
        await sink.send(sample_forward())
        assert len(server.mails) == 1


@pytest.mark.case("N05")
async def test_an_unknown_certificate_is_refused(certificate: Path):
    """Without the authority's file the server isn't trusted, and nothing is sent."""
    async with (
        smtp_server(tls=server_tls(certificate)) as server,
        sink_to(server, tls="implicit", host="localhost") as sink,
    ):
        with pytest.raises(Retryable, match="certificate"):
            await sink.send(sample_forward())
        assert server.commands == []


@pytest.mark.case("N05")
async def test_starttls_is_not_optional():
    """A server that doesn't offer STARTTLS gets no mail in the clear."""
    async with smtp_server() as server, sink_to(server, tls="starttls") as sink:
        with pytest.raises(Retryable):
            await sink.send(sample_forward())
        assert server.commands == []
