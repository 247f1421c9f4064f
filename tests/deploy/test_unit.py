"""The systemd unit: systemd understands it, it confines the daemon well, and the daemon works under it."""

from __future__ import annotations

import ctypes.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from router.commandline.frame import CONFIG_ERROR
from tests.acceptance.daemon import STOP_S
from tests.acceptance.district import district, smtp_port, steer
from tests.acceptance.senders import by_form, by_smtp, mail
from tests.deploy.confined import settings
from tests.unit.router.commandline import write_rows

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "signpost.service"
CONFINED = Path(__file__).with_name("confined.py")
COMMAND = Path(sys.executable).with_name("signpost")
EXPOSURE = 15  # tenths, of 100: what systemd-analyze calls "OK" ends at 40

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze isn't installed")
needs_seccomp = pytest.mark.skipif(not ctypes.util.find_library("seccomp"), reason="libseccomp isn't installed")


def analyze(*arguments):
    """Run systemd-analyze; it prints what it dislikes."""
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def installed(folder, text):
    """Write a unit for this machine, where the command isn't in /usr/local/bin, and return its path."""
    assert "=/usr/local/bin/signpost " in text
    path = folder / "signpost.service"
    path.write_text(text.replace("=/usr/local/bin/signpost ", f"={COMMAND} "))
    return str(path)


@needs_systemd
def test_systemd_understands_the_unit(tmp_path):
    """`systemd-analyze verify` has nothing to say, and would have: it finds a setting that there isn't."""
    text = UNIT.read_text()
    assert analyze("verify", installed(tmp_path, text)) == (0, "")
    assert "Watchdogs" in analyze("verify", installed(tmp_path, text.replace("WatchdogSec", "Watchdogs")))[1]


@needs_systemd
def test_what_stands_commented_out_is_right_too(tmp_path):
    """The lines for secrets and for port 25 are understood as they stand."""
    text = re.sub(r"^#(?=[A-Z]\w+=)", "", UNIT.read_text(), flags=re.MULTILINE)
    assert "\nLoadCredential=" in text
    assert "\nAmbientCapabilities=CAP_NET_BIND_SERVICE" in text
    assert analyze("verify", installed(tmp_path, text)) == (0, "")


@needs_systemd
def test_the_unit_confines_the_daemon(tmp_path):
    """The exposure level of `systemd-analyze security` is low, and wouldn't be with any one of the main limits gone."""
    text = UNIT.read_text()

    def exposure(unit):
        return analyze("security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE}", installed(tmp_path, unit))

    status, said = exposure(text)
    assert status == 0, said
    without = re.sub(r"^(SystemCallFilter|ProtectSystem|CapabilityBoundingSet)=.*\n", "", text, flags=re.MULTILINE)
    assert exposure(without)[0] != 0


@needs_systemd
def test_the_service_has_a_user(tmp_path):
    """systemd-sysusers understands the file, which makes the user and the group that the unit names."""
    given = settings(UNIT)
    command = ["systemd-sysusers", "--dry-run", str(DEPLOY / "signpost.sysusers")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"u {given['User'][0]} - " in (DEPLOY / "signpost.sysusers").read_text()
    assert given["User"] == given["Group"]


def test_the_unit_and_the_program_agree():
    """The time to stop is longer than the program needs, and the status of a wrong configuration restarts nothing."""
    given = settings(UNIT)
    assert int(given["TimeoutStopSec"][0]) > STOP_S
    assert given["RestartPreventExitStatus"] == [str(CONFIG_ERROR)]
    assert given["ExecStart"][0].endswith(" run")
    assert given["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


@needs_systemd
@needs_seccomp
def test_what_the_unit_forbids_is_refused():
    """Under its limits even root can't change the clock or the root folder, write code or read the wire."""
    program = """
import json, mmap, os, socket, time
def attempt(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__ if isinstance(error, PermissionError) else error.errno
    return "done"
print(json.dumps([
    attempt(lambda: os.chroot("/")),
    attempt(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())),
    attempt(lambda: os.sched_setaffinity(0, {0})),
    attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()),
    attempt(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE).close()),
]))
"""
    command = [sys.executable, str(CONFINED), str(UNIT), sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [*["PermissionError"] * 3, 97, "done", "done"]


@needs_systemd
@needs_seccomp
async def test_the_daemon_works_under_the_limits_of_its_unit(daemons, tmp_path, relay):
    """A model is trained, mail and form are parsed in children, classified, delivered: with what the unit allows."""
    daemon = daemons(tmp_path, district(tmp_path, relay.port))
    daemon.launcher = (sys.executable, str(CONFINED), str(UNIT))
    rows = write_rows(tmp_path / "rows.jsonl")
    trained = await daemon.command("train", "--no-corpus", "--data", rows, "--out", tmp_path / "model")
    assert trained.status == 0, trained.err
    await daemon.start()
    await by_form(daemon.url, {"email": "ana@home.example", "message": steer("transportation")})
    await by_smtp(smtp_port(daemon.configuration), mail("confined", "When does my son's bus come in the morning?"))
    done = await daemon.settled()
    assert done["messages"]["routed"] == 2
    assert done["deliveries"]["delivered"] == 2
    reasons = {each["reason"] for each in daemon.events("message_decided")}
    assert "rule" in reasons  # the form's
    assert reasons & {"model", "abstained"}  # the mail's: it was parsed, and the model was asked
    await daemon.stop()
