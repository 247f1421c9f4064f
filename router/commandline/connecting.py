"""`signpost check --connect`: open the store, the pages and every channel, and say what is fine and what to mend."""

from __future__ import annotations

import asyncio
import secrets
import sys
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from router import control
from router.assemble import MAX_MESSAGE_BYTES
from router.commandline import show
from router.commandline.reach import ask_there
from router.connect import Report, Subject, examine
from router.errors import SignpostError, StoreBusy
from router.findings import Finding, Level, remark
from router.interfaces import CheckContext, SystemClock
from router.life.proof import Side
from router.signing import KeyRing
from router.store import cursors, daemons, migrate
from router.store.checking import check_store
from router.store.engine import open_store
from router.web.checking import check_pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from config.load import Configuration
    from config.schema import ConfiguredChannel
    from router.findings import Checking
    from router.store.engine import Store

_STORE_S = 3.0  # how long the channels' checks wait to know what is kept of them
_PAUSE_S = 3.0  # between two words on what is still being waited for
_WORDS = {Level.FINE: "ok", Level.REMARK: "remark", Level.FAILED: "FAILED"}


@dataclass(frozen=True, slots=True)
class Connected:
    """What came out: the reports, and whether a daemon ran meanwhile."""

    reports: list[Report]
    daemon_runs: bool

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(report.ok for report in self.reports)


def connect(configuration: Configuration, within_s: float, *, quiet: bool) -> Connected:
    """Check everything at once; unless `quiet`, print each report as soon as it is there."""
    return asyncio.run(_connect(configuration, within_s, _Teller(quiet=quiet)))


async def _connect(configuration: Configuration, within_s: float, teller: _Teller) -> Connected:
    async with AsyncExitStack() as stack:
        kept = _Kept(configuration, stack)
        runs = await kept.daemon_runs()
        subjects = list(_subjects(configuration, kept, within_s, daemon_runs=runs))
        teller.opening(len(subjects), within_s, daemon_runs=runs)
        waiting = asyncio.create_task(teller.keep_telling())
        try:
            reports = await examine(subjects, within_s, begun=teller.begun, done=teller.done)
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
    return Connected(reports, runs)


# --- what is checked --------------------------------------------------------------------------------------------------


def _subjects(configuration: Configuration, kept: _Kept, within_s: float, *, daemon_runs: bool) -> Iterator[Subject]:
    clock, url = SystemClock(), configuration.store.url_with_password()
    yield Subject("store", url.partition(":")[0], check_store(url, daemon_runs=daemon_runs, clock=clock))
    paths = {
        name: f"/{each.channel.mount}/{name}"
        for name, each in configuration.channels.items()
        if each.channel.webhook is not None and each.channel.takes_in(each.settings)
    }
    pages = partial(check_pages, daemon_runs=daemon_runs, clock=clock, limit_s=within_s * 0.4)
    yield Subject("pages", "http", pages(configuration.organization.public_url, configuration.http.listen, paths))
    destinations = _destinations(configuration)
    for name, each in configuration.channels.items():
        context = CheckContext(
            name=name,
            organization=configuration.organization.name,
            public_url=configuration.organization.public_url,
            languages=tuple(configuration.organization.languages),
            clock=clock,
            signer=KeyRing([("check", secrets.token_hex(32))], secrets.token_hex(32)),
            departments=configuration.departments,
            schools=configuration.schools,
            fallback=configuration.routing.fallback,
            max_message_bytes=MAX_MESSAGE_BYTES,
            cursor=partial(_KeptCursor, kept, name),
            destinations=tuple(destinations.get(name, ())),
            daemon_runs=daemon_runs,
            within_s=within_s,
        )
        seen = [row for row in kept.rows if row["channel"] == name] if name in paths else []
        yield Subject(name, each.type, _check_of(each, context, seen))


async def _check_of(configured: ConfiguredChannel, context: CheckContext, seen: list[dict[str, Any]]) -> Checking:
    """Yield what the channel's own check yields, or that its type has none; then what the daemon has seen of it."""
    async with aclosing(_own_check(configured, context)) as steps:
        async for step in steps:
            yield step
    for finding in _seen(seen):
        yield finding


async def _own_check(configured: ConfiguredChannel, context: CheckContext) -> Checking:
    if configured.channel.check is not None:
        said = False
        async for step in configured.channel.check(configured.settings, context):
            said = said or isinstance(step, Finding)
            yield step
        if said:
            return
    if configured.channel.webhook is not None:
        yield Finding(Level.FINE, "It is called over HTTP: see pages.")
    else:
        yield remark(f"The type {configured.type} brings no check of its own: nothing was opened.")


