"""Keep sources running: a source that fails is run again, with jittered backoff, and never disabled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from router.errors import SourceRejected, SourceUnavailable
from router.records import Notice

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from structlog.typing import FilteringBoundLogger

    from router.interfaces import Accept, Source

_FIRST_S, _LONGEST_S, _REJECTED_S = 1.0, 60.0, 600.0
_STEADY_S = 60.0  # a source that ran this long starts its backoff afresh


async def keep_running(
    name: str,
    source: Source,
    accept: Accept,
    *,
    tell: Callable[[str, Notice], Awaitable[None]],
    rng: Random,
    log: FilteringBoundLogger,
) -> None:
    """Run one source for ever. `tell` reaches operations, by kind of trouble."""
    failures = 0
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await source.run(accept)
            why = "it ended by itself"
        except SourceRejected as error:
            why = str(error)
            text = f"The channel {name} was refused: {error}\nIt will be tried again every ten minutes.\n"
            await tell(f"rejected:{name}", Notice(subject=f"The channel {name} was refused", text=text))
            log.error("source_rejected", channel=name, why=why)
            await asyncio.sleep(_REJECTED_S)
            continue
        except SourceUnavailable as error:
            why = str(error)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            log.exception("source_failed", channel=name)
        failures = 1 if asyncio.get_running_loop().time() - began > _STEADY_S else failures + 1
        pause = min(_LONGEST_S, _FIRST_S * 2.0 ** min(failures - 1, 10)) * rng.uniform(0.8, 1.2)
        log.warning("source_down", channel=name, why=why, retry_in_s=round(pause, 1))
        await asyncio.sleep(pause)
