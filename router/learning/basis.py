"""What the bundled model is made of, as a digest: whether a model was made of what this version of Signpost brings."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from classifiers._artifact import FORMAT
from classifiers._corpus import GLOSSARY
from router.learning.dataset import HELD_OUT_SHARE
from router.learning.lessons import CORPUS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from classifiers._corpus import Corpus
    from router.interfaces import ClassifierType, Settings

BASIS = "basis"
"""In a model's metrics: the digest of what the bundled model was made of at that time; "" if it has no part in it."""


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


def is_older(metrics: Mapping[str, Any], present: str) -> bool:
    """Return whether a model has learnt from the bundled messages, as a former version of Signpost brought them."""
    return CORPUS in (metrics.get("counts") or {}) and metrics.get(BASIS) != present


def _program() -> str:
    """Return a digest of the classifiers' source files: a program that trains differently makes another model."""
    sources = sorted(
        (file for file in files("classifiers").iterdir() if file.name.endswith(".py")), key=lambda file: file.name
    )
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in sources)).hexdigest()
