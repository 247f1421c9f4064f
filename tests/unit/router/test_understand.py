"""The pool of parsing children: hostile messages cost only themselves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from channels._mime_fields import MAX_HEADER_BYTES
from channels._mime_parts import MAX_DEPTH, MAX_PARTS
from router.errors import SignpostError
from router.records import Attachment, Content
from router.testing import until
from router.understand import Limits, ParserFailed, ParserPool
from router.understand_child import decode_content, encode_content

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REAL = "channels._mime:understand"
ODD = """
import os, signal, sys
from router.records import Content

def parse(original, facts, medium):
    word = original.split()[0] if original.split() else b""
    if word == b"spin":
        while True:
            pass
    if word == b"wait":
        signal.pause()
    if word == b"grow":
        return Content(text=str(len(bytearray(4 << 30))))
    if word == b"die":
        os._exit(3)
    if word == b"raise":
        raise RuntimeError("unforeseen")
    if word == b"rubbish":
        os.write(1, b"\\x00\\x00\\x00\\x02{}")
        signal.pause()
    if word == b"endless":
        os.write(1, b"\\xff\\xff\\xff\\xff")
        signal.pause()
    if word == b"chatter":
        sys.stderr.write("x" * 1_000_000)
    if word == b"secrets":
        return Content(text=os.environ.get("IMAP_PASSWORD", "none"))
    if word == b"pid":
        return Content(text=str(os.getpid()))
    return Content(text=original.decode(), topic=str(facts.get("topic", "")), language=medium)

def glance(original, facts, medium, why):
    return Content(subject="glanced", unreadable=why)
"""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The import path of a parse function that misbehaves on command."""
    (tmp_path / "odd_parser.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    return "odd_parser:parse"


@contextlib.asynccontextmanager
async def pool_of(parse: str, *, size: int = 1, **limits: float) -> AsyncIterator[ParserPool]:
    """A pool that leaves no process behind."""
    pool = ParserPool(parse, size=size, limits=Limits(**({"wall_s": 30.0} | limits)))
    try:
        yield pool
    finally:
        await pool.aclose()
        assert pool.pids() == []


async def ask(pool: ParserPool, text: str, **facts: str) -> Content:
    async with asyncio.timeout(60):
        return await pool.understand(text.encode(), facts, "email")


async def test_a_message_is_understood_in_a_child(odd: str):
    """Bytes, facts and medium reach the child, and its content comes back."""
    async with pool_of(odd) as pool:
        content = await ask(pool, "hello", topic="bus")
        assert (content.text, content.topic, content.language) == ("hello", "bus", "email")
        assert (await ask(pool, "pid")).text == str(pool.pids()[0]) != str(os.getpid())


async def test_the_real_parser_serves_many_at_once():
    """Of 200 messages asked for at the same time, each gets its own answer."""
    async with pool_of(REAL, size=2) as pool:
        mails = [f"Subject: mail {n}\r\n\r\nText number {n}".encode() for n in range(200)]
        contents = await asyncio.gather(*(pool.understand(mail, {}, "email") for mail in mails))
        assert [content.subject for content in contents] == [f"mail {n}" for n in range(200)]
        assert len(pool.pids()) == 2


@pytest.mark.parametrize("word", ["grow", "die", "raise", "rubbish", "endless"])
async def test_a_lost_child_costs_one_message(odd: str, word: str):
    """A child that outgrows its memory, dies, raises or answers rubbish is replaced; the message is glanced at."""
    async with pool_of(odd) as pool:
        lost = await ask(pool, word)
        assert lost.subject == "glanced"
        assert lost.unreadable.startswith("reading it")
        assert (await ask(pool, "next")).text == "next"


@pytest.mark.case("M02")
async def test_a_busy_loop_is_stopped_by_its_cpu_limit(odd: str):
    """A message that burns CPU is given up at the limit, while others go through beside it."""
    async with pool_of(odd, size=2, cpu_s=0.5) as pool:
        await pool.start()
        spinning = asyncio.create_task(ask(pool, "spin"))
        await until(pool.pids)
        assert (await ask(pool, "beside")).text == "beside"
        assert "too much time" in (await spinning).unreadable
        assert (await ask(pool, "next")).text == "next"


def test_the_limits_are_those_that_are_promised():
    """2 s of a processor, 512 MB, and before that 100 kB of header, 1,000 parts, 100 levels."""
    assert (Limits().cpu_s, Limits().memory_bytes) == (2.0, 512 * 2**20)
    assert (MAX_HEADER_BYTES, MAX_PARTS, MAX_DEPTH) == (100_000, 1_000, 100)


@pytest.mark.case("M02")
async def test_a_child_that_only_waits_is_stopped_by_the_clock(odd: str):
    """A message that uses no CPU but never ends is given up after the wall limit."""
    async with pool_of(odd, wall_s=0.3) as pool:
        await pool.start()
        assert "longer than 0.3 s" in (await ask(pool, "wait")).unreadable


@pytest.mark.case("M02")
async def test_many_bombs_at_once_leave_the_loop_free(odd: str):
    """Eight bombs are all answered, and the event loop turns meanwhile."""
    async with pool_of(odd, size=2, cpu_s=0.1) as pool:
        bombs = asyncio.gather(*(ask(pool, "spin") for _ in range(8)))
        turns = 0
        while not bombs.done():
            await asyncio.sleep(0)
            turns += 1
        assert all(content.unreadable for content in await bombs)
        assert turns > 100  # it turns thousands of times; a blocked loop wouldn't
        assert (await ask(pool, "next")).text == "next"


async def test_a_child_killed_from_outside_is_replaced(odd: str):
    """SIGKILL in the middle of a message costs that message only."""
    async with pool_of(odd) as pool:
        await pool.start()
        asking = asyncio.create_task(ask(pool, "wait"))
        (killed,) = pool.pids()
        await asyncio.sleep(0)
        os.kill(killed, signal.SIGKILL)
        assert (await asking).unreadable
        assert (await ask(pool, "next")).text == "next"
        assert killed not in pool.pids()


async def test_giving_up_does_not_mix_answers(odd: str):
    """A caller that is cancelled takes its child along: the next message gets its own answer."""
    async with pool_of(odd) as pool:
        await pool.start()
        asking = asyncio.create_task(ask(pool, "wait"))
        for _ in range(5):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await ask(pool, "next")).text == "next"


