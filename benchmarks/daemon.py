"""The real daemon without its later stages: `python -m benchmarks.daemon CONFIG` accepts and stores, nothing else.

So accepting can be measured by itself; everything else is measured on `signpost run`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

from config.load import load
from router.app import Daemon, run_until_signal
from router.interfaces import SystemClock
from router.learning.bundled import bundled
from router.log import configure

if TYPE_CHECKING:
    from aiohttp import web

    from config.load import Configuration
    from router.parts import Parts


def run(configuration: Configuration) -> None:
    """Run until SIGTERM, logging as `signpost run` does."""
    kind = configuration.classifier
    daemon = Daemon(
        configuration,
        provide=lambda: bundled(kind.classifier, kind.settings, lambda _what, _share: None),
        rng=SystemRandom(),
        log=configure(),
        clock=SystemClock(),
    )
    run_until_signal(daemon, _pause)


def _pause(parts: Parts, _application: web.Application) -> None:
    parts.workers.clear()


if __name__ == "__main__":
    run(load(Path(sys.argv[1])))
