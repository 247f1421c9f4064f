"""Somebody who is signed in to a daemon's console, as a browser without scripts: pages, and the forms on them."""

from __future__ import annotations

import re
from html import unescape

import aiohttp

PASSWORD = "a quiet lighthouse 42"
CONSOLE = {"local": True}
_FIELD = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
_FORM = re.compile(r'<form method="post" action="([^"]+)".*?</form>', re.DOTALL)
_SAID = re.compile(r'<p class="notice[^"]*" role="status">(.*?)</p>', re.DOTALL)


class Seen:
    """One page as it came: status, headers, HTML."""

    def __init__(self, answer, data):
        self.status, self.headers, self.data = answer.status, answer.headers, data
        self.path = answer.url.path_qs
        self.html = data.decode("utf-8", "replace")

    @property
    def said(self):
        """What was done, in a sentence, or ""."""
        found = _SAID.search(self.html)
        return unescape(found[1].strip()) if found else ""

    def form(self, ending):
        """Return address and hidden fields of the form whose address ends so."""
        for found in _FORM.finditer(self.html):
            if found[1].endswith(ending):
                return found[1], {name: unescape(value) for name, value in _FIELD.findall(found[0])}
        raise AssertionError(f"no form to …{ending} on {self.path}")


class Staff:
    """A session of one account."""

    def __init__(self, daemon, client):
        self._daemon, self._client = daemon, client
        self.url, self.aclose = daemon.url, client.close

    async def get(self, path):
        """Open a page below /console."""
        async with self._client.get(f"{self.url}/console{path}") as answer:
            return Seen(answer, await answer.read())

    async def submit(self, page, ending, **fields):
        """Fill in a form of a page and see what follows."""
        action, hidden = page.form(ending)
        return await self.post(action, hidden | fields)

    async def post(self, action, fields):
        """Send fields to an address of the daemon and see what follows."""
        async with self._client.post(f"{self.url}{action}", data=fields, headers={"Origin": self.url}) as answer:
            return Seen(answer, await answer.read())

    @property
    def cookies(self):
        """Name and value of each cookie."""
        return {cookie.key: cookie.value for cookie in self._client.cookie_jar}


async def add_account(daemon, email, role, *scope):
    """Let somebody sign in with a password; `scope` are further options, such as --department ID."""
    secret = daemon.folder / "password"
    secret.write_text(f"{PASSWORD}\n")
    await daemon.ask("users", "add", email, "--role", role, *scope)
    await daemon.ask("users", "password", email, "--file", str(secret))


async def sign_in(daemon, email):
    """Return somebody who is signed in; close it with `aclose`."""
    client = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
    staff = Staff(daemon, client)
    page = await staff.post("/console/sign-in", {"email": email, "password": PASSWORD})
    assert page.status == 200, (page.status, page.path, page.html[-2000:])
    return staff