async def test_children_are_replaced_after_some_messages(odd: str):
    """A child that has seen its share of messages makes room for a fresh one."""
    async with pool_of(odd, messages=3) as pool:
        pids = [(await ask(pool, "pid")).text for _ in range(7)]
    assert [len(set(pids[start : start + 3])) for start in (0, 3)] == [1, 1]
    assert len(set(pids)) == 3


async def test_errors_of_a_child_do_not_block_it(odd: str):
    """A megabyte on standard error goes nowhere and holds nothing up."""
    async with pool_of(odd) as pool:
        assert (await ask(pool, "chatter")).text == "chatter"


async def test_children_do_not_see_secrets(odd: str, monkeypatch: pytest.MonkeyPatch):
    """The environment's secrets aren't handed to processes that parse hostile bytes."""
    monkeypatch.setenv("IMAP_PASSWORD", "hunter2")
    async with pool_of(odd) as pool:
        assert (await ask(pool, "secrets")).text == "none"


async def test_closing_leaves_no_process(odd: str):
    """After `aclose` every child is gone and waited for, and nothing is started any more."""
    pool = ParserPool(odd, size=2)
    await pool.start()
    pids = pool.pids()
    await pool.aclose()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(ParserFailed):
        await pool.understand(b"x", {}, "email")


async def test_a_pool_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """If a child can't import its parser, that is an error of the daemon, and no message's."""
    (tmp_path / "half_parser.py").write_text("def glance(*_): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    async with pool_of("half_parser:missing") as pool:
        with pytest.raises(SignpostError, match="missing"):
            await pool.start()


async def test_children_are_light():
    """A child of the real parser stays below 45 MB of resident memory."""
    async with pool_of(REAL) as pool:
        await pool.understand(b"Content-Type: text/html; charset=x\r\n\r\n<p>caf\xe9</p>", {}, "email")
        status = await asyncio.to_thread(Path(f"/proc/{pool.pids()[0]}/status").read_text)
        resident_kb = int(status.partition("VmRSS:")[2].split()[0])
        assert resident_kb < 45_000


def test_content_survives_the_pipe():
    """Every field of a content reads back as it was."""
    content = Content(
        sender="ana@example.org", text="Autobús 🚌", attachments=(Attachment(name="a", content_type="b/c", size=3),),
        references=("<1@x>",), headers={"list-id": ("<a>",)}, auto_submitted=True, hops=2,
    )  # fmt: skip
    assert decode_content(encode_content(content)) == content


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b'{"text": 7}', b"[" * 100_000])
def test_rubbish_is_no_content(data: bytes):
    """What isn't a content is refused with ValueError, whatever it is."""
    with pytest.raises(ValueError):  # noqa: PT011 - any of its kinds
        decode_content(data)
