"""While messages flow: how far a training slows them down, and what happens to them when models are exchanged."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.district import district, folder, post
from benchmarks.figures import Figure, load, summary_ms
from benchmarks.mails import sink
from benchmarks.model import bundled_model
from benchmarks.processes import Failed, family
from benchmarks.requests import MIXED, numbers, token
from classifiers._artifact import Artifact
from classifiers._corpus import OUT_OF_SCOPE, load_corpus
from router import control
from router.learning import registry
from router.learning.train import trained
from router.learning.verdicts import Verdict
from router.store.engine import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.district import District
    from benchmarks.mails import Mails

RATE, SECONDS, QUICK_SECONDS, WARM_UP = 50, 30, 5, 200
ROWS = 20_000
MOST_GROWTH, MOST_SWITCH_S = 1.5, 1.0
SWITCHES = 10
_FLAGGED, _FIRST_QUIET, _FIRST_BUSY, _FIRST_SWITCH = 50_000, 100_000, 200_000, 300_000
_ARRIVE_S = 120.0
_LOOKS_S = 60.0  # until the daemon has seen that it is time to train
_CHILD = b"retrain_child"
_PERSON = "ana@maplevalley.example"
_ELSEWHERE = ("transportation", "athletics")  # where a message may be passed on to, to set a training off


# --- training while messages flow -------------------------------------------------------------------------------------


async def training(*, quick: bool = False) -> list[Figure]:
    """Return by how much the slowest hundredth of posts, and of ways to the sink, slows down during a training."""
    seconds = QUICK_SECONDS if quick else SECONDS
    with folder() as where:
        data = _rows(where / "rows.jsonl", ROWS - len(load_corpus().rows))
        learning = {"data": [str(data)], "retrain_after": 1, "audit_rate": 0}
        async with sink() as mails, district(where, sink_port=mails.port, learning=learning) as ours:
            await post(ours.port, kind=MIXED, connections=4, count=WARM_UP, seconds=60)
            await mails.until(numbers(0, WARM_UP), _ARRIVE_S)
            quiet = await _flow(ours, mails, _FIRST_QUIET, seconds)
            await _correct_one(ours, mails, where)
            await _until_training(ours)
            busy = await _flow(ours, mails, _FIRST_BUSY, seconds)
            if not _trains(ours):
                raise Failed("the training was over before the messages were: give it more rows")
        sent = [*numbers(0, WARM_UP), *_flowed(_FIRST_QUIET, seconds), *_flowed(_FIRST_BUSY, seconds)]
        mails.arrived.pop(token(_FLAGGED))  # it was passed on, and so came twice
        mails.account(sent)
    detail = {"quiet": quiet, "busy": busy, "load": load()}
    note = (
        f"{RATE} messages/s for {seconds} s, before a training on {ROWS:,} rows and during it; p99 during / p99 before"
    )
    return [
        Figure(name=f"learning.busy.{name}", value=round(busy[name]["p99"] / quiet[name]["p99"], 2), unit="times",
               n=RATE * seconds, better="lower", limit=MOST_GROWTH, note=note, detail=detail)
        for name in ("accept", "form_to_sink")
    ]  # fmt: skip


def _rows(path: Path, count: int) -> Path:
    """Write so many messages, none quite like the bundled one that it came from."""
    random, rows = Random(0), [row for row in load_corpus().rows if row["department"] != OUT_OF_SCOPE]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = random.choice(rows)
            words = [word for word in str(row.get("body") or "").split() if random.random() > 0.15]
            body = f"{random.choice(words or ['hello'])} {' '.join(words)} {number}"
            file.write(json.dumps({"subject": "", "body": body, "department": row["department"]}) + "\n")
    return path


async def _flow(ours: District, mails: Mails, first: int, seconds: int) -> dict[str, Any]:
    """Post at the rate; return what accepting took, and the way from the moment a post was due to its mail (ms)."""
    count = RATE * seconds
    results = await post(
        ours.port, kind=MIXED, connections=8, count=count, seconds=seconds + 10, rate=RATE, first=first
    )
    await mails.until(_flowed(first, seconds), _ARRIVE_S)
    due = (results["first_at"] + number / RATE for number in range(count))
    ways = [mails.arrived[token(first + number)][0] - at for number, at in enumerate(due)]
    found = {"accept": results["latency_ms"], "form_to_sink": summary_ms(ways)}
    print(f"accept {found['accept']}, form to sink {found['form_to_sink']}", file=sys.stderr)
    return found


def _flowed(first: int, seconds: int) -> list[str]:
    return list(numbers(first, RATE * seconds))


async def _correct_one(ours: District, mails: Mails, where: Path) -> None:
    """Send one message more, pass it on, and confirm that."""
    await post(ours.port, kind=MIXED, connections=1, count=1, seconds=10, first=_FLAGGED)
    await mails.until([token(_FLAGGED)], _ARRIVE_S)
    [message] = await _ask(where, "messages_list", limit=1)
    to = next(desk for desk in _ELSEWHERE if desk != message["department"])
    await _ask(where, "misroute", message_id=message["id"], to=to, by=_PERSON)
    [flag] = await _ask(where, "corrections_list", state="proposed")
    await _ask(where, "corrections_confirm", ids=[flag["id"]], by=_PERSON)


async def _ask(where: Path, command: str, **arguments: Any) -> Any:
    return await control.ask(control.socket_path(f"sqlite:///{where / 'signpost.db'}"), command, arguments)


def _trains(ours: District) -> bool:
    for pid in family(ours.process.pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123  a file of the kernel's
                if _CHILD in file.read():
                    return True
        except OSError:
            continue
    return False


async def _until_training(ours: District) -> None:
    async with asyncio.timeout(_LOOKS_S):
        while not _trains(ours):  # noqa: ASYNC110  another process's child sets no event
            await asyncio.sleep(0.1)


# --- models exchanged while messages flow -----------------------------------------------------------------------------


async def switching(*, quick: bool = False) -> list[Figure]:
    """Return how long promotions and rollbacks take while messages flow; raise `Failed` if one is lost or doubled."""
    seconds = QUICK_SECONDS if quick else SECONDS
    with folder() as where:
        versions = await _two_models(where)
        async with sink() as mails, district(where, sink_port=mails.port) as ours:
            await post(ours.port, kind=MIXED, connections=4, count=WARM_UP, seconds=60)
            flowing = asyncio.create_task(
                post(ours.port, kind=MIXED, connections=8, count=RATE * seconds, seconds=seconds + 10, rate=RATE,
                     first=_FIRST_SWITCH)
            )  # fmt: skip
            took = await _switch(where, versions[1], seconds / (2 * SWITCHES + 2))
            await flowing
            sent = [*numbers(0, WARM_UP), *_flowed(_FIRST_SWITCH, seconds)]
            await mails.until(sent, _ARRIVE_S)
            status = await _ask(where, "status")
            told = _late(where)
        mails.account(sent)
    if left := status["messages"]["undecided"] + status["messages"]["held"]:
        raise Failed(f"{left} messages weren't routed")
    return [
        Figure(name="learning.switch", value=round(max(took + told), 3), unit="s", n=len(took), better="lower",
               limit=MOST_SWITCH_S, note=f"the slowest of so many promotions and rollbacks at {RATE} messages/s, until "
               "the other model answers; none of the messages lost, none unrouted, none twice",
               detail={"answered_ms": summary_ms(took), "messages": len(sent), "served_late_s": max(told, default=0.0),
                       "load": load()})
    ]  # fmt: skip


async def _two_models(where: Path) -> tuple[str, str]:
    """Register the bundled model as the champion, and another with the same answers beside it."""
    bundled = bundled_model()
    other = Artifact(bundled.type, bundled.arrays, {**bundled.meta, "remark": "the same again", "fingerprint": "two"})
    store = open_store(f"sqlite:///{where / 'signpost.db'}")
    await store.open()
    try:
        fine = Verdict(passed=True, sentence="For a measurement.")
        first = await registry.register(store, trained(bundled, fine), promote=True)
        second = await registry.register(store, replace(trained(other, fine), parent=first.version), promote=False)
    finally:
        await store.close()
    return first.version, second.version


async def _switch(where: Path, version: str, pause_s: float) -> list[float]:
    """Promote and go back in turns; return how long each took, in seconds."""
    took = []
    for _ in range(SWITCHES):
        for command, arguments in (("models_promote", {"version": version}), ("models_rollback", {})):
            await asyncio.sleep(pause_s)
            began = time.monotonic()
            await _ask(where, command, by=_PERSON, **arguments)
            took.append(time.monotonic() - began)
    return took


def _late(where: Path) -> list[float]:
    """Return for how long after each exchange messages were still decided by the model before it, as the log tells."""
    serves, since, late = "", 0.0, []
    for line in (where / "daemon.log").read_text().splitlines():
        event = json.loads(line)
        at = datetime.fromisoformat(event["timestamp"]).timestamp()
        if event.get("event") == "model_serves":
            serves, since = event["model"], at
        elif event.get("event") == "message_decided" and event.get("model") and serves and event["model"] != serves:
            late.append(at - since)
    return late
