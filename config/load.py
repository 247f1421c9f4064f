"""Read a configuration file: everything it says, ready for use, or every problem it has, each with its line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from config import _checks
from config._document import read
from config._messages import Translator
from config._types import Names
from config.schema import ConfigurationFile
from router import plugins
from router.errors import ConfigError, NotFound, Problem, SignpostError
from router.records import Department, School

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from config._acknowledge import Acknowledgements
    from config._console import ConsoleSettings
    from config._document import Document
    from config._learning import Learning
    from config._rules import Rule
    from config.schema import (
        ConfiguredChannel,
        ConfiguredClassifier,
        DepartmentSettings,
        Http,
        Operations,
        Organization,
        Routing,
        SchoolSettings,
        Store,
    )
    from router.interfaces import Channel, ClassifierType
    from router.plugins import Plugins
    from router.records import Destination


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a valid file says, with every default filled in. It holds no secret, only where secrets are kept."""

    path: Path
    organization: Organization
    store: Store
    http: Http
    operations: Operations
    routing: Routing
    classifier: ConfiguredClassifier
    learning: Learning
    acknowledgements: Acknowledgements
    channels: Mapping[str, ConfiguredChannel]
    departments: tuple[Department, ...]
    schools: tuple[School, ...]
    rules: tuple[Rule, ...]
    console: ConsoleSettings | None = None
    warnings: tuple[Problem, ...] = ()

    def department(self, department_id: str) -> Department:
        """Return a department; raise `NotFound`."""
        for department in self.departments:
            if department.id == department_id:
                return department
        raise NotFound(f"there is no department '{department_id}'")

    @property
    def fallback(self) -> Department:
        """The department that gets what nobody else should."""
        return self.department(self.routing.fallback)

    @property
    def told(self) -> tuple[Destination, ...]:
        """Everybody who is told of anything, besides the departments that get the messages."""
        routing = self.routing
        named = (*self.operations.alerts, *routing.urgent.notify, *routing.urgent.then)
        return (*(each.record() for each in named), *chain(*routing.copies().values()))


class Coverage(NamedTuple):
    """How a model's labels and the departments' `covers` fail to meet."""

    unclaimed: tuple[str, ...]  # labels no department covers: the model abstains there
    unknown: tuple[tuple[str, str], ...]  # (department id, label) that the model doesn't have


def load(
    path: Path | str,
    *,
    channel_types: Plugins[Channel] | None = None,
    classifier_types: Plugins[ClassifierType] | None = None,
    env: Mapping[str, str] | None = None,
    secrets: bool = True,
) -> Configuration:
    """Read and check a configuration file; raise `ConfigError` with every problem at once.

    `env` is where `*_env` settings look (by default the process's environment). `secrets=False` doesn't ask whether
    the secrets are there: for commands that connect to nothing. Nothing is opened but the file and secret files.
    """
    document = read(Path(path))
    channel_types = channel_types or plugins.channel_types()
    names = Names(
        channels=_channel_kinds(document, channel_types),
        departments=tuple(_checks.block(document.data, "departments")),
        schools=tuple(_checks.block(document.data, "schools")),
        channel_types=channel_types,
        classifier_types=classifier_types or plugins.classifier_types(),
        env=(os.environ if env is None else env) if secrets else None,
    )
    problems = [*document.problems]
    file = None
    try:
        file = ConfigurationFile.model_validate(document.data, context=names)
    except ValidationError as error:
        problems += Translator(document, names, ConfigurationFile).problems(error.errors(include_url=False))
    problems += _checks.faults(document, names, file)
    if problems or file is None:
        raise ConfigError(_one_per_place(problems))
    return _configuration(Path(path), file, _checks.warnings(document, file))


def problem_at(path: Path | str, place: tuple[str | int, ...], what: str, hint: str = "") -> Problem:
    """Return a problem with one setting of a configuration file that can be read, for who finds it only when running.

    Raises `ConfigError` if the file can't be read any more.
    """
    return read(Path(path)).problem(place, what, hint)


def uncovered(labels: Iterable[str], configuration: Configuration) -> Coverage:
    """Compare a model's labels with what the departments cover."""
    known = set(labels)
    covered = [(department.id, label) for department in configuration.departments for label in department.covers]
    return Coverage(
        unclaimed=tuple(sorted(known - {label for _, label in covered})),
        unknown=tuple(pair for pair in covered if pair[1] not in known),
    )


def _channel_kinds(document: Document, types: Plugins[Channel]) -> dict[str, Channel | None]:
    channels = _checks.block(document.data, "channels")
    return {name: _channel_kind(settings, types) for name, settings in channels.items()}


def _channel_kind(settings: object, types: Plugins[Channel]) -> Channel | None:
    name = _checks.block(settings).get("type")
    try:
        return types.get(name) if isinstance(name, str) else None
    except SignpostError:
        return None  # reported at the type, when the block is validated


def _one_per_place(problems: list[Problem]) -> list[Problem]:
    """Sort by line; where a part of the file can't be read, leave out what follows from that."""
    first: dict[tuple[int, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.line, problem.path), problem)
    return sorted(first.values())


def _configuration(path: Path, file: ConfigurationFile, warnings: tuple[Problem, ...]) -> Configuration:
    return Configuration(
        path=path,
        organization=file.organization,
        store=file.store,
        http=file.http,
        operations=file.operations,
        routing=file.routing,
        classifier=file.classifier,
        learning=file.learning,
        acknowledgements=file.acknowledgements,
        channels=MappingProxyType(file.channels),
        departments=tuple(_department(id_, each, file.routing.fallback) for id_, each in file.departments.items()),
        schools=tuple(_school(id_, each) for id_, each in file.schools.items()),
        rules=file.rules,
        console=file.console,
        warnings=warnings,
    )


def _department(department_id: str, settings: DepartmentSettings, fallback: str) -> Department:
    own = () if department_id == fallback else (department_id,)
    return Department(
        id=department_id,
        name=settings.name,
        description=settings.description,
        covers=own if settings.covers is None else settings.covers,
        deliver=tuple(destination.record() for destination in settings.deliver),
        min_confidence=settings.min_confidence,
        service_level=settings.service_level,
    )


def _school(school_id: str, settings: SchoolSettings) -> School:
    deliver = {key: tuple(each.record() for each in destinations) for key, destinations in settings.deliver.items()}
    return School(id=school_id, name=settings.name, aliases=settings.aliases, deliver=MappingProxyType(deliver))
