"""Put the console together: its pages, its sign-in, and the parts they work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from aiohttp import web

from config.files import named_in
from config.schema import ConfigurationFile, DepartmentSettings, SchoolSettings
from router.business_hours import BusinessHours, week_of
from router.console import (
    access_log,
    channels,
    configuration,
    dashboard,
    export,
    inbox,
    learning,
    learning_models,
    message,
    message_acts,
    own,
    triage,
    users,
)
from router.console.configuration import Running
from router.console.console import Console
from router.console.measures import Facts
from router.console.oidc import Mapped, Provider
from router.console.pace import Pace
from router.console.passwords import Hasher
from router.console.provider import ProviderClient
from router.console.routes import BASE, SIGN_IN, Route, add
from router.console.sessions import Sessions
from router.console.shown import Group, group
from router.console.sign_in import SignIn
from router.figures import LEASE, Basis, Figures
from router.indexing import LEASE as INDEXING
from router.indexing import Indexing
from router.log_keeping import LogKeeping
from router.ownership import Ownership
from router.web.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from config._console import ConsoleSettings, GroupSettings, ProviderSettings
    from config.load import Configuration
    from config.schema import ConfiguredChannel
    from router.parts import Parts

_WAYS = {
    "imap": "email", "smtp_server": "email", "maildir": "email", "twilio_sms": "text", "simulated_text_line": "text",
    "web_form": "form",
}  # fmt: skip

# Every page of the console; each module keeps its own table.
ROUTES: tuple[Route, ...] = (
    *own.ROUTES,
    *users.ROUTES,
    *access_log.ROUTES,
    *inbox.ROUTES,
    *export.ROUTES,
    *dashboard.ROUTES,
    *learning.ROUTES,
    *learning_models.ROUTES,
    *message.ROUTES,
    *message_acts.ROUTES,
    *triage.ROUTES,
    *channels.ROUTES,
    *configuration.ROUTES,
)


def add_console(application: web.Application, parts: Parts) -> None:
    """Add the console to the web application, if the configuration has one."""
    settings = parts.configuration.console
    if settings is None:
        return
    console = _console(parts, settings)
    redirect = f"{console.public_url}{SIGN_IN}/{{}}/answer"
    providers = [ProviderClient(_provider(id_, each), redirect.format(id_)) for id_, each in settings.sign_in.items()]
    application.add_routes(SignIn(console, Hasher(), providers, local=settings.local).routes())
    application.router.add_get(BASE, _to_start(console))
    add(application, console, ROUTES)


def _console(parts: Parts, settings: ConsoleSettings) -> Console:
    organization = parts.configuration.organization
    session = settings.session
    return Console(
        store=parts.store,
        keys=parts.keys,
        desks=parts.desks,
        corrections=parts.corrections,
        commands=parts.commands,
        parsers=parts.parsers,
        pages=Pages(organization.name, urlsplit(organization.public_url).path, organization.colour),
        sessions=Sessions(parts.store, organization.public_url, idle=session.idle, longest=session.longest),
        pace=Pace(),
        public_url=organization.public_url,
        zone=ZoneInfo(organization.timezone),
        wake=parts.wake,
        lives=parts.lives,
        kinds={name: each.type for name, each in parts.configuration.channels.items()},
        daemon_id=parts.heartbeat.daemon_id,
        running=_running(parts),
        log=parts.log,
        paths=frozenset(route.path for route in ROUTES if not route.post),
        channels=tuple(name for name, each in parts.configuration.channels.items() if _takes_in(each)),
        facts=_facts(parts.configuration),
    )


def _facts(configuration: Configuration) -> Facts:
    """Return which customer-service measures are set up."""
    learning_, routing = configuration.learning, configuration.routing
    channels = configuration.channels.values()
    return Facts(
        alerts=bool(configuration.operations.alerts),
        urgent=bool(routing.urgent.notify),
        escalation=bool(routing.urgent.then),
        media=frozenset(_WAYS.get(each.type, each.type) for each in channels if _takes_in(each)),
        acknowledges=any(getattr(each.settings, "acknowledge", False) for each in channels),
        languages=frozenset(configuration.organization.languages),
        schools=len(configuration.schools),
        departments=len(configuration.departments),
        with_level=sum(desk.service_level is not None for desk in configuration.departments),
        audits=learning_.audit_rate > 0,
        learns=bool(learning_.retrain_after or learning_.retrain_at),
        drift=learning_.drift.false_alarms > 0,
        target_error=routing.target_error,
    )


def _takes_in(each: ConfiguredChannel) -> bool:
    return bool(each.channel.webhook or each.channel.source) and each.channel.takes_in(each.settings)


# --- the configuration in force ---------------------------------------------------------------------------------------

_BLOCKS = ("organization", "store", "http", "operations", "routing", "learning", "acknowledgements", "console")


def _running(parts: Parts) -> Running:
    configuration = parts.configuration

    def read() -> list[Group]:
        assert parts.reread is not None
        return groups_of(parts.reread())

    def standing() -> dict[str, Any] | None:
        return parts.standing()

    blocks = [getattr(configuration, name) for name in _BLOCKS]
    named = named_in(
        [*blocks, configuration.classifier.settings, *(c.settings for c in configuration.channels.values())]
    )
    return Running(
        [configuration.path, *named],
        groups_of(configuration),
        standing=standing,
        reread=lambda: read if parts.reread else None,
    )


def groups_of(configuration: Configuration) -> list[Group]:
    """Return every setting of a configuration as people may see it, in the order of the file."""
    told = {name: each.description or "" for name, each in ConfigurationFile.model_fields.items()}
    blocks = {name: [group(name, told[name], getattr(configuration, name))] for name in _BLOCKS}
    classifier = configuration.classifier
    kind = f"{classifier.type}: {classifier.classifier.summary}"
    blocks["classifier"] = [group("classifier", kind, classifier.settings)]
    blocks["channels"] = [
        group(f"channels.{name}", f"{each.type}: {each.channel.summary}", each.settings)
        for name, each in configuration.channels.items()
    ]
    blocks["departments"] = [
        group(f"departments.{each.id}", each.name, each, DepartmentSettings) for each in configuration.departments
    ]
    blocks["schools"] = [group(f"schools.{each.id}", each.name, each, SchoolSettings) for each in configuration.schools]
    rules = enumerate(configuration.rules)
    blocks["rules"] = [group(f"rules[{number}]", each.name, each, given_only=True) for number, each in rules]
    return [each for name in ConfigurationFile.model_fields for each in blocks[name] if each.settings]


def figures_of(parts: Parts, present: Callable[[], Configuration]) -> Figures:
    """Return what keeps the dashboard's daily sums in this daemon, where the configuration in force has a console."""
    lease = Ownership(parts.store, LEASE, parts.heartbeat.daemon_id, parts.heartbeat.alive)

    def basis() -> Basis | None:
        configuration = present()
        organization = configuration.organization
        hours = BusinessHours(
            ZoneInfo(organization.timezone), week_of(organization.hours), frozenset(configuration.learning.holidays)
        )
        levels = {desk.id: desk.service_level for desk in configuration.departments if desk.service_level}
        return Basis(hours=hours, levels=levels) if configuration.console is not None else None

    return Figures(parts.store, lease, basis)


