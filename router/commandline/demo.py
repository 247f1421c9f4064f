"""What the demo adds to a daemon: its own channel type, its pages, ports of one's choice, and sample messages."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from router.console.sessions import Sessions
from router.demo.feed import feed
from router.demo.page import Demo
from router.demo.people import People
from router.errors import SignpostError
from router.settings import Address
from router.web.pages import Pages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from config.load import Configuration
    from config.schema import ConfiguredChannel
    from router.interfaces import Progress
    from router.parts import Parts

MAIL_IN, TEXT_LINE, DEPARTMENTS = "mail-in", "text-line", "departments-mail"  # channels of config/demo.yaml
_PROGRESS = re.compile(r"Training: (.*) \((\d+)%\)")
_GOES_ON = "What served before goes on serving."
_OUTCOMES = MappingProxyType(
    {"champion": "It serves now.", "rolled_back": f"You went back from this very version. {_GOES_ON}"}
)
_PAUSE_S = 1.5  # between sample messages
_KNOCK_S = 0.1


def demo_path() -> Path:
    """Return the demo's configuration, which comes with the package."""
    return Path(str(files("config") / "demo.yaml"))


def redirected(configuration: Configuration, port: int, smtp_port: int) -> Configuration:
    """Return the demo's configuration with other ports."""
    channels = dict(configuration.channels)
    channels[MAIL_IN] = _listening(channels[MAIL_IN], Address("127.0.0.1", smtp_port))
    return replace(
        configuration,
        http=configuration.http.model_copy(update={"listen": Address("127.0.0.1", port)}),
        organization=configuration.organization.model_copy(update={"public_url": f"http://127.0.0.1:{port}"}),
        channels=MappingProxyType(channels),
    )


def _listening(channel: ConfiguredChannel, address: Address) -> ConfiguredChannel:
    return replace(channel, settings=channel.settings.model_copy(update={"listen": address}))


def mount(configuration: Configuration, parts: Parts, application: web.Application) -> None:
    """Add the demo's pages, and its way into the console."""
    departments: Any = configuration.channels[DEPARTMENTS].settings
    mail_in: Any = configuration.channels[MAIL_IN].settings
    organization, console = configuration.organization, configuration.console
    assert console is not None  # config/demo.yaml has one
    pages = Pages(organization.name, colour=organization.colour)
    common = {"smtp": mail_in.listen, "text_line": f"/webhooks/{TEXT_LINE}"}
    Demo(
        commands=parts.commands,
        store=parts.store,
        desks=parts.desks,
        pages=pages,
        public_url=organization.public_url,
        zone=ZoneInfo(organization.timezone),
        departments_dir=Path(departments.path),
        retrain=partial(retrain, configuration.path),
        log=parts.log,
        common=common,
    ).mount(application)
    session = console.session
    People(
        commands=parts.commands,
        store=parts.store,
        sessions=Sessions(parts.store, organization.public_url, idle=session.idle, longest=session.longest),
        pages=pages,
        public_url=organization.public_url,
        common=common,
    ).mount(application)


async def retrain(configuration: Path, progress: Progress) -> str:
    """Run `signpost train` in a process of its own, so that the daemon stays small; return the gate's sentence."""
    arguments = ["-P", "-m", "router", "--config", str(configuration), "train", "--json"]
    pipe = asyncio.subprocess.PIPE
    training = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=pipe, stderr=pipe)
    try:
        said, printed = await asyncio.gather(_follow(training, progress), _printed(training))
        await training.wait()
    except asyncio.CancelledError:  # the demo stops
        with suppress(ProcessLookupError):
            training.kill()
        await training.wait()
        raise
    try:
        result = json.loads(printed)
        return f"{result['verdict']['sentence']} {_OUTCOMES.get(result['state'], _GOES_ON)}"
    except (ValueError, KeyError) as error:
        raise SignpostError(said or "the training stopped without a word") from error


async def _follow(training: asyncio.subprocess.Process, progress: Progress) -> str:
    """Pass on what a training says of its progress; return the last line that is something else."""
    assert training.stderr is not None
    last = ""
    async for raw in training.stderr:
        line = raw.decode(errors="replace").strip()
        known = _PROGRESS.fullmatch(line)
        if known:
            progress(known[1], int(known[2]) / 100)
        elif line:
            last = line.removeprefix("signpost: ")
    return last


async def _printed(training: asyncio.subprocess.Process) -> bytes:
    assert training.stdout is not None
    return await training.stdout.read()


class Feeder:
    """Sends sample messages to the demo while it runs."""

    def __init__(self, configuration: Configuration) -> None:
        self._http = configuration.http.listen
        mail_in: Any = configuration.channels[MAIL_IN].settings
        self._smtp: Address = mail_in.listen

    async def running(self, _application: web.Application) -> AsyncIterator[None]:
        """Send from the start of the application to its end."""
        task = asyncio.create_task(self._feed(), name="feed")
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _feed(self) -> None:
        for address in (self._http, self._smtp):
            await _open(address)
        await feed(f"http://{self._http}", self._smtp, _PAUSE_S, Random(0))


async def _open(address: Address) -> None:
    """Return when somebody listens there."""
    while True:
        try:
            _reader, writer = await asyncio.open_connection(address.host, address.port)
        except OSError:
            await asyncio.sleep(_KNOCK_S)
        else:
            writer.close()
            return
