"""The district that is measured: the shipped configuration with other addresses, a daemon, and the sink it mails to."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from benchmarks.processes import ROOT, Failed, free_port, line_of, running

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

ALERTS = "alerts@maplevalley.example"
START_S = 120.0  # far beyond the limit: a slow start is a figure, not a failure
_NOWHERE = 9  # the discard port: a paused daemon connects to nobody
_POLL_S = 0.005


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder on a real disk for stores and logs, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="signpost-benchmark-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@dataclass(frozen=True, slots=True)
class District:
    """A running daemon and where it listens. `start_s` is from process start to the first 200 of /readyz."""

    process: Process
    port: int
    start_s: float

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page."""
        return await get(self.port, path)


@asynccontextmanager
async def district(
    where: Path,
    *,
    sink_port: int = _NOWHERE,
    paused: bool = False,
    sources: Mapping[str, Any] | None = None,
    learning: Mapping[str, Any] | None = None,
    store: str = "",
    console: bool = False,
    schools: Sequence[str] = (),
) -> AsyncIterator[District]:
    """Run a daemon on a store in `where`; raise `Failed` with the end of its log if it doesn't become ready.

    It is the installed command, or, `paused`, the same daemon without its later stages. `sources` are further channels,
    `learning` settings of that section, `store` the URL of a database instead of a file in `where`; `console` adds the
    staff console with local accounts, `schools` are further ones.
    """
    port = free_port()
    config = write_configuration(
        where, port, sink_port, sources or {}, learning or {}, store=store, console=console, schools=schools
    )
    arguments = ("benchmarks.daemon", str(config)) if paused else ("router", "--config", str(config), "run")
    began = time.monotonic()
    async with running(*arguments, errors=where / "daemon.err", output=where / "daemon.log") as process:
        try:
            await _until_ready(process, port)
        except Failed:
            for name in ("daemon.err", "daemon.log"):
                sys.stderr.write("".join((where / name).read_text(errors="replace").splitlines(keepends=True)[-30:]))
            raise
        yield District(process, port, time.monotonic() - began)


def write_configuration(
    where: Path,
    port: int,
    sink_port: int,
    sources: Mapping[str, Any],
    learning: Mapping[str, Any],
    *,
    store: str = "",
    console: bool = False,
    schools: Sequence[str] = (),
) -> Path:
    """Write the shipped configuration with addresses on this machine, and return its path (JSON is YAML)."""
    settings: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "config" / "signpost.yaml")
    alerts = [{"via": "relay", "to": ALERTS}]
    settings["organization"]["public_url"] = f"http://127.0.0.1:{port}"
    settings["store"] = {"url": store or f"sqlite:///{where / 'signpost.db'}"}
    settings["http"] = {"listen": f"127.0.0.1:{port}"}
    settings["operations"] = {"alerts": alerts}
    settings["routing"]["urgent"] = {"notify": alerts}
    settings["routing"]["loops"] = {"alike": "100000/h"}  # a measurement says four hundred things again and again
    settings["channels"] = {
        "contact": {"type": "web_form"},
        "relay": {
            "type": "smtp",
            "host": "127.0.0.1",
            "port": sink_port,
            "tls": "none",
            "from": "contact@maplevalley.example",
        },
        **sources,
    }
    settings["learning"] = {**settings.get("learning", {}), **learning}
    settings["schools"] |= {each: {"name": each.replace("-", " ").title()} for each in schools}
    if console:
        settings["console"] = {"local": True}
    path = where / "signpost.yaml"
    path.write_text(json.dumps(settings, indent=1, default=str))
    return path


async def _until_ready(process: Process, port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.returncode is not None:
            raise Failed(f"the daemon ended with status {process.returncode}")
        try:
            status, _body = await get(port, "/readyz")
        except OSError:
            status = 0
        if status == 200:
            return
        await asyncio.sleep(_POLL_S)
    raise Failed(f"the daemon wasn't ready after {START_S:g} s")


async def get(port: int, path: str) -> tuple[int, str]:
    """Return status and body of a page; raise OSError if nobody answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return int(head[9:12] or b"0"), body.decode()


async def post(port: int, **options: object) -> dict[str, Any]:
    """Run the load generator as a process of its own and return its results; raise `Failed` if any request failed."""
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    async with running("benchmarks.load", "--port", str(port), *arguments) as process:
        results: dict[str, Any] = json.loads(await line_of(process, within_s=120))
        await process.wait()
    if results["good"] != results["sent"] or results["hung_up"]:
        raise Failed(f"not every request was accepted: {results['statuses']}, {results['hung_up']} hung up")
    return results
