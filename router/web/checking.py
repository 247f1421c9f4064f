"""What `signpost check --connect` does with the web pages: the port, the public address, and every path behind it."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from channels._check_http import Answer, ask
from channels._check_line import clocks
from channels._check_port import near, why_not_bound
from router.findings import Checking, Finding, failed, fine, remark
from router.settings import is_loopback
from router.web.server import CONTENT_SECURITY_POLICY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.interfaces import Clock
    from router.settings import Address

_WAITS = frozenset({502, 503, 504})  # a proxy that finds nothing behind it


async def check_pages(
    public_url: str, listen: Address, paths: Mapping[str, str], *, daemon_runs: bool, clock: Clock, limit_s: float
) -> Checking:
    """Yield what is fine and what isn't. `paths` are those of the channels that are called over HTTP, by name."""
    yield f"looking at {listen}"
    yield await _port(listen, daemon_runs=daemon_runs, limit_s=limit_s)
    for found in _form(public_url):
        yield found
    yield f"asking for {public_url}/livez"
    answer = await ask("GET", f"{public_url}/livez", limit_s=limit_s)
    if isinstance(answer, Finding):
        yield _unreachable(public_url, answer, daemon_runs=daemon_runs)
        return
    for found in clocks(answer.at, clock.now(), urlsplit(public_url).hostname or public_url):
        yield found
    if not daemon_runs:
        yield _without_daemon(public_url, answer)
        return
    if answer.status in _WAITS:
        mend = f"let it pass requests on to {listen}, where the daemon listens"
        yield failed(f"What answers at {public_url} finds nothing behind it ({answer.status}).", mend)
        return
    for found in await _paths(public_url, paths, limit_s):
        yield found


async def _port(listen: Address, *, daemon_runs: bool, limit_s: float) -> Finding:
    problem = await asyncio.to_thread(why_not_bound, listen)
    if problem is None:
        free = f"{listen} is free to listen on."
        return remark(free, "the daemon runs without its pages: look at its log") if daemon_runs else fine(free)
    if problem.errno != errno.EADDRINUSE:
        mend = "set http.listen to an address of this machine and a port above 1023; 0.0.0.0 stands for all addresses"
        return failed(f"Nobody may listen on {listen} here: {(problem.strerror or '').lower()}.", mend)
    here = f"http://{near(listen)}/livez"
    answer = await ask("GET", here, limit_s=limit_s)
    if not (isinstance(answer, Answer) and _is_ours(answer)):
        return failed(f"Another program listens on {listen}.", "stop it, or set http.listen to another port")
    if daemon_runs:
        return fine(f"The running daemon serves its pages on {listen}.")
    return failed(f"Another Signpost serves its pages on {listen}.", "stop it, or set http.listen to another port")


def _form(public_url: str) -> list[Finding]:
    parts = urlsplit(public_url)
    if is_loopback(parts.hostname or ""):
        what = f"Only this machine reaches {public_url}: links in mail lead nowhere elsewhere."
        return [remark(what, "before families write, set organization.public_url to the address they are to use")]
    if parts.scheme != "https":
        what = f"{public_url} is unencrypted: what families write can be read on its way."
        return [remark(what, "set up TLS at your web server, and write https:// in organization.public_url")]
    return []


def _unreachable(public_url: str, why: Finding, *, daemon_runs: bool) -> Finding:
    if "certificate" in why.what:
        return failed(f"{why.what} Families are warned off {public_url}.", "have your web server's certificate renewed")
    if not daemon_runs and is_loopback(urlsplit(public_url).hostname or ""):
        return fine(f"Nothing answers at {public_url} yet: no daemon runs.")
    return remark(
        f"{public_url} can't be reached from this machine. {why.what}",
        "if the outside reaches it, all is well (many networks don't let a machine reach itself by its public name); "
        "else the name (DNS), the firewall or the web server (reverse proxy) in front of Signpost isn't set up yet",
    )


def _without_daemon(public_url: str, answer: Answer) -> Finding:
    if answer.status in _WAITS:
        return fine(f"A web server answers at {public_url} and finds nothing behind it: no daemon runs yet.")
    return remark(
        f"Something answers at {public_url} ({answer.status}), though no daemon runs.",
        "start the daemon and check again: whether requests reach it can't be told before",
    )


async def _paths(public_url: str, paths: Mapping[str, str], limit_s: float) -> list[Finding]:
    answers = await asyncio.gather(*(ask("GET", public_url + path, limit_s=limit_s) for path in paths.values()))
    found: list[Finding] = []
    good: list[str] = []
    for (name, path), answer in zip(paths.items(), answers, strict=True):
        if isinstance(answer, Answer) and _is_ours(answer) and answer.status != 404:
            good.append(path)
        else:
            found.append(_astray(public_url + path, name, answer))
    if good:
        found.append(fine(f"Signpost answers at {public_url} for {', '.join(good)}."))
    return found


def _astray(url: str, name: str, answer: Answer | Finding) -> Finding:
    if isinstance(answer, Finding):
        return failed(f"{url} doesn't answer. {answer.what}", answer.mend)
    if _is_ours(answer):
        return failed(
            f"The running daemon doesn't know the channel {name} yet ({answer.status}).",
            "reload it (systemctl reload, SIGHUP), or restart it",
        )
    return failed(
        f"{url} is answered by another program than Signpost ({answer.status}).",
        "let the web server in front of it pass this path on, unchanged, to http.listen",
    )


def _is_ours(answer: Answer) -> bool:
    """Tell Signpost's answers from others'; a proxy may put its own name over ours."""
    policy = answer.headers.get("Content-Security-Policy", "")
    return answer.headers.get("Server") == "Signpost" or policy == CONTENT_SECURITY_POLICY
