"""A small web application for tests: a real store, the test district, and a form that keeps what it is sent."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from router.interfaces import Channel, Settings
from router.learning.corrections import Corrections
from router.metrics import Metrics
from router.records import Inbound, Medium
from router.web import server
from tests.unit.router.district import ALERTS, DESKS, RING

PUBLIC_URL = "https://d.example"


class Form:
    """A webhook that stores the body of a POST, or raises what it is given."""

    def __init__(self, error=None):
        self.error = error
        self.methods = []

    async def handle(self, request, accept):
        """Show a form, or take a message in."""
        self.methods.append(request.method)
        if self.error is not None:
            raise self.error
        if request.method == "GET":
            return web.Response(text=f"the form at {request.path}")
        inbound = Inbound(
            source_key="one",
            channel="contact",
            medium=Medium.WEB_FORM,
            received_at=datetime.now(UTC),
            original=await request.read(),
        )
        receipt = await accept(inbound)
        return web.json_response({"reference": receipt.message_id}, status=202)


class LogLines:
    """A log that keeps its lines as (event, facts)."""

    def __init__(self):
        self.lines = []

    def _add(self, event, **facts):
        self.lines.append((event, facts))

    debug = info = warning = error = exception = _add


def built(store, *, webhooks=None, accept=None, reasons=(), log=None, wake=lambda: None, **more):
    """Return an application of the test district."""
    return server.build(
        webhooks=webhooks if webhooks is not None else {},
        accept=accept,
        store=store,
        corrections=Corrections(DESKS, ALERTS),
        keys=RING,
        desks=DESKS,
        metrics=Metrics(),
        ready=lambda: list(reasons),
        wake=wake,
        public_url=PUBLIC_URL,
        organization="Maple <Valley> District",
        max_message_bytes=10_000,
        log=log or LogLines(),
        **more,
    )


@asynccontextmanager
async def serving(store, **more):
    """Serve an application on a free loopback port; yield a client that follows no redirect."""
    application = built(store, **{key: value for key, value in more.items() if key != "mounts"})
    for mount in more.get("mounts", ()):
        mount(application)
    async with TestClient(TestServer(application)) as client:
        yield client


def channel(mount="webhooks"):
    """Return a channel type that only has a place to be mounted at."""
    return Channel(summary="a form for tests", settings=Settings, mount=mount)