def indexing_of(parts: Parts, present: Callable[[], Configuration]) -> Indexing:
    """Return what lets messages be found in this daemon, where the configuration in force has a console."""
    lease = Ownership(parts.store, INDEXING, parts.heartbeat.daemon_id, parts.heartbeat.alive)
    return Indexing(parts.store, lease, lambda: present().console is not None)


def log_keeping_of(parts: Parts, present: Callable[[], Configuration]) -> LogKeeping:
    """Return what keeps the access log in this daemon, as long as the configuration in force says."""

    def keep() -> timedelta | None:
        console = present().console
        return console.access_log.keep if console else None

    return LogKeeping(parts.store, keep, parts.log)


def _provider(id_: str, settings: ProviderSettings) -> Provider:
    return Provider(
        id=id_,
        name=settings.name,
        issuer=settings.issuer,
        client_id=settings.client_id,
        secret=settings.secret("client_secret"),
        require={claim: frozenset(map(str.casefold, values)) for claim, values in settings.require.items()},
        groups_claim=settings.groups_claim,
        groups=tuple(_mapped(each) for each in settings.groups),
        scopes=" ".join(settings.scopes),
        timeout=settings.timeout,
    )


def _mapped(settings: GroupSettings) -> Mapped:
    departments, schools = settings.departments, settings.schools
    return Mapped(
        group=settings.group,
        role=settings.role,
        departments=None if departments is None else frozenset(departments),
        schools=None if schools is None else frozenset(schools),
    )


def _to_start(console: Console) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": f"{console.pages.root}{BASE}/"})

    return answer
