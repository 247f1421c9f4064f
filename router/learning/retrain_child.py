"""The process in which a daemon's challenger is trained: under limits, behind everything else, and gone afterwards.

It is started as `python -m router.learning.retrain_child` by `router.learning.retrain`, reads one order from standard
input, and answers on standard output with one line of JSON and the artifact. It only reads the store. When its parent
is gone (standard input ends), it ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import threading
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.errors import SignpostError
from router.learning.dataset import FILE
from router.learning.order import Order
from router.learning.outvote import Terms
from router.learning.snapshot import Snapshot, snapshot, trained_on
from router.learning.train import train
from router.plugins import classifier_types
from router.store.engine import open_store

if TYPE_CHECKING:
    from io import BufferedWriter

    from classifiers._corpus import Corpus
    from router.interfaces import Progress
    from router.learning.train import Trained

_NICE = 10  # weighs 110 where the daemon weighs 1024 (sched(7), "The nice value")
_LAST_RESORT = "1000"  # the first that the kernel ends where memory runs out (proc(5), oom_score_adj)


def main() -> None:
    """Do one order."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints isn't taken for the answer
    order = Order.of(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        stand_back(order.memory, waited_for=order.by_hand)
        model = asyncio.run(_trained(order, partial(_tell, answers, order)))
    except Exception as error:
        answers.write(_line(error=_in_words(error, order.memory)))
    else:
        sources = model.metrics.get("sources")
        answers.write(_line(sha256=model.sha256, verdict=model.verdict.to_json(), parent=model.parent, sources=sources))
        answers.write(model.artifact)
    answers.flush()
    os._exit(0)  # the thread that waits for the parent would keep it


def _tell(answers: BufferedWriter, order: Order, doing: str, share: float) -> None:
    if order.by_hand:
        answers.write(_line(doing=doing, share=share))
        answers.flush()


def _in_words(error: Exception, memory: int) -> str:
    """Return what went wrong. What a library's exception says may quote a message: its name and place do for a log."""
    if isinstance(error, MemoryError) or "can't start new thread" in str(error):  # no room for a thread's stack
        return f"it needs more memory than the {memory >> 20} MiB of learning.retrain_memory"
    if isinstance(error, SignpostError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.name}, line {place.lineno}"


def stand_back(memory: int, *, waited_for: bool = False) -> None:
    """Let everybody else go first, and take no more than so many bytes for data.

    RLIMIT_DATA counts what is written to (heap and private mappings, getrlimit(2)): unlike RLIMIT_AS not the libraries
    and what they reserve, and unlike a look at /proc now and then it can't be outrun. Under SCHED_IDLE a process has
    the processor only when nobody else wants it (sched(7)), and the disk likewise (ioprio_set(2): the class of I/O
    follows from the policy). Where that is refused it is at least nice. Where a person waits for it, it is merely nice,
    for on a machine that is never idle it would never end: routing goes first, and it gets a tenth beside it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the daemon, which ends us
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123  a file of the kernel's
        file.write(_LAST_RESORT)
    with suppress(OSError):
        os.nice(_NICE if waited_for else 19)
    if not waited_for:
        with suppress(OSError, AttributeError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


async def _trained(order: Order, tell: Progress) -> Trained:
    return challenger(order, await _seen(order) if order.store_url else Snapshot(), tell)


async def _seen(order: Order) -> Snapshot:
    store = open_store(order.store_url, read_only=True)
    await store.open()
    try:
        return await snapshot(store, order.rules)
    finally:
        await store.close()


def challenger(
    order: Order, seen: Snapshot, tell: Progress = lambda _doing, _share: None, corpus: Corpus | None = None
) -> Trained:
    """Train what was ordered on what was seen; raise `SignpostError` if it can't be done. A `corpus` replaces ours."""
    forgets = seen.champion and seen.champion[1].get("counts", {}).get(FILE) and not order.files
    if forgets and not order.by_hand:
        raise SignpostError(
            "the model that serves has learnt from files too, and a training without them would forget it: name them "
            "in learning.data"
        )
    kind = classifier_types().get(order.classifier)
    settings = kind.settings.model_validate(order.settings)
    return trained_on(
        seen,
        partial(
            train,
            *(kind, settings, order.departments, order.fallback),
            progress=tell,
            files=order.files,
            no_corpus=not order.corpus,
            out_dir=Path(order.out) if order.out else None,
            target_error=order.target_error,
            compare_too=order.compare,
            outvoting=Terms.of(order.rules),
            corpus=corpus,
        ),
    )


def _line(**said: Any) -> bytes:
    return json.dumps(said).encode() + b"\n"


if __name__ == "__main__":
    main()
