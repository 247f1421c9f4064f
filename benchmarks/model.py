"""The bundled model, from the cache or trained once with its progress on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from classifiers._artifact import unpack
from router.learning.bundled import bundled
from router.plugins import classifier_types

if TYPE_CHECKING:
    from classifiers._artifact import Artifact

TYPE = "linear"


def bundled_model() -> Artifact:
    """Return the bundled model with its default settings; afterwards it is in the cache."""
    kind = classifier_types().get(TYPE)
    data, sha256 = bundled(kind, kind.settings(), _tell)
    return unpack(data, sha256)


def _tell(what: str, share: float) -> None:
    print(f"bundled model: {what} ({share:.0%})", file=sys.stderr)
