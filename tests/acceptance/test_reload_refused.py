"""Another configuration that can't be used, or not at once: what goes on, who is told, and what moves."""

from __future__ import annotations

import socket

import aiohttp

from router import control
from tests.acceptance.daemon import free_port, until
from tests.acceptance.district import ALERTS
from tests.acceptance.reloading import DESK, change, listens, reload, send_form
from tests.acceptance.test_faults import all_arrived


async def test_a_file_with_a_problem_changes_nothing(daemon, collector, ledger):
    """A configuration that can't be used is told, once and with its lines, and the earlier one goes on.

    Mended, it is used without being asked for: the daemon looks at its file.
    """
    department = daemon.configuration["departments"][DESK]
    department["deliver"] = [{"via": "nobody", "to": "x@maple.example"}]
    daemon.configuration["routing"]["target_eror"] = 0.1
    daemon.write_configuration()
    await until(lambda: daemon.events("configuration_refused"), 60, daemon.output)
    refused = await reload(daemon)
    assert (refused["applied"], refused["invalid"], len(refused["problems"])) == (False, True, 2)
    assert all("signpost.yaml:" in problem for problem in refused["problems"])
    await send_form(daemon, ledger)
    await all_arrived(collector, ledger, 60)
    told = [alert for alert in collector.on_shelf(ALERTS) if "configuration" in alert["Subject"]]
    assert [alert["Subject"] for alert in told] == ["The changed configuration is not used: 2 problems"]
    assert all(problem in told[0].words.replace("\n", " ") for problem in refused["problems"])
    status = (await daemon.status())["configuration"]
    assert (status["problems"], status["refused_at"] > status["since"]) == (refused["problems"], True)
    shown = await daemon.command("status")
    assert "isn't used" in shown.out
    assert (await daemon.command("reload")).status == 78

    del daemon.configuration["routing"]["target_eror"]
    department["deliver"] = [{"via": "relay", "to": "new-buses@maple.example"}]
    daemon.write_configuration()
    await until(lambda: daemon.events("configuration_reloaded"), 60, daemon.output)
    await send_form(daemon, ledger, to="new-buses@maple.example")
    await all_arrived(collector, ledger, 60)
    assert (await daemon.status())["configuration"]["problems"] == []
    done = await daemon.command("reload")
    assert (done.status, done.out) == (0, "The configuration is in force.\n")


async def test_the_pages_move(daemon, ledger, collector):
    """`http.listen` may change: the new address answers, the old one no more; one that is taken is refused."""
    old = daemon.configuration["http"]["listen"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon.configuration["http"]["listen"] = f"127.0.0.1:{taken.getsockname()[1]}"
        daemon.write_configuration()
        refused = await reload(daemon)
    assert (refused["applied"], refused["invalid"]) == (False, True)
    assert "http: can't listen on" in refused["problems"][0]
    daemon.configuration["http"]["listen"] = f"127.0.0.1:{free_port()}"
    await change(daemon)
    await send_form(daemon, ledger)
    assert not listens(int(old.rpartition(":")[2]))
    await all_arrived(collector, ledger, 60)


async def test_the_store_stays(daemon, tmp_path):
    """Another store needs a restart; the daemon says so, and nothing else of the file is used."""
    here = daemon.configuration["store"]["url"]
    daemon.configuration["store"]["url"] = f"sqlite:///{tmp_path}/other.db"
    daemon.configuration["organization"]["name"] = "Another District"
    daemon.write_configuration()
    refused = await control.ask(control.socket_path(here), "reload", {})
    assert (refused["applied"], refused["invalid"]) == (False, True)
    assert "store: can't change while Signpost runs; restart" in refused["problems"][0]
    async with aiohttp.ClientSession() as client, client.get(daemon.url) as page:
        assert "Another District" not in await page.text()
