"""Which model a command asks: the champion of the store, else the bundled one, or one in a directory."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import structlog

from classifiers import _artifact
from router.commandline import progress
from router.commandline.reach import look, store_exists, store_place
from router.errors import SignpostError
from router.interfaces import SystemClock
from router.learning import bundled, registry
from router.plugins import classifier_types
from router.serving import thresholds
from router.store import models
from router.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from config.load import Configuration
    from config.schema import ConfiguredClassifier
    from router.commandline.frame import Invocation
    from router.interfaces import Classifier
    from router.store.engine import Store

TARGET_ERROR = 0.05  # where no configuration says another
_TRAINING = "Training the bundled model (about half a minute, once)"

Loaded = tuple["Classifier", "Mapping[str, Any]"]


def serving(configuration: Configuration) -> Loaded:
    """Return the champion with its metadata; where there is none, the bundled model, with a remark that says so."""
    return champion(configuration) or _stand_in(configuration)


def _stand_in(configuration: Configuration) -> Loaded:
    is_there = store_exists(configuration)
    why = "has no model yet" if is_there else "isn't there (a relative path is meant from where the command runs)"
    click.echo(f"remark: the bundled model answers: the store {store_place(configuration)} {why}", err=True)
    return _unpacked(*_bundled(configuration.classifier))


def champion(configuration: Configuration) -> Loaded | None:
    """Return the champion with its metadata, None if there is none yet."""

    async def read(store: Store) -> Loaded | None:
        return await registry.load_champion(store, classifier_types())

    found = look(configuration, read, None)
    return _told(found) if found else None


def from_directory(path: Path) -> Loaded:
    """Return the model that `signpost train --out` wrote."""
    artifact, _manifest = _artifact.load(path)
    return _told(registry.opened(classifier_types(), artifact))


def _unpacked(data: bytes, sha256: str) -> Loaded:
    return _told(registry.opened(classifier_types(), _artifact.unpack(data, sha256)))


def _told(loaded: Loaded) -> Loaded:
    """Say what a model answers without."""
    if "reduced" in loaded[1]:
        click.echo(f"remark: {loaded[1]['reduced']}", err=True)
    return loaded


def _bundled(configured: ConfiguredClassifier) -> tuple[bytes, str]:
    with progress.shown(_TRAINING) as tell:
        return bundled.bundled(configured.classifier, configured.settings, tell)


def trial(invocation: Invocation, model: Path | None) -> Trial:
    """Return what decides: configuration and its model, or a model that stands outside any configuration."""
    log = quiet_log()
    if model is None:
        configured = invocation.configuration()
        classifier, meta = serving(configured)
        limits = thresholds(meta, configured.routing.target_error)
        return Trial(classifier, limits, clock=SystemClock(), log=log, configuration=configured)
    configuration = invocation.configuration_if_any()
    classifier, meta = from_directory(model)
    limits = thresholds(meta, target_error(configuration))
    fallback = configuration.routing.fallback if configuration else ""
    return Trial(classifier, limits, clock=SystemClock(), log=log, fallback=fallback)


def quiet_log() -> FilteringBoundLogger:
    """Return a log that says on standard error what fails, and nothing else."""
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr), wrapper_class=structlog.make_filtering_bound_logger("error")
    )
    return log


def target_error(configuration: Configuration | None) -> float:
    """Return the wanted error rate."""
    return configuration.routing.target_error if configuration else TARGET_ERROR


def prepare_first_model(configuration: Configuration) -> None:
    """Make sure that a daemon with an empty registry finds the bundled model ready.

    It is trained in a process of its own: what training needs (scikit-learn, 100 MB) would otherwise stay in memory
    for as long as the daemon lives.
    """

    async def registered(store: Store) -> bool:
        return await store.read(models.champion) is not None

    configured = configuration.classifier
    if look(configuration, registered, False) or bundled.is_cached(configured.classifier, configured.settings):
        return
    arguments = [configured.type, configured.settings.model_dump_json()]
    command = [sys.executable, "-P", "-m", "router.commandline.first_model", *arguments]
    if subprocess.run(command, check=False).returncode != 0:  # noqa: S603  our own interpreter and module
        raise SignpostError("the bundled model couldn't be trained (see above)")


def main(arguments: list[str]) -> None:
    """Train the bundled model and keep it in the cache: the child process of `prepare_first_model`."""
    name, settings = arguments
    kind = classifier_types().get(name)
    with progress.shown(_TRAINING) as tell:
        bundled.bundled(kind, kind.settings.model_validate_json(settings), tell)
