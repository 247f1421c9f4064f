"""Turn the bytes of an original into a `Content` in child processes that may die of it without harm.

An own pool over pipes: killing a child of a `ProcessPoolExecutor` breaks the whole pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from router.errors import SignpostError
from router.language import Language
from router.records import Content
from router.understand_child import FRAME, decode_content

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Glance = Callable[[bytes, Mapping[str, Any], str, str], Content]

_T = TypeVar("_T")
_MAX_ANSWER = 64 * 1024 * 1024  # bytes; more is rubbish
_PIECE = 256 * 1024  # bytes of an original that are written at a time: all at once would stop the event loop
_START_S = 60.0  # an import on a busy machine with a cold disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one message may cost a child, and how many messages a child sees before it is replaced.

    A message counts once more for every 20 kB of it, because what a big one leaves behind stays resident.
    """

    cpu_s: float = 2.0
    wall_s: float = 5.0
    memory_bytes: int = 512 * 1024 * 1024
    messages: int = 5_000


class ParserFailed(SignpostError):
    """No child could be started: that is no message's fault, so try again later."""


class CannotBeShown(SignpostError):
    """A child failed at what it was asked of an original besides; the text says why, for people."""


class _Gone(Exception):
    """A child died, was killed, took too long or answered rubbish; the text says which, for people."""


class ParserPool:
    """Children that parse one message at a time each.

    `parse` is the import path of a function `(original, facts, medium) -> Content`, such as
    "channels._mime:understand". Its module's `glance(original, facts, medium, why)`, if there is one, answers in
    this process, cheaply, for a message whose child was lost.
    """

    def __init__(self, parse: str, *, size: int = 2, limits: Limits | None = None) -> None:
        self.glance = _glance_beside(parse)
        self._language = Language()  # of what no child could read: the children tell that of all others
        self._limits = limits or Limits()
        self._spec = _spec(parse, self._limits)
        self._places = [_Place() for _ in range(size)]
        self._idle: asyncio.LifoQueue[_Place] = asyncio.LifoQueue()
        for place in self._places:
            self._idle.put_nowait(place)
        self._revivals: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Start all children now instead of with the first messages; raise `ParserFailed`."""
        await asyncio.gather(*(self._child_of(place) for place in self._places))

    def pids(self) -> list[int]:
        """Return the process ids of the living children."""
        return [place.child.process.pid for place in self._places if place.child]

    async def understand(self, original: bytes, facts: Mapping[str, Any], medium: str) -> Content:
        """Return what the message says; where parsing it failed, a `Content` that says so in `unreadable`.

        Raises `ParserFailed` if no child can be started.
        """
        place = await self._idle.get()
        question = json.dumps({"facts": dict(facts), "medium": medium}).encode()
        try:
            return await self._ask(place, original, question, decode_content)
        except _Gone as gone:
            return self._language.of(self.glance(original, facts, medium, str(gone)))
        finally:
            self._give_back(place)

    async def ask(self, function: str, original: bytes, wanted: Mapping[str, Any]) -> bytes:
        """Have a child run `function(original, wanted) -> bytes`, named by its import path, within the same limits.

        `wanted` holds JSON values. Raises `CannotBeShown` if that fails, `ParserFailed` if no child can be started.
        """
        place = await self._idle.get()
        question = json.dumps({"ask": function, "wanted": dict(wanted)}).encode()
        try:
            return await self._ask(place, original, question, bytes)
        except _Gone as gone:
            raise CannotBeShown(str(gone)) from gone
        finally:
            self._give_back(place)

    async def aclose(self) -> None:
        """End all children and wait for them: none is left, not even a zombie."""
        self._closed = True
        for task in self._revivals:
            task.cancel()
        await asyncio.gather(*self._revivals, return_exceptions=True)
        await asyncio.gather(*(place.child.end() for place in self._places if place.child))
        for place in self._places:
            place.child = None

    async def _ask(self, place: _Place, original: bytes, question: bytes, read: Callable[[bytes], _T]) -> _T:
        child = await self._child_of(place)
        try:
            async with asyncio.timeout(self._limits.wall_s):
                answer = read(await child.exchange(question, original))
        except TimeoutError:
            why = f"reading it took longer than {self._limits.wall_s:g} s"
        except (OSError, EOFError, asyncio.IncompleteReadError):
            why = "reading it took too much time or memory"
        except ValueError:
            why = "reading it gave no sensible answer"
        except BaseException:  # cancelled in the middle: the child's next answer would be to the wrong question
            child.kill()
            raise
        else:
            return answer
        child.kill()
        raise _Gone(why)

    async def _child_of(self, place: _Place) -> _Child:
        if self._closed:
            raise ParserFailed("the processes for reading messages are closed")
        if place.child is None:
            place.child = await _Child.start(self._spec)
        return place.child

    def _give_back(self, place: _Place) -> None:
        """Offer the place again, after replacing a child that is lost or has seen enough."""
        worn = place.child is not None and (place.child.lost or place.child.seen >= self._limits.messages)
        if not worn or self._closed:
            self._idle.put_nowait(place)
            return
        task = asyncio.get_running_loop().create_task(self._revive(place))
        self._revivals.add(task)
        task.add_done_callback(self._revivals.discard)

    async def _revive(self, place: _Place) -> None:
        try:
            if place.child:
                await place.child.end()
                place.child = None
            with contextlib.suppress(ParserFailed):  # the next message tries again, and says so
                await self._child_of(place)
        finally:
            self._idle.put_nowait(place)


class _Place:
    """One of the pool's places, with its child if it has one."""

    def __init__(self) -> None:
        self.child: _Child | None = None


