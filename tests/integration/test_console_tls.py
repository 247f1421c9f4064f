"""The console behind a proxy that does TLS: what its cookies may be used for."""

from __future__ import annotations

import socket
from urllib.parse import urlencode

from tests.integration.console import console_site
from tests.integration.fake_provider import CLIENT, fake_provider

SETTINGS = {
    "name": "Maple ID",
    "client_id": CLIENT,
    "client_secret_env": "OIDC_SECRET",
    "groups": [{"group": "it", "role": "administrator"}],
}


async def test_every_cookie_is_the_host_s_own(sqlite_store, tmp_path, free_port, log, monkeypatch):
    """No cookie goes without TLS, and none that lets somebody in can be planted from a neighbouring site."""
    monkeypatch.setenv("OIDC_SECRET", "hush")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    def change(file):
        file["organization"]["public_url"] = "https://signpost.maple.example/here"

    sign_in = {"maple": SETTINGS | {"issuer": f"http://127.0.0.1:{port}"}}
    async with (
        fake_provider(port) as provider,
        console_site(sqlite_store, tmp_path, free_port, log, sign_in=sign_in, change=change) as site,
    ):
        site.url = f"http://127.0.0.1:{free_port}"
        async with site.browser() as browser:
            _, _, begun = await browser.get("/console/sign-in/maple")
            attempt = begun.cookies["__Host-signpost-attempt"]
            came_back = provider.approve(begun.headers["Location"], groups=["it"])
            browser.headers = {"Cookie": f"__Host-signpost-attempt={attempt.value}"}
            _, _, answer = await browser.get(f"/console/sign-in/maple/answer?{urlencode(came_back)}")
            session = answer.cookies["__Host-signpost"]
            browser.headers = {"Cookie": f"__Host-signpost={session.value}"}
            await browser.get("/console/users")
            form = {"email": "kim@maple.example", "role": "viewer", "department:all": "on", "school:all": "on"}
            status, _, answer = await browser.post("/console/users/add", **form)
            said = answer.cookies["signpost-said"]
    assert status == 303
    for cookie, path, to in ((attempt, "/", "Lax"), (session, "/", "Lax"), (said, "/here/console", "Strict")):
        kept = (cookie["secure"], cookie["httponly"], cookie["path"], cookie["samesite"], cookie["domain"])
        assert kept == (True, True, path, to, "")
