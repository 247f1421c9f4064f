"""The short way in for a post, and the connection it is on: order, time-outs, the end, and who leaves."""

from __future__ import annotations

import asyncio
import json
import re

from aiohttp import web

from channels._mime import mail_id
from router.intake import Intake
from router.metrics import Metrics
from router.store import messages
from router.testing import until, within
from tests.unit.router.web.site import LogLines
from tests.unit.router.web.ways import END, FIELDS, JSON, PAIRS, PLAIN, a_form, comparable, form, hand, post, site


class Ending:
    """A webhook whose answer ends the connection."""

    at_once = frozenset({PAIRS})

    async def handle(self, _request, _accept):
        """Say so."""
        response = web.Response(text="bye")
        response.force_close()
        return response


async def test_an_answer_may_end_the_connection():
    """After an answer that says so nothing more is taken, and the connection is closed."""
    request = post("words")
    async with site(webhook=Ending()) as at:
        connection, reader, writer = await at.connect()
        await hand(connection, request, request)
        said = await within(reader.read())
        writer.close()
        assert comparable(said) == comparable(await at.answers(request[:-1], request[-1:]))
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200"]


async def test_answers_keep_the_order_of_requests():
    """What comes while a post takes the short way is answered after it, whatever it is."""
    async with site() as at:
        at.intake.gate.clear()
        connection, reader, writer = await at.connect()
        await hand(connection, PLAIN)
        assert at.webhook.ways == ["short"]
        await hand(connection, b"GET /static/site.css HTTP/1.1\r\nHost: h\r\n\r\n" + post(form(), JSON))
        await hand(connection, PLAIN[:50])
        await hand(connection, PLAIN[50:] + END)
        at.intake.gate.set()
        said = await within(reader.read())
        writer.close()
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"303", b"200", b"400", b"303", b"404"]
    assert at.webhook.ways == ["short", "long", "long"]


async def test_a_segment_of_several_requests_is_answered_in_order():
    """Requests that come together go aiohttp's way, also more than it queues; the next one alone is short again."""
    async with site() as at:
        connection, reader, writer = await at.connect()
        await hand(connection, b"".join(post(form(subject=f"s{number}")) for number in range(80)))
        await until(lambda: len(at.intake.taken) == 80 and connection._waiter and not connection._reading_paused)
        await hand(connection, PLAIN)
        await hand(connection, END)
        said = await within(reader.read())
        writer.close()
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"303"] * 81 + [b"404"]
    assert [inbound.facts["subject"] for inbound in at.intake.offered] == [*(f"s{n}" for n in range(80)), "Bus 12"]
    assert at.webhook.ways == ["long"] * 80 + ["short"]


async def test_a_kept_connection_takes_post_after_post():
    """After a short answer the connection rests as it did before, and its timer runs on."""
    async with site() as at:
        connection, reader, writer = await at.connect()
        for number in range(3):
            before = connection._next_keepalive_close_time
            await hand(connection, PLAIN)
            await until(lambda: connection._waiter)
            assert (await within(reader.readuntil(b"\r\n\r\n"))).startswith(b"HTTP/1.1 303")
            assert connection._next_keepalive_close_time > before
            assert connection._keepalive_handle is not None
            assert len(at.intake.taken) == number + 1
        assert at.front._runner.server.requests_count == 3
        connection._next_keepalive_close_time = 0.0
        connection._process_keepalive()  # its time is over
        assert await within(reader.read()) == b""
        writer.close()
    assert at.webhook.ways == ["short"] * 3


async def test_nobody_is_cut_off_while_a_post_is_under_way():
    """A connection whose timer goes off in the middle stays open until its answer is written."""
    async with site() as at:
        at.intake.gate.clear()
        connection, reader, writer = await at.connect()
        await hand(connection, PLAIN)
        connection._next_keepalive_close_time = 0.0
        connection._process_keepalive()
        at.intake.gate.set()
        assert (await within(reader.readuntil(b"\r\n\r\n"))).startswith(b"HTTP/1.1 303")
        assert connection._keepalive_handle is not None
        writer.close()


async def test_who_does_not_read_is_waited_for():
    """A client that lets answers pile up has its posts taken aiohttp's way, which waits for it."""
    async with site() as at:
        connection, reader, writer = await at.connect()
        connection.pause_writing()
        await hand(connection, PLAIN)
        await until(lambda: at.intake.taken)
        connection.resume_writing()
        await hand(connection, END)
        assert (await within(reader.read())).startswith(b"HTTP/1.1 303")
        writer.close()
    assert at.webhook.ways == ["long"]


