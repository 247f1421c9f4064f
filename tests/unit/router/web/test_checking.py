"""`check --connect` with the pages: the port, the public address, and what answers there."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from router.findings import Finding, Level
from router.interfaces import SystemClock
from router.settings import Address
from router.testing_checks import failures
from router.web.checking import check_pages
from router.web.server import CONTENT_SECURITY_POLICY

PATHS = {"contact": "/forms/contact", "text-line": "/webhooks/text-line"}
OURS = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Server": "nginx"}  # as a proxy passes it on


@asynccontextmanager
async def answering(headers, statuses=None, otherwise=200):
    """Answer every path with a status and these headers."""

    async def answer(request):
        status = (statuses or {}).get(request.path, otherwise)
        return web.Response(status=status, text="ok", headers=headers)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        yield server.port


async def check(public_port, listen_port, *, daemon_runs=True, public_url=""):
    """Run the check and return what it found."""
    url = public_url or f"http://127.0.0.1:{public_port}"
    steps = check_pages(
        url, Address("127.0.0.1", listen_port), PATHS, daemon_runs=daemon_runs, clock=SystemClock(), limit_s=5
    )
    return [step async for step in steps if isinstance(step, Finding)]


async def test_the_daemon_answers_at_its_public_address():
    """Every channel's path is asked for; 405 is an answer of ours, too."""
    async with answering(OURS, {"/webhooks/text-line": 405}) as port:
        found = await check(port, port)
    assert not failures(found)
    assert found[0].what == f"The running daemon serves its pages on 127.0.0.1:{port}."
    assert found[-1].what == f"Signpost answers at http://127.0.0.1:{port} for /forms/contact, /webhooks/text-line."


async def test_a_proxy_that_passes_one_path_only(free_port):
    """A path that another program answers is named, with what the proxy has to do."""
    async with answering({"Server": "nginx"}, {"/webhooks/text-line": 404}) as port:
        found = failures(await check(port, free_port))
    assert {each.what for each in found} == {
        f"http://127.0.0.1:{port}/forms/contact is answered by another program than Signpost (200).",
        f"http://127.0.0.1:{port}/webhooks/text-line is answered by another program than Signpost (404).",
    }
    assert all("pass this path on" in each.mend for each in found)


async def test_a_daemon_with_an_older_file():
    """A channel that the running daemon doesn't know yet: reload it."""
    async with answering(OURS, {"/webhooks/text-line": 404}) as port:
        (found,) = failures(await check(port, port))
    assert found.what == "The running daemon doesn't know the channel text-line yet (404)."
    assert "reload" in found.mend


async def test_a_proxy_with_nothing_behind_it(free_port):
    """502 while a daemon runs: the proxy asks at the wrong place. While none runs it is as it should be."""
    async with answering({"Server": "nginx"}, otherwise=502) as port:
        (found,) = failures(await check(port, free_port))
        assert found.what == f"What answers at http://127.0.0.1:{port} finds nothing behind it (502)."
        assert f"127.0.0.1:{free_port}" in found.mend
        assert not failures(await check(port, free_port, daemon_runs=False))


@pytest.mark.parametrize("daemon_runs", [True, False])
async def test_an_address_that_cannot_be_reached_from_here(free_port, daemon_runs):
    """It is a remark that says what it means: many networks don't let a machine reach itself by its public name."""
    url = "https://contact.exampel.invalid"
    found = await check(0, free_port, daemon_runs=daemon_runs, public_url=url)
    assert not failures(found)
    assert found[-1].level is Level.REMARK
    assert found[-1].what.startswith(f"{url} can't be reached from this machine.")
    assert "reverse proxy" in found[-1].mend


async def test_another_program_on_our_port():
    """Whatever answers there isn't Signpost."""
    async with answering({"Server": "nginx"}) as port:
        found = await check(port, port, daemon_runs=False)
    assert found[0].what == f"Another program listens on 127.0.0.1:{port}."


async def test_before_the_first_start(free_port):
    """The port is free, and nothing answers yet: both are fine; a loopback address is remarked on."""
    found = await check(free_port, free_port, daemon_runs=False)
    assert [each.level for each in found] == [Level.FINE, Level.REMARK, Level.FINE]
    assert found[1].what.startswith(f"Only this machine reaches http://127.0.0.1:{free_port}")


async def test_an_unencrypted_public_address(free_port):
    """What families write would be readable on its way."""
    found = await check(0, free_port, daemon_runs=False, public_url="http://contact.exampel.invalid")
    assert found[1].what == (
        "http://contact.exampel.invalid is unencrypted: what families write can be read on its way."
    )