class _Child:
    """A running child and its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._questions = process.stdin
        self._answers = process.stdout
        self.lost = False
        self.seen = 0

    @classmethod
    async def start(cls, spec: str) -> _Child:
        """Start a child and wait until it is ready; raise `ParserFailed`."""
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-W", "ignore", "-m", "router.understand_child", spec),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
            )
        except OSError as error:
            raise ParserFailed(f"no process for reading messages could be started: {error.strerror}") from error
        child = cls(process)
        try:
            async with asyncio.timeout(_START_S):
                complaint = (await child._frame()).decode(errors="replace")
        except (TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            await child.end()
            raise ParserFailed("a process for reading messages did not start") from error
        except BaseException:
            await child.end()
            raise
        if complaint:
            await child.end()
            raise ParserFailed(f"a process for reading messages could not start: {complaint}")
        return child

    async def exchange(self, question: bytes, original: bytes) -> bytes:
        """Send one message and return the answer; raise OSError or EOFError if the child is gone."""
        self.seen += 1 + len(original) // 20_000
        parts = (FRAME.pack(len(question)), question, FRAME.pack(len(original)), original[:_PIECE])
        self._questions.write(b"".join(parts))  # at once: each write is a system call
        await self._questions.drain()
        for begin in range(_PIECE, len(original), _PIECE):
            self._questions.write(original[begin : begin + _PIECE])
            await self._questions.drain()
        return await self._frame()

    async def _frame(self) -> bytes:
        (length,) = FRAME.unpack(await self._answers.readexactly(FRAME.size))
        if length > _MAX_ANSWER:
            raise ValueError("the answer is too long")
        return await self._answers.readexactly(length)

    def kill(self) -> None:
        """End it at once."""
        self.lost = True
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def end(self) -> None:
        """Close its input, give it a moment if it is idle, and wait until it is gone."""
        self._questions.close()
        try:
            async with asyncio.timeout(0 if self.lost else 5):
                await self.process.wait()
        except TimeoutError:
            self.kill()
            await self.process.wait()
        with contextlib.suppress(OSError):  # the pipe broke with the child; waiting for it closes the transport
            await self._questions.wait_closed()


def _glance_beside(parse: str) -> Glance:
    glance: Glance = getattr(import_module(parse.partition(":")[0]), "glance", _nothing_seen)
    return glance


def _nothing_seen(_original: bytes, _facts: Mapping[str, Any], _medium: str, why: str) -> Content:
    return Content(unreadable=why)


def _spec(parse: str, limits: Limits) -> str:
    return json.dumps({"parse": parse, "cpu": limits.cpu_s, "memory": limits.memory_bytes})


def _environment() -> dict[str, str]:
    """Only what Python needs to find the same modules: the daemon's secrets are no business of a parser."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ", "PYTHONDONTWRITEBYTECODE") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUTF8": "1"}
