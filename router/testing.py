"""For tests of what takes messages in: a clock to turn by hand, and the suites every source and webhook passes.

Shipped, so that the author of a channel can run what the built-in ones pass: subclass a suite, fill in its hooks, and
run it with pytest and pytest-asyncio in auto mode. The suite for sinks is in `testing_sinks`.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from router.errors import Refused, StoreBusy, TooLarge
from router.records import Inbound, Medium, Receipt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path
    from typing import Any

    from router.interfaces import Accept, Source, Webhook

_PATIENCE_S = 20.0  # a bound for what should happen at once; only a failing test waits this long


class FakeClock:
    """A clock that stands still until it is turned."""

    def __init__(self, at: datetime = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)) -> None:
        self._at = at

    def now(self) -> datetime:
        """Return the time it shows."""
        return self._at

    def advance(self, by: timedelta | float) -> None:
        """Turn it on, by a timedelta or by seconds."""
        self._at += by if isinstance(by, timedelta) else timedelta(seconds=by)


class RecordingIntake:
    """An `accept` that keeps messages in memory; `failures` are raised first, one per call.

    While `gate` is clear, calls wait at it: what hasn't returned hasn't been accepted.
    """

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.offered: list[Inbound] = []  # every call, refused ones too
        self.taken: dict[str, Inbound] = {}  # by source key
        self.gate = asyncio.Event()
        self.gate.set()

    async def accept(self, inbound: Inbound) -> Receipt:
        """Keep the message, or raise the next failure."""
        self.calls += 1
        self.offered.append(inbound)
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        duplicate = inbound.source_key in self.taken
        self.taken.setdefault(inbound.source_key, inbound)
        return Receipt(message_id=f"R{list(self.taken).index(inbound.source_key) + 1}", duplicate=duplicate)

    def holding(self, text: str) -> list[Inbound]:
        """Return the messages taken whose original holds this ASCII text."""
        return [inbound for inbound in self.taken.values() if text.encode("ascii") in inbound.original]


async def until(fact: Callable[[], object]) -> None:
    """Wait until something is so; raise TimeoutError if it doesn't become so."""
    async with asyncio.timeout(_PATIENCE_S):
        while not fact():  # noqa: ASYNC110 - any fact may be waited for, and few of them set an event
            await asyncio.sleep(0.005)


async def within(work: Coroutine[Any, Any, Any]) -> Any:
    """Await something that should be done soon."""
    async with asyncio.timeout(_PATIENCE_S):
        return await work


def assert_well_formed(inbound: Inbound, channel: str) -> None:
    """Check what the core relies on in every message that is handed over."""
    assert inbound.channel == channel
    assert isinstance(inbound.medium, Medium)
    assert inbound.source_key
    assert inbound.source_key == inbound.source_key.strip()
    assert len(inbound.source_key) <= 500
    assert inbound.received_at.utcoffset() == timedelta(0)
    assert isinstance(inbound.original, bytes)
    assert inbound.original
    text = json.dumps(dict(inbound.facts), ensure_ascii=False)
    assert "\0" not in text
    assert text.encode()  # no lone surrogate


class SourceContract(ABC):
    """What the core relies on in every source. A subclass says how to build one and how its upstream behaves."""

    channel: ClassVar[str] = "inbox"  # the name the source is built with

    @abstractmethod
    def build(self, folder: Path) -> Source:
        """Return a fresh source; called again with the same `folder` it is the same source after a restart."""

    @abstractmethod
    async def offer(self, text: str) -> None:
        """Hand over a message whose body is this ASCII text, as the upstream does, until it is acknowledged.

        Return when the upstream has been told (250, flagged as seen, moved away). If it is refused for now, try again,
        or leave it lying where the source finds it: whatever the real upstream does.
        """

    async def test_acknowledges_only_after_accept(self, tmp_path: Path) -> None:
        """The upstream is told that a message is taken only after `accept` returned."""
        intake = RecordingIntake()
        intake.gate.clear()
        async with running_source(self.build(tmp_path), intake.accept):
            offering = asyncio.create_task(self.offer("first message"))
            await until(lambda: intake.calls)
            for _ in range(50):  # whatever could run on its own has run
                await asyncio.sleep(0)
            assert not offering.done()
            intake.gate.set()
            await within(_done(offering))
        assert len(intake.holding("first message")) == 1

    async def test_a_busy_store_loses_nothing(self, tmp_path: Path) -> None:
        """A message that can't be stored now is not acknowledged, and gets in when the store is free again."""
        intake = RecordingIntake(StoreBusy("busy"), StoreBusy("still busy"))
        async with running_source(self.build(tmp_path), intake.accept):
            await within(self.offer("patient message"))
        assert len(intake.holding("patient message")) == 1
        assert intake.calls >= 3

    async def test_an_unforeseen_failure_loses_nothing(self, tmp_path: Path) -> None:
        """Any other exception of `accept` costs neither the message nor the next one."""
        intake = RecordingIntake(RuntimeError("unforeseen"))
        async with running_source(self.build(tmp_path), intake.accept):
            await within(self.offer("unlucky message"))
            await within(self.offer("next message"))
        assert intake.holding("unlucky message")
        assert intake.holding("next message")

    async def test_what_it_hands_over_is_well_formed(self, tmp_path: Path) -> None:
        """Every message has an aware UTC time, bytes, facts that are JSON, and a source key of its own."""
        intake = RecordingIntake()
        async with running_source(self.build(tmp_path), intake.accept):
            for number in range(3):
                await within(self.offer(f"message number {number}"))
        for inbound in intake.offered:
            assert_well_formed(inbound, self.channel)
        assert len({inbound.source_key for inbound in intake.offered}) == 3

    async def test_stops_when_cancelled_and_runs_again(self, tmp_path: Path) -> None:
        """Cancelling ends `run` soon, also while `accept` waits, and a fresh start takes what comes next."""
        intake = RecordingIntake()
        intake.gate.clear()
        async with running_source(self.build(tmp_path), intake.accept) as running:
            offering = asyncio.create_task(self.offer("message in the middle"))
            await until(lambda: intake.calls)
            running.cancel()
            intake.gate.set()
            await within(asyncio.wait([running]))
            assert running.cancelled()
        async with running_source(self.build(tmp_path), intake.accept):
            await within(self.offer("message after the restart"))
            await within(_done(offering))
        assert intake.holding("message in the middle")
        assert intake.holding("message after the restart")


