"""The bundled model, from the cache or trained once with its progress on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.processes import ROOT
from classifiers._artifact import unpack
from router.learning.bundled import bundled
from router.plugins import classifier_types

if TYPE_CHECKING:
    from pathlib import Path

    from classifiers._artifact import Artifact

TYPE = "linear"
ENCODER = ROOT / "var" / "encoders" / "minilm"  # made by `make encoder`


def bundled_model(encoder: Path | None = None) -> Artifact:
    """Return the bundled model with its default settings, or with an encoder too; afterwards it is in the cache."""
    kind = classifier_types().get(TYPE)
    settings = kind.settings(encoder=str(encoder)) if encoder else kind.settings()
    data, sha256 = bundled(kind, settings, _tell)
    return unpack(data, sha256)


def _tell(what: str, share: float) -> None:
    print(f"bundled model: {what} ({share:.0%})", file=sys.stderr)
