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
from typing import TYPE_CHECKING, Any

from router.errors import SignpostError
from router.learning.dataset import FILE
from router.learning.order import Order
from router.learning.snapshot import snapshot
from router.learning.train import train
from router.plugins import classifier_types
from router.store.engine import open_store

if TYPE_CHECKING:
    from router.learning.train import Trained

_LAST_RESORT = "1000"  # the first that the kernel ends where memory runs out (proc(5), oom_score_adj)


def main() -> None:
    """Do one order."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints isn't taken for the answer
    order = Order.of(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        stand_back(order.memory)
        model = asyncio.run(_trained(order))
    except Exception as error:
        answers.write(_line(error=_in_words(error, order.memory)))
    else:
        answers.write(_line(sha256=model.sha256, verdict=model.verdict.to_json(), parent=model.parent))
        answers.write(model.artifact)
    answers.flush()
    os._exit(0)  # the thread that waits for the parent would keep it


def _in_words(error: Exception, memory: int) -> str:
    """Return what went wrong. What a library's exception says may quote a message: its name and place do for a log."""
    if isinstance(error, MemoryError) or "can't start new thread" in str(error):  # no room for a thread's stack
        return f"it needs more memory than the {memory >> 20} MiB of learning.retrain_memory"
    if isinstance(error, SignpostError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.name}, line {place.lineno}"


def stand_back(memory: int) -> None:
    """Let everybody else go first, and take no more than so many bytes for data.

    RLIMIT_DATA counts what is written to (heap and private mappings, getrlimit(2)): unlike RLIMIT_AS not the libraries
    and what they reserve, and unlike a look at /proc now and then it can't be outrun. Under SCHED_IDLE a process has
    the processor only when nobody else wants it (sched(7)), and the disk likewise (ioprio_set(2): the class of I/O
    follows from the policy). Where that is refused it is at least nice.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the daemon, which ends us
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123  a file of the kernel's
        file.write(_LAST_RESORT)
    with suppress(OSError):
        os.nice(19)
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


async def _trained(order: Order) -> Trained:
    store = open_store(order.store_url, read_only=True)
    await store.open()
    try:
        lessons, champion = await snapshot(store, order.rules)
    finally:
        await store.close()
    if champion and champion[1].get("counts", {}).get(FILE) and not order.files:
        raise SignpostError(
            "the model that serves has learnt from files too, and a training without them would forget it: name them "
            "in learning.data"
        )
    kind = classifier_types().get(order.classifier)
    return train(
        kind,
        kind.settings.model_validate(order.settings),
        order.departments,
        order.fallback,
        progress=lambda _what, _share: None,
        store_rows=lessons.rows,
        left_out=lessons.left_out,
        files=order.files,
        champion=champion,
        no_corpus=not order.corpus,
        target_error=order.target_error,
    )


def _line(**said: Any) -> bytes:
    return json.dumps(said).encode() + b"\n"


if __name__ == "__main__":
    main()
