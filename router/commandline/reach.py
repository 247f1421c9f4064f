"""Reach Signpost: the running daemon through its control socket; if none runs, the store itself."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import make_url

from router import control, plugins
from router.alerts import Alerts
from router.commands import Commands
from router.destinations import Desks
from router.errors import NotFound, SignpostError, StoreBusy
from router.learning import turn
from router.learning.build import audit_commands
from router.learning.corrections import Corrections
from router.life import lives
from router.model_commands import ModelCommands
from router.routing.schools import Schools
from router.store import lives as stored_lives
from router.store import migrate
from router.store.engine import open_store
from router.user_commands import UserCommands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from config.load import Configuration
    from router.store.engine import Store

T = TypeVar("T")


def ask(configuration: Configuration, command: str, **arguments: Any) -> Any:
    """Ask for one command and return its answer, a JSON value; raise the `SignpostError` that it answers."""
    return ask_whom(configuration, command, **arguments)[0]


def ask_whom(configuration: Configuration, command: str, **arguments: Any) -> tuple[Any, str]:
    """As `ask`; return with the answer who gave it, in words: the running daemon, or the store and where it is."""
    return asyncio.run(ask_there(configuration, command, arguments))


class NoDaemon(SignpostError):
    """No daemon runs on this machine with the store in question."""


def ask_daemon(store_url: str, command: str, **arguments: Any) -> Any:
    """As `ask`, of the daemon that runs with a store; raise `NoDaemon` if none does."""
    return asyncio.run(_ask_daemon(store_url, command, arguments))


async def ask_there(
    configuration: Configuration, command: str, arguments: dict[str, Any], *, make: bool = False
) -> tuple[Any, str]:
    """As `ask_whom`, within an event loop; with `make` a store that isn't there yet is made."""
    try:
        return await _ask_daemon(configuration.store.url, command, arguments), "the running daemon"
    except NoDaemon:
        pass  # the store is ours for a moment
    async with _commands(configuration, make=make) as commands:
        return await commands.run(command, arguments), f"the store {store_place(configuration)} (no daemon is running)"


async def _ask_daemon(store_url: str, command: str, arguments: dict[str, Any]) -> Any:
    path = control.socket_path(store_url)
    try:
        return await control.ask(path, command, arguments)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoDaemon("no daemon runs here with this store: start it with signpost run") from error
    except PermissionError as error:
        raise SignpostError(
            f"{path} belongs to another user: run this command as the user that runs the daemon"
        ) from error
    except ConnectionError as error:
        raise SignpostError(
            "the daemon went away before it answered: look what was done before you repeat this"
        ) from error


@asynccontextmanager
async def _commands(configuration: Configuration, *, make: bool = False) -> AsyncIterator[Commands]:
    """Open the store for as long as the block runs."""
    if not make and not await _is_there(configuration):
        raise _missing(configuration, "start the daemon first, or run this command where the daemon runs")
    store = open_store(configuration.store.url_with_password())
    try:
        await store.open()
    except StoreBusy as error:
        raise StoreBusy(
            f"{error}; no daemon answers: it may be starting or stopping, so try again in a moment"
        ) from error
    try:
        yield _offline(configuration, store)
    finally:
        await store.close()


def _offline(configuration: Configuration, store: Store) -> Commands:
    desks = Desks(configuration.departments, configuration.schools, configuration.routing.fallback)
    alerts = Alerts(
        [each.record() for each in configuration.operations.alerts],
        [each.record() for each in configuration.routing.urgent.notify],
    )
    watched = {
        (name, side): watching
        for name, each in configuration.channels.items()
        for side, watching in lives.directions(each.channel, each.settings).items()
    }

    async def channels() -> list[dict[str, Any]]:
        return lives.report(await store.read(stored_lives.load), watched, store.clock.now())

    commands = Commands(store, Corrections(desks, alerts), channels=channels)
    model_commands = ModelCommands(
        store,
        plugins.classifier_types(),
        departments=configuration.departments,
        fallback=configuration.routing.fallback,
        target_error=configuration.routing.target_error,
        schools=partial(_schools, configuration),
        keep=configuration.learning.keep_models,
    )
    model_commands.offer(commands)
    audit_commands(configuration, store).offer(commands)
    UserCommands(store, desks.departments, desks.schools).offer(commands)
    turn.offer(commands, store)
    return commands


def _schools(configuration: Configuration) -> Schools:
    """Return what recognises schools; without the contact list where who runs this command may not read it."""
    organization = configuration.organization
    try:
        return Schools.reading(configuration.schools, organization.name, organization.contacts_file)
    except SignpostError:
        return Schools(configuration.schools, organization=organization.name)


def store_exists(configuration: Configuration) -> bool:
    """Return whether a daemon has made the store; an empty database or file is none yet.

    Raises `StoreBusy` if the database can't be reached.
    """
    return asyncio.run(_is_there(configuration))


async def _is_there(configuration: Configuration) -> bool:
    async with _reading(configuration) as store:
        return store is not None


def _can_be_opened(configuration: Configuration) -> bool:
    """Return whether there is an SQLite file, or a database server that will answer or not."""
    url = make_url(configuration.store.url)
    return not url.drivername.startswith("sqlite") or Path(url.database or "").exists()


def store_place(configuration: Configuration) -> str:
    """Return where the store is: a file's absolute path, or a database's address (which holds no password)."""
    url = make_url(configuration.store.url)
    is_file = url.drivername.startswith("sqlite")
    return str(Path(url.database or "").absolute()) if is_file else configuration.store.url


def require_store(configuration: Configuration, instead: str) -> None:
    """Raise `NotFound` where there is no store yet: only `signpost run` makes one. `instead` says what to do."""
    if not store_exists(configuration):
        raise _missing(configuration, instead)


def _missing(configuration: Configuration, instead: str) -> NotFound:
    return NotFound(f"there is no store yet at {store_place(configuration)}: {instead}")


def look(configuration: Configuration, work: Callable[[Store], Awaitable[T]], otherwise: T) -> T:
    """Run reading work on the store, beside whoever owns it; return `otherwise` where there is no store yet."""

    async def run() -> T:
        async with _reading(configuration) as store:
            return otherwise if store is None else await work(store)

    return asyncio.run(run())


@asynccontextmanager
async def _reading(configuration: Configuration) -> AsyncIterator[Store | None]:
    """Open the store for reading while the block runs; None where there is none yet."""
    if not _can_be_opened(configuration):
        yield None
        return
    store = open_store(configuration.store.url_with_password(), read_only=True)
    await store.open()
    try:
        yield store if await store.read(migrate.has_schema) else None
    finally:
        await store.close()