class WebhookContract(ABC):
    """What the core relies on in every webhook. A subclass says how to build one and how it is called."""

    channel: ClassVar[str] = "hook"  # the name the webhook is built with
    path: ClassVar[str] = "/webhooks/hook"  # where the web application mounts it

    @abstractmethod
    def build(self) -> Webhook:
        """Return a fresh webhook."""

    @abstractmethod
    async def post(self, http: ClientSession, url: str, text: str) -> int:
        """Post a message whose text is `text` (ASCII), as the provider does, and return the status."""

    async def test_answers_only_after_accept(self) -> None:
        """The caller hears yes only after `accept` returned."""
        intake = RecordingIntake()
        intake.gate.clear()
        async with self._serving(intake) as (http, url):
            posting = asyncio.create_task(self.post(http, url, "first message"))
            await until(lambda: intake.calls)
            for _ in range(50):  # whatever could run on its own has run
                await asyncio.sleep(0)
            assert not posting.done()
            intake.gate.set()
            assert is_yes(await within(_done(posting)))
        assert len(intake.holding("first message")) == 1

    async def test_a_busy_store_is_refused_for_now(self) -> None:
        """While the store is busy the caller hears 503, and gets through afterwards."""
        intake = RecordingIntake(StoreBusy("busy"))
        async with self._serving(intake) as (http, url):
            assert await within(self.post(http, url, "patient message")) == 503
            assert not intake.taken
            assert is_yes(await within(self.post(http, url, "patient message")))
        assert len(intake.holding("patient message")) == 1

    async def test_what_is_too_large_is_refused(self) -> None:
        """What `accept` calls too large is answered 413."""
        intake = RecordingIntake(TooLarge("too large"))
        async with self._serving(intake) as (http, url):
            assert await within(self.post(http, url, "large message")) == 413
        assert not intake.taken

    async def test_what_it_hands_over_is_well_formed(self) -> None:
        """Every message has an aware UTC time, bytes, facts that are JSON, and a source key of its own."""
        intake = RecordingIntake()
        async with self._serving(intake) as (http, url):
            for number in range(3):
                assert is_yes(await within(self.post(http, url, f"message number {number}")))
        for inbound in intake.offered:
            assert_well_formed(inbound, self.channel)
        assert len({inbound.source_key for inbound in intake.offered}) == 3

    async def test_rubbish_is_refused(self) -> None:
        """A body that isn't what the provider sends is answered 4xx and handed to nobody."""
        intake = RecordingIntake()
        async with self._serving(intake) as (http, url):
            for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
                answer = await http.post(url, data=b"\xff\0{[", headers={"Content-Type": kind})
                assert 400 <= answer.status < 500
        assert not intake.offered

    async def test_a_get_takes_nothing_in(self) -> None:
        """GET and HEAD change nothing (RFC 9110, section 9.2.1)."""
        intake = RecordingIntake()
        async with self._serving(intake) as (http, url):
            for method in ("GET", "HEAD"):
                await http.request(method, url)
        assert not intake.offered

    @asynccontextmanager
    async def _serving(self, intake: RecordingIntake) -> AsyncIterator[tuple[ClientSession, str]]:
        """Mount the webhook as the web application does, which answers for what is raised."""
        webhook = self.build()

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                return await webhook.handle(request, intake.accept)
            except Refused as refused:
                return web.Response(status=refused.status, text=str(refused))
            except StoreBusy as busy:
                return web.Response(status=503, text=str(busy))

        application = web.Application()
        application.router.add_route("*", self.path, answer)
        async with TestServer(application) as server, ClientSession() as http:
            yield http, str(server.make_url(self.path))


def is_yes(status: int) -> bool:
    """Tell whether a status says that a message is taken."""
    return 200 <= status < 300 or status == 303


async def _done(task: asyncio.Task[Any]) -> Any:
    return await task


@asynccontextmanager
async def running_source(source: Source, accept: Accept) -> AsyncIterator[asyncio.Task[None]]:
    """Run a source for the length of a `with` block; what it raises by itself is raised here."""
    task = asyncio.create_task(source.run(accept))
    try:
        yield task
    finally:
        task.cancel()
        await within(asyncio.wait([task]))
    if not task.cancelled() and (error := task.exception()):
        raise error