def _seen(rows: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield what came in by a webhook and went wrong there: whether a provider is set up well, only that can tell."""
    for row in rows:
        if row["direction"] == Side.IN and row["refused"]:
            since = (
                f"since the last good one at {row['proven_at']}" if row["proven_at"] else "so far, and none was taken"
            )
            what = f"The daemon refused {row['refused']} requests {since}. Why the last one, at {row['refused_at']}"
            yield remark(
                f"{what}: {row['refusal']}.",
                "if they are the provider's, make the secret, the way it signs and the address the same on both sides; "
                "else they are noise",
            )
        if row["direction"] == Side.IN and row["error"]:
            yield remark(f"The daemon's last trouble with it: {row['error']}.", "the next good message is the proof")


def _destinations(configuration: Configuration) -> Mapping[str, list[str]]:
    """Return what each sink delivers to, the departments' own addresses first."""
    everyone = [destination for department in configuration.departments for destination in department.deliver]
    everyone += [each for school in configuration.schools for tos in school.deliver.values() for each in tos]
    everyone += configuration.told
    found: dict[str, list[str]] = {}
    for destination in everyone:
        if destination.to not in found.setdefault(destination.via, []):
            found[destination.via].append(destination.to)
    return found


# --- what the store knows ---------------------------------------------------------------------------------------------


class _Kept:
    """The store, opened for reading only and once, for those checks that want to know what is kept of their channel."""

    def __init__(self, configuration: Configuration, stack: AsyncExitStack) -> None:
        self.configuration = configuration
        self._stack = stack
        self._opening: asyncio.Task[Store | None] | None = None
        self.rows: list[dict[str, Any]] = []  # how the daemon here sees its channels (`router.life.lives.Lives.report`)

    async def store(self) -> Store | None:
        """Return the store, None if there is none yet or it can't be opened: its own check says why."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        with suppress(TimeoutError):
            async with asyncio.timeout(_STORE_S):
                return await asyncio.shield(self._opening)
        return None

    async def _open(self) -> Store | None:
        url = self.configuration.store.url_with_password()
        store = open_store(url, read_only=True)
        with suppress(SignpostError, OSError):
            await store.open()
            self._stack.push_async_callback(store.close)
            return store if await store.read(migrate.has_schema) else None
        return None

    async def daemon_runs(self) -> bool:
        """Tell whether a daemon of this configuration runs: here by its socket, elsewhere by its heartbeat."""
        runs, self.rows = await _asked(control.socket_path(self.configuration.store.url))
        if runs:
            return True
        if self.configuration.store.url.startswith("sqlite") or (store := await self.store()) is None:
            return False
        with suppress(SignpostError):
            return await store.read(lambda connection: daemons.living(connection, None)) > 0
        return False


async def _asked(path: Path) -> tuple[bool, list[dict[str, Any]]]:
    """Tell whether a daemon listens at its control socket, another user's or a stuck one too; how its channels are."""
    try:
        if not await asyncio.to_thread(path.exists):
            return False, []
        async with asyncio.timeout(_STORE_S):
            told = await control.ask(path, "status", {})
    except (FileNotFoundError, ConnectionError):
        return False, []  # left behind by one that was killed
    except (OSError, SignpostError):  # TimeoutError is an OSError
        return True, []
    return True, told.get("channels", [])


@dataclass(frozen=True, slots=True)
class _KeptCursor:
    """A channel's cursor as a check sees it. What must not be lost (a new refresh token) is kept by the daemon."""

    kept: _Kept
    channel: str
    key: str

    async def get(self) -> dict[str, Any] | None:
        """Return what is kept, None if nothing is."""
        store = await self.kept.store()
        return None if store is None else await store.read(lambda c: cursors.get(c, self.channel, self.key))

    async def set(self, value: Mapping[str, Any]) -> None:
        """Keep a value through the running daemon, else in the store, which is made for this if need be."""
        arguments = {"channel": self.channel, "key": self.key, "value": dict(value)}
        try:
            await ask_there(self.kept.configuration, "keep", arguments, make=True)
        except SignpostError as error:
            raise StoreBusy(str(error)) from error


# --- telling ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Teller:
    """Prints reports as they come, and on a terminal what is still being waited for."""

    quiet: bool
    _waiting: dict[str, Report] = field(default_factory=dict)

    def opening(self, count: int, within_s: float, *, daemon_runs: bool) -> None:
        if not self.quiet:
            beside = "A daemon runs; it isn't disturbed. " if daemon_runs else "No daemon runs. "
            click.echo(f"{beside}Checking {count} things at once, each for at most {within_s:g} s.", err=True)

    def begun(self, report: Report) -> None:
        self._waiting[report.name] = report

    def done(self, report: Report) -> None:
        self._waiting.pop(report.name, None)
        if not self.quiet:
            _print(report)

    async def keep_telling(self) -> None:
        while sys.stderr.isatty() and not self.quiet:
            await asyncio.sleep(_PAUSE_S)
            for report in self._waiting.values():
                click.echo(f"still {show.plain(report.doing)} ({report.name}) …", err=True)


def _print(report: Report) -> None:
    click.echo(f"\n{report.name} ({report.kind})")
    for finding in report.findings:
        click.echo(f"  {_WORDS[finding.level].ljust(6)}  {show.plain(finding.what)}")
        if finding.mend:
            end = "" if finding.mend.endswith("?") else "."
            click.echo(f"          What to do: {show.plain(finding.mend)}{end}")


def as_json(connected: Connected) -> dict[str, Any]:
    """Return everything as JSON values."""
    return {
        "daemon_runs": connected.daemon_runs,
        "checks": [
            {
                "name": report.name,
                "type": report.kind,
                "ok": report.ok,
                "seconds": round(report.seconds, 3),
                "findings": [
                    {"level": each.level.value, "what": each.what, "mend": each.mend} for each in report.findings
                ],
            }
            for report in connected.reports
        ],
    }


def summary(connected: Connected) -> str:
    """Return the last line."""
    bad = [report.name for report in connected.reports if not report.ok]
    good = len(connected.reports) - len(bad)
    if not bad:
        return f"All {good} are in order."
    return f"{good} of {len(connected.reports)} are in order. To be mended: {', '.join(bad)}."
