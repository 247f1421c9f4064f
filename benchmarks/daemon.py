"""The real daemon as a process whose later stages can be left out: `python -m benchmarks.daemon CONFIG [--paused]`.

Paused, it accepts and stores and does nothing else, so that accepting can be measured by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from config.load import load
from router.app import Daemon, run_until_signal
from router.interfaces import SystemClock
from router.learning.bundled import bundled
from router.log import configure

if TYPE_CHECKING:
    from aiohttp import web

    from config.load import Configuration
    from router.assemble import Parts


def run(configuration: Configuration, *, paused: bool) -> None:
    """Run until SIGTERM, logging as `signpost run` does."""
    kind = configuration.classifier
    daemon = Daemon(
        configuration,
        provide=lambda: bundled(kind.classifier, kind.settings, lambda _what, _share: None),
        rng=Random(),
        log=configure(),
        clock=SystemClock(),
    )
    run_until_signal(daemon, _pause if paused else _go_on)


def _pause(parts: Parts, _application: web.Application) -> None:
    parts.workers.clear()


def _go_on(_parts: Parts, _application: web.Application) -> None:
    """Leave everything as it is."""


if __name__ == "__main__":
    run(load(Path(sys.argv[1])), paused="--paused" in sys.argv[2:])
