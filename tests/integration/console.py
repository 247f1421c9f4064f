"""A district with a console, in this process: its real parts and its real web application, on a loopback port."""

from __future__ import annotations

import os
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from aiohttp import ClientSession, CookieJar, web
from ruamel.yaml import YAML

from config.load import load
from router.assemble import assemble
from router.console.build import add_console
from router.console.passwords import hashed
from router.console.sessions import digest, fresh_token
from router.records import Content, Decision, Medium, Message, Reason, State
from router.routing.route import Verdict
from router.store import accounts, messages, outbox, sessions
from router.store.scope import EVERYTHING
from router.web import server
from tests.contract.store_helpers import DESK, accept, inbound

PASSWORD = "correct horse battery staple"
EMAIL = "sam@maple.example"
_HASH = []  # made once: each takes a core for a moment
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
DEPARTMENTS = ("office", "buses", "meals", "rooms")


def canary(department, school=""):
    """Return a word that is in every message with a department, and in no other."""
    return f"canary-{department}-{school or 'any'}"


def configuration(folder, port, change=lambda _file: None, **console):
    """Return a district's configuration with a console; `change` may change it before it is written."""
    file = {
        "organization": {
            "name": "Maple Valley",
            "public_url": f"http://127.0.0.1:{port}",
            "timezone": "America/Chicago",
        },
        "store": {"url": f"sqlite:///{folder}/unused.db"},
        "routing": {"fallback": "office"},
        "channels": {"contact": {"type": "web_form"}, "relay": {"type": "maildir", "path": f"{folder}/out"}},
        "departments": {
            name: {"name": name.title(), "deliver": [{"via": "relay", "to": name}]} for name in DEPARTMENTS
        },
        "schools": {"lincoln": {"name": "Lincoln Elementary"}, "parks": {"name": "Rosa Parks Elementary"}},
        "console": {"local": True} | console,
    }
    change(file)
    path = folder / "console.yaml"
    with path.open("w") as stream:
        YAML().dump(file, stream)
    return load(path, env={"OIDC_SECRET": "hush", **os.environ})


@dataclass
class Site:
    """The running application, its store, and browsers that somebody is signed in with."""

    url: str
    store: object
    application: web.Application
    parts: object

    @asynccontextmanager
    async def browser(self, token=""):
        """A browser: keeps cookies, follows no redirects."""
        jar = CookieJar(unsafe=True)
        async with ClientSession(self.url, cookie_jar=jar) as client:
            yield Browser(client, token)

    async def account(self, role="staff", scope=EVERYTHING, email=EMAIL, password=False):
        """Add an account and return its number."""
        now = self.store.clock.now()
        number = await self.store.write(lambda c: accounts.add(c, email, role=role, scope=scope, now=now))
        if password:
            _HASH or _HASH.append(hashed(PASSWORD))
            await self.store.write(lambda c: accounts.set_password(c, number, _HASH[0]))
        return number

    async def session(self, account_id):
        """Sign an account in, past the pages, and return the cookie's token."""
        token, now = fresh_token(), self.store.clock.now()
        kept = {"now": now, "ends_at": now + timedelta(hours=8), "way": "test", "address": "", "browser": ""}
        await self.store.write(lambda c: sessions.begin(c, account_id, digest(token), **kept))
        return token

    async def message(self, department=None, school="", key="k"):
        """Return the id of a message that is with a department, or undecided."""
        receipt = await accept(self.store, inbound(f"{key}-{department}-{school}", f"{key} {department}".encode()))
        if department is None:
            return receipt.message_id
        leased = await self.store.write(lambda c: messages.lease_undecided(c, "d1", 1, first=[receipt.message_id]))
        assert [each.id for each in leased] == [receipt.message_id]
        at = leased[0].received_at
        content = Content(
            sender="ana@home.example", subject=canary(department, school), text=canary(department, school)
        )
        message = Message(id=leased[0].id, channel="mail", medium=Medium.EMAIL, received_at=at, content=content)
        decision = Decision(
            message_id=message.id, department=department, reason=Reason.MODEL, decided_at=at, school=school
        )
        verdict = Verdict(message=message, state=State.ROUTED, decision=decision)
        await self.store.write(lambda c: outbox.commit_verdicts(c, [verdict], lambda _decision: [DESK], at))
        return message.id


class Browser:
    """What a person has before them; `csrf` is that of the last page with a form."""

    def __init__(self, client, token):
        self.client = client
        self.csrf = ""
        self.headers = {"Cookie": f"signpost-session={token}"} if token else {}

    async def get(self, path, **options):
        """Open a page; return its status, text and answer."""
        return await self._ask("GET", path, **options)

    async def post(self, path, csrf=None, headers=None, **fields):
        """Send a form as the page's own would."""
        form = {"csrf": self.csrf if csrf is None else csrf, **fields}
        return await self._ask("POST", path, data=form, headers={"Sec-Fetch-Site": "same-origin", **(headers or {})})

    async def _ask(self, method, path, headers=None, **options):
        headers = {"Accept": "text/html", **self.headers, **(headers or {})}
        async with self.client.request(method, path, headers=headers, allow_redirects=False, **options) as answer:
            text = await answer.text()
        found = CSRF.search(text)
        self.csrf = found[1] if found else self.csrf
        return answer.status, text, answer


@asynccontextmanager
async def console_site(store, folder, port, log, **console):
    """Serve the district's pages until the block ends."""
    parts = await assemble(configuration(folder, port, **console), store, Random(0), log)
    organization = parts.configuration.organization
    application = server.build(
        webhooks=parts.webhooks,
        accept=parts.intake.accept,
        store=store,
        corrections=parts.corrections,
        keys=parts.keys,
        desks=parts.desks,
        metrics=parts.metrics,
        ready=list,
        wake=lambda: None,
        public_url=organization.public_url,
        organization=organization.name,
        colour=organization.colour,
        max_message_bytes=1_000_000,
        log=log,
    )
    add_console(application, parts)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield Site(organization.public_url, store, application, parts)
    finally:
        await runner.cleanup()
        await parts.parsers.aclose()