async def test_who_has_left_is_no_mistake():
    """A client that is gone before its answer: the message is accepted, nothing is logged, nobody waits for it."""
    log = LogLines()
    async with site(log=log) as at:
        at.intake.gate.clear()
        connection, _, writer = await at.connect()
        await hand(connection, PLAIN)
        writer.transport.abort()
        await until(lambda: connection.transport is None)
        at.intake.gate.set()
        await until(lambda: not at.front._runner.server.connections)
        assert len(at.intake.taken) == 1
    assert log.lines == []


async def test_the_end_waits_for_the_answer():
    """A front that is closed lets a post under way end and takes no other; then the connection is closed."""
    async with site() as at:
        at.intake.gate.clear()
        connection, reader, writer = await at.connect()
        await hand(connection, PLAIN)
        closing = asyncio.create_task(at.front.aclose())
        await until(lambda: connection._force_close or connection._close)
        await hand(connection, PLAIN)
        assert not closing.done()
        at.intake.gate.set()
        said = await within(reader.read())
        await within(closing)
        writer.close()
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"303"]
    assert len(at.intake.offered) == 1


async def test_the_end_cuts_off_what_takes_too_long():
    """A post that waits for ever is cancelled when patience is over, and the application can end."""
    async with site(patience_s=0.01) as at:
        at.intake.gate.clear()
        connection, reader, writer = await at.connect()
        await hand(connection, PLAIN)
        await within(at.front.aclose())
        assert await within(reader.read()) == b""
        writer.close()
        assert at.webhook.ways == ["short"]
        assert at.intake.taken == {}


async def test_a_stored_message_is_the_same_by_both_ways(sqlite_store, log):
    """With the real store behind it: a receipt's message is on disk, and both ways stored the same."""
    woken = []
    intake = Intake(
        sqlite_store, mail_id=mail_id, wake=lambda: woken.append(1), max_message_bytes=10**6, metrics=Metrics(), log=log
    )
    seen = []
    request = post(json.dumps(FIELDS), JSON)
    async with site(webhook=a_form(), accept=intake.accept) as at:
        for segments in ([request], [request[:-1], request[-1:]]):
            said = await at.answers(*segments)
            reference = re.search(rb'"reference": "(\w{12})"', said)[1].decode()
            original = await sqlite_store.read(lambda c, id_=reference: messages.original(c, id_))
            seen.append(re.sub(rb"<form\.[0-9a-f]{32}@", b"", original))
        assert at.webhook.ways == ["short", "long"]
    assert seen[0] == seen[1]
    assert b"was 100% late" in seen[0]
    assert woken == [1, 1]


async def test_a_webhook_that_says_nothing_goes_the_long_way():
    """Whoever wrote a form for a district may rely on a task: the short way is for those that ask for it."""
    form_ = a_form()
    form_.at_once = frozenset()
    async with site(webhook=form_) as at:
        assert (await at.answers(PLAIN)).startswith(b"HTTP/1.1 303")
    assert form_.ways == ["long"]


async def test_at_the_limit_the_idlest_connection_makes_room():
    """The older one has just been answered; the younger one never said anything: that one is closed."""
    async with site() as at:
        at.front._runner.server._most_connections = 2
        used, reader, writer = await at.connect()
        _silent, silent_reader, silent_writer = await at.connect()
        await hand(used, PLAIN)
        assert (await within(reader.readuntil(b"\r\n\r\n"))).startswith(b"HTTP/1.1 303")
        await until(lambda: used._waiter)
        assert (await at.answers(PLAIN)).startswith(b"HTTP/1.1 303")
        assert await within(silent_reader.read()) == b""
        await hand(used, PLAIN, END)
        assert (await within(reader.read())).count(b"HTTP/1.1 303") == 1
        writer.close()
        silent_writer.close()


async def test_who_begins_a_request_and_never_ends_it_makes_room():
    """Bytes that come now and then don't make a connection look used."""
    async with site() as at:
        at.front._runner.server._most_connections = 1
        connection, reader, writer = await at.connect()
        await hand(connection, b"POST /forms/contact HTTP/1.1\r\n", b"Host: h\r\n")
        assert (await at.answers(PLAIN)).startswith(b"HTTP/1.1 303")
        assert await within(reader.read()) == b""
        writer.close()


async def test_a_slow_reader_of_an_answer_is_not_cut_off():
    """What it was answered is still on its way: it isn't idle, and who comes beyond the limit is asked to come back."""
    async with site() as at:
        at.front._runner.server._most_connections = 1
        connection, reader, writer = await at.connect()
        connection.transport.write(b"x" * 50_000_000)  # more than the sockets hold
        assert connection.transport.get_write_buffer_size()
        other, turned_away = await asyncio.open_connection("127.0.0.1", at.port)
        said = await within(other.read())
        assert said.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 10" in said
        turned_away.close()
        assert len(await within(reader.readexactly(50_000_000))) == 50_000_000
        await hand(connection, END)
        assert (await within(reader.read())).startswith(b"HTTP/1.1 404")
        writer.close()
