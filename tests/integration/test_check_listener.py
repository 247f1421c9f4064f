"""`check --connect` with the SMTP listener: its port is free, ours or somebody else's, and its certificate is good."""

from __future__ import annotations

import asyncio
import socket

import pytest

from channels.smtp_server import CHANNEL, SmtpServer, SmtpServerSettings
from router.findings import Level
from router.testing import RecordingIntake, until
from router.testing_checks import CheckContract, failures, findings
from router.testing_sinks import sample_context
from router.testing_smtp import smtp_server
from tests.integration.dovecot import make_certificate


@pytest.fixture
def address(free_port):
    """An address that is free."""
    return f"127.0.0.1:{free_port}"


@pytest.fixture
async def listening(address):
    """A Signpost's listener at that address."""
    server = SmtpServer(SmtpServerSettings.model_validate({"listen": address}), sample_context())
    running = asyncio.create_task(server.run(RecordingIntake().accept))
    await until(lambda: server.port)
    yield
    running.cancel()
    await asyncio.wait([running])


class TestListenerCheck(CheckContract):
    """The suite."""

    channel = CHANNEL

    @pytest.fixture(autouse=True)
    def _choose(self, address):
        self.address = address

    def good(self, folder):
        return {"listen": self.address}

    def bad(self, folder):
        return {"listen": "192.0.2.1:2525"}


async def test_a_free_port_stays_free(address):
    """The port can be bound, and nothing listens there during or after the check."""
    found = await findings(CHANNEL, {"listen": address})
    assert [finding.what for finding in found] == [f"{address} is free to listen on."]
    host, port = address.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 5)


@pytest.mark.usefixtures("listening")
async def test_the_running_daemon(address):
    """A port that our own daemon has is fine; without a daemon of ours it is somebody else's Signpost."""
    (found,) = await findings(CHANNEL, {"listen": address}, daemon_runs=True)
    assert (found.level, found.what) == (Level.FINE, f"The running daemon listens on {address}.")
    (found,) = await findings(CHANNEL, {"listen": address}, daemon_runs=False)
    assert found.what == f"Another Signpost listens on {address}, not the one of this file."


@pytest.mark.parametrize("runs", [True, False])
async def test_another_program_has_the_port(runs):
    """It is told by its own words."""
    async with smtp_server(ident="Postfix") as other:
        (found,) = failures(await findings(CHANNEL, {"listen": f"127.0.0.1:{other.port}"}, daemon_runs=runs))
    assert found.what == f'Another program listens on 127.0.0.1:{other.port} (it says "220 mail.test Postfix").'
    assert "set listen to another port" in found.mend


async def test_an_address_of_another_machine():
    """An address that this machine hasn't."""
    (found,) = failures(await findings(CHANNEL, {"listen": "192.0.2.1:2525"}))
    assert found.what.startswith("Nobody may listen on 192.0.2.1:2525 here")


async def test_open_to_all(free_port):
    """Listening for everybody without TLS and for any recipient is remarked on twice."""
    found = await findings(CHANNEL, {"listen": f"0.0.0.0:{free_port}"})
    assert [finding.level for finding in found] == [Level.FINE, Level.REMARK, Level.REMARK]
    assert "unencrypted" in found[1].what
    assert "recipients" in found[2].mend


async def test_the_certificate(address, tmp_path):
    """It is read, tried in a handshake and told with its end; another name in the greeting is remarked on."""
    make_certificate(tmp_path)
    tls = {"listen": address, "tls_cert": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    found = await findings(CHANNEL, tls | {"hostname": "localhost"})
    assert found[1].what.startswith("STARTTLS is offered; the certificate is good until 20")
    found = await findings(CHANNEL, tls | {"hostname": "mx.maplevalley.example"})
    assert (
        found[1].what
        == "STARTTLS is offered with a certificate for localhost, and the greeting says mx.maplevalley.example."
    )
    assert not failures(found)


async def test_a_certificate_that_is_not_there(address, tmp_path):
    """A missing file, and a key that belongs to another certificate."""
    make_certificate(tmp_path)
    missing = {"listen": address, "tls_cert": str(tmp_path / "no.pem"), "tls_key": str(tmp_path / "key.pem")}
    (found,) = failures(await findings(CHANNEL, missing))
    assert found.what == "The certificate or its key can't be used: No such file or directory."
    other = tmp_path / "other"
    other.mkdir()
    make_certificate(other)
    mixed = {"listen": address, "tls_cert": str(tmp_path / "cert.pem"), "tls_key": str(other / "key.pem")}
    (found,) = failures(await findings(CHANNEL, mixed))
    assert "can't be used" in found.what
    assert "tls_cert and tls_key" in found.mend
