"""What the bundled model is made of, as a digest: whether a model was made of what this version of Signpost brings."""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from classifiers._artifact import FORMAT
from classifiers._corpus import GLOSSARY
from router.learning.dataset import HELD_OUT_SHARE
from router.learning.lessons import CORPUS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from classifiers._corpus import Corpus
    from router.interfaces import ClassifierType, Settings

BASIS = "basis"
"""In a model's metrics: the digest of what the bundled model was made of at that time; "" if it has no part in it."""

RELEASE = "release"
"""In a model's metrics: the version of Signpost that made it; which of two is the newer one its basis doesn't tell."""


def basis(classifier: ClassifierType, settings: Settings, corpus: Corpus) -> str:
    """Return a digest (hexadecimal): another corpus, library, program or setting is another one."""
    settings_type = type(settings)
    facts = (
        corpus.fingerprint,
        version("scikit-learn"),
        f"format {FORMAT}, held out {HELD_OUT_SHARE}",
        f"{settings_type.__module__}.{settings_type.__qualname__} {classifier.summary}",
        settings.model_dump_json(),
        classifier.fingerprint(settings),
        _program(),
    )
    return hashlib.sha256(chr(0).join(facts).encode()).hexdigest()


def is_bundled(metrics: Mapping[str, Any]) -> bool:
    """Return whether a model with these metrics has learnt from the bundled messages and nothing of the district."""
    counts = metrics.get("counts") or {}
    return CORPUS in counts and counts.keys() <= {CORPUS, GLOSSARY} and not metrics.get("learnt")


def is_older(metrics: Mapping[str, Any], present: Callable[[], str]) -> bool:
    """Return whether a model has learnt from the bundled messages, as a former version of Signpost brought them.

    `present` gives the digest of what this one brings; it has to read all of that, so it is asked only where it counts.
    """
    return CORPUS in (metrics.get("counts") or {}) and is_earlier(metrics) and metrics.get(BASIS) != present()


def release() -> str:
    """Return this version of Signpost."""
    return version("signpost-router")


def is_earlier(metrics: Mapping[str, Any]) -> bool:
    """Return whether a model was made by an earlier version of Signpost than this one."""
    return _numbers(str(metrics.get(RELEASE) or "")) < _numbers(release())


def _numbers(given: str) -> tuple[int, ...]:
    """Return what versions are ordered by: the numbers at the beginning."""
    found = re.match(r"\d+(\.\d+)*", given)
    return tuple(map(int, found[0].split("."))) if found else ()


def _program() -> str:
    """Return a digest of the classifiers' source files: a program that trains differently makes another model."""
    sources = sorted(
        (file for file in files("classifiers").iterdir() if file.name.endswith(".py")), key=lambda file: file.name
    )
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in sources)).hexdigest()
