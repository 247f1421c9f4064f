"""A real Dovecot for tests: unprivileged, on free loopback ports, with a certificate of its own.

Made by `Dovecot.make`; `start`, `stop` and `kill` act on the process that was started and on nothing else.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

USER, PASSWORD, TOKEN = "contact@maplevalley.example", 'pass "word" \\ñ', "a-good-token"
_PROGRAM = "/usr/sbin/dovecot"
_PATIENCE_S = 20.0
_CONFIG = """\
base_dir = {base}/run
state_dir = {base}/state
instance_name = {name}
log_path = {base}/log
protocols = imap
listen = 127.0.0.1
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
first_valid_uid = 1
mail_home = {base}/homes/%u
mail_location = maildir:~/Maildir
ssl = yes
ssl_cert = <{base}/cert.pem
ssl_key = <{base}/key.pem
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
# Tests sign in often, and all from one address.
mail_max_userip_connections = 1000
imap_idle_notify_interval = 2 mins
passdb {{
  driver = passwd-file
  mechanisms = xoauth2
  args = {base}/tokens
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login
  args = {base}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/homes/%u
}}
service anvil {{
  chroot =
  # Else every sign-in after a failed one from this address waits up to 15 s.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service stats {{
  chroot =
}}
"""


class Dovecot:
    """A server with one account (`USER`, `PASSWORD`, `TOKEN`). Ports and mails stay over a restart."""

    def __init__(self, base: Path, mechanisms: str, uid: int, gid: int) -> None:
        self.base = base
        self.port, self.tls_port = _free_ports(2)
        self.ca_file = base / "cert.pem"
        self._ids = (uid, gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._delivered = 0
        for folder in ("run", "state", f"homes/{USER}"):
            (base / folder).mkdir(parents=True)
        user = pwd.getpwuid(uid).pw_name
        values = {
            "base": base,
            "name": base.name,
            "user": user,
            "group": grp.getgrgid(gid).gr_name,
            "uid": uid,
            "gid": gid,
        }
        text = _CONFIG.format(port=self.port, tls_port=self.tls_port, mechanisms=mechanisms, **values)
        (base / "dovecot.conf").write_text(text)
        (base / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
        self.honour(TOKEN)
        make_certificate(base)

    @classmethod
    @contextlib.contextmanager
    def make(cls, *, mechanisms="plain login xoauth2"):
        """Run a server for the length of a `with` block; it leaves no process and no file behind."""
        # Not below pytest's folder: that is closed to other users, and root's tests run the server as one.
        base = Path(tempfile.mkdtemp(prefix="signpost-imap-", dir="/tmp"))
        account = pwd.getpwuid(os.getuid()) if os.getuid() else pwd.getpwnam("nobody")
        server = cls(base, mechanisms, account.pw_uid, account.pw_gid)
        try:
            server._own(base, *base.rglob("*"))
            server.start()
            yield server
        finally:
            server.kill()
            shutil.rmtree(base, ignore_errors=True)

    def start(self):
        """Start it and return when it answers."""
        uid, gid = self._ids
        other = {"user": uid, "group": gid, "extra_groups": []} if os.getuid() == 0 else {}
        # Its own session, so that `kill` reaches its children and nobody else's; no pipe that they could hold open.
        with (self.base / "errors").open("ab") as errors:
            self._process = subprocess.Popen(
                [_PROGRAM, "-F", "-c", str(self.base / "dovecot.conf")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                cwd=self.base,
                **other,
            )
        self._wait_until_it_answers()

    def stop(self):
        """Stop it as an administrator does. It says BYE to idling clients, after up to ten seconds."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_PATIENCE_S)
            self.kill()

    def kill(self):
        """Kill it with all of its children."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_PATIENCE_S)
            self._process = None

    def honour(self, token):
        """Let this access token in, and no other."""
        (self.base / "tokens").write_text(f"{USER}:{{PLAIN}}{token}\n")

    def maildir(self, mailbox="INBOX"):
        """Return the folder of a mailbox."""
        root = self.base / "homes" / USER / "Maildir"
        return root if mailbox == "INBOX" else root / f".{mailbox}"

    def deliver(self, mail, mailbox="INBOX", flags=""):
        """Put a mail into a mailbox, as a delivery agent does; with Maildir flags as if somebody had read it."""
        self._delivered += 1
        folder = self.maildir(mailbox)
        for name in ("tmp", "new", "cur"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        temporary = folder / "tmp" / f"{time.time_ns()}.{self._delivered}.test"
        temporary.write_bytes(mail)
        self._own(temporary, folder, *folder.glob("*/"), self.maildir(), self.maildir().parent)
        name = temporary.name
        temporary.rename(folder / "cur" / f"{name}:2,{flags}" if flags else folder / "new" / name)

    def deliver_all(self, mails):
        """Put many mails into INBOX: what `deliver` does with each again is done once."""
        folder = self.maildir() / "new"
        folder.mkdir(parents=True, exist_ok=True)
        for mail in mails:
            self._delivered += 1
            name = folder / f"{time.time_ns()}.{self._delivered}.test"
            name.write_bytes(mail)
            self._own(name)
        self._own(folder, folder.parent, folder.parent.parent)

    def flags(self, mailbox="INBOX"):
        """Return the Maildir flags of each mail, sorted; mails nobody has looked at have none."""
        folder = self.maildir(mailbox)
        names = [path.name for part in ("new", "cur") for path in (folder / part).glob("*")]
        return sorted(name.partition(":2,")[2] for name in names)

    def renumber(self):
        """Give every mail of INBOX a new UID under a new UIDVALIDITY, as after a restore; stop the server before."""
        for path in self.maildir().glob("dovecot*"):
            path.unlink()
        # Dovecot counts UIDVALIDITY in seconds: without this a quick test would get the same number again.
        (self.maildir() / "dovecot-uidlist").write_text(f"3 V{int(time.time()) + 1000} N100\n")
        self._own(self.maildir() / "dovecot-uidlist")

    def _own(self, *paths):
        if os.getuid() == 0:
            for path in paths:
                os.chown(path, *self._ids)

    def _wait_until_it_answers(self):
        deadline = time.monotonic() + _PATIENCE_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = self.base / "log"
                raise RuntimeError(f"Dovecot doesn't start: {log.read_text() if log.exists() else ''}")

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as probe:
            return probe.recv(64).startswith(b"* OK")
        return False


def make_certificate(folder, days=2):
    """Make a key and a certificate for localhost, good for so many days."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         str(days), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out",
         "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]
