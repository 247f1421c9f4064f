"""The container image, as far as it can be built and run without an engine: the commands of its Dockerfile are."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from router.learning.bundled import default_cache_dir
from tests.acceptance.daemon import START_S, STOP_S, free_port, until
from tests.acceptance.district import district
from tests.deploy.dockerfile import ROOT, copied, copy_context, ignored, instructions, last, words

USER = 10001
STATE = "/var/lib/signpost"
INSTALLED = "/opt/signpost"


def test_what_is_copied_is_there():
    """Every source of a COPY is in the clone and gets past .dockerignore."""
    sources = [source for each, _target in copied() for source in each]
    assert {"router", "channels", "classifiers", "config", "requirements.lock"} <= set(sources)
    assert [source for source in sources if not (ROOT / source).exists() or ignored(source)] == []


@pytest.mark.parametrize(
    "path",
    ["secrets/db_password", "district/signpost.yaml", "var/signpost.db", ".git/config", "router/__pycache__/x.pyc"],
)
def test_what_must_stay_out_stays_out(path):
    """Secrets, messages and history aren't even handed to the engine that builds."""
    assert ignored(path)
    assert not ignored("router/web/templates/page.html")


def test_the_image_is_run_by_nobody_in_particular():
    """Its user is a number that isn't root's, owns the one folder that is written to, and gets SIGTERM itself."""
    assert last("USER") == str(USER)
    [made] = [text for name, text in instructions()[-1] if name == "RUN"]
    assert f"--uid {USER} --home-dir {STATE} --create-home" in made
    assert last("VOLUME") == last("WORKDIR") == STATE
    assert last("STOPSIGNAL") == "SIGTERM"
    assert [*words(last("ENTRYPOINT")), *words(last("CMD"))] == ["signpost", "run"]  # no shell between us and signals


# --- built and run ----------------------------------------------------------------------------------------------------


def _pythons():
    """Yield the Pythons that the image may be made with here: our own, and Debian's, which other users can reach."""
    yield sys.executable
    if sys.version_info[:2] == (3, 11) and Path("/usr/bin/python3.11").exists():
        yield "/usr/bin/python3.11"


def _reached_by_others(python):
    """Return whether the image's user could run this Python with our packages (a folder above them may be closed)."""
    env = {"PYTHONPATH": str(Path(pytest.__file__).parents[1])}
    try:
        done = subprocess.run([python, "-c", "import numpy"], user=USER, env=env, cwd="/", check=False)
    except PermissionError:
        return False
    return done.returncode == 0


@pytest.fixture(scope="module")
def image():
    """The image's file system, as far as it is ours, in a folder: made by the commands of the Dockerfile.

    The dependencies are those of this environment: to fetch them anew would take a minute and a network.
    """
    root = Path(tempfile.mkdtemp(prefix="signpost-image-"))
    root.chmod(0o755)
    as_root = os.geteuid() == 0
    python = next((each for each in _pythons() if as_root and _reached_by_others(each)), sys.executable)
    for folder in ("src", "etc", "state"):
        (root / folder).mkdir(mode=0o755)
    copy_context(root / "src")
    packages = Path(pytest.__file__).parents[1]
    for name, text in instructions()[0]:
        command = text.replace(INSTALLED, str(root / "opt")).replace(
            "pip --python", f"{sys.executable} -m pip --python"
        )
        if name == "RUN" and "--requirement " in command:
            [site] = (root / "opt").glob("lib/python*/site-packages")
            (site / "dependencies.pth").write_text(f"{packages}\n")
        elif name == "RUN":
            command = command.replace("python -m venv", f"{python} -m venv", 1) if "-m venv" in command else command
            subprocess.run(command, shell=True, cwd=root / "src", check=True, stdout=subprocess.DEVNULL)
    try:
        yield root
    finally:
        shutil.rmtree(root)


def _environment(image):
    """Return what ENV sets, for the folder that stands for the image."""
    pairs = dict(each.split("=", 1) for each in shlex.split(last("ENV")))
    places = {INSTALLED: f"{image}/opt", STATE: f"{image}/state", "/etc/signpost": f"{image}/etc", "$PATH": "/bin"}
    for name, value in pairs.items():
        for place, here in places.items():
            value = value.replace(place, here)  # noqa: PLW2901
        pairs[name] = value
    return pairs


async def _health(image, port, user):
    """Run the command of HEALTHCHECK and return its status."""
    command = [word.replace("8080", str(port)) for word in words(last("HEALTHCHECK"))]
    assert "8080" in last("HEALTHCHECK")
    program, said = f"{image}/opt/bin/{command[0]}", asyncio.subprocess.DEVNULL
    asked = await asyncio.create_subprocess_exec(program, *command[1:], env=_environment(image), user=user, stderr=said)
    return await asked.wait()


def _give_state(folder, user):
    """Make the folder the user's own, with the bundled model if it was trained here before: that takes a minute."""
    (folder / "cache").mkdir()
    for model in default_cache_dir(os.environ).glob("bundled-*.model"):
        shutil.copy(model, folder / "cache")
    folder.chmod(0o700)
    for path in (folder, *folder.rglob("*")) if user else ():
        os.chown(path, user, user)


def _files(folder):
    return {(path, path.lstat().st_mtime_ns) for path in folder.rglob("*")}


async def test_the_image_starts_is_healthy_and_stops(image):
    """As the image's user, the daemon runs, is found healthy, writes to its one folder only, and stops on SIGTERM."""
    user = USER if os.geteuid() == 0 and _reached_by_others(f"{image}/opt/bin/python") else None
    _give_state(image / "state", user)
    configuration = district(image / "state", free_port())
    port = int(configuration["http"]["listen"].rpartition(":")[2])
    with (image / "etc" / "signpost.yaml").open("w") as file:
        YAML().dump(configuration, file)
    before = _files(image / "opt") | _files(image / "etc")
    assert await _health(image, port, user) != 0

    command = [f"{image}/opt/bin/{words(last('ENTRYPOINT'))[0]}", *words(last("CMD"))]
    with (image / "log").open("wb") as log:
        daemon = await asyncio.create_subprocess_exec(
            *command, cwd=image / "state", env=_environment(image), user=user, stdout=log, stderr=log
        )
    try:

        async def healthy():
            assert daemon.returncode is None, (image / "log").read_text()
            return await _health(image, port, user) == 0

        await until(healthy, START_S, (image / "log").read_text)
        assert os.stat(f"/proc/{daemon.pid}").st_uid == (user or os.geteuid())  # noqa: PTH116 -- no disk is waited for
        assert (image / "state" / "signpost.db").exists()
        daemon.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_S):
            assert await daemon.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            daemon.kill()
        await daemon.wait()
    assert _files(image / "opt") | _files(image / "etc") == before
