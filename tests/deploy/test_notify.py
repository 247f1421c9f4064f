"""The daemon under a service manager that waits for its word (`Type=notify`, `WatchdogSec`)."""

from __future__ import annotations

import signal
import time

import aiohttp

from tests.acceptance.district import district


def _under_manager(daemons, folder, relay, **env):
    return daemons(folder, district(folder, relay.port), NOTIFY_SOCKET=str(folder / "notify"), **env)


async def test_ready_is_said_when_it_is_true(daemons, tmp_path, relay, manager):
    """READY comes when /readyz answers 200, not before; before it, more time is asked for; STATUS says where it is."""
    daemon = _under_manager(daemons, tmp_path, relay)
    await daemon.start(ready=False)
    ready = await manager.hear_of("READY")
    async with aiohttp.ClientSession() as client, client.get(f"{daemon.url}/readyz") as answer:
        assert answer.status == 200, await answer.text()
    assert ready["READY"] == "1"
    assert daemon.url.removeprefix("http://") in ready["STATUS"]
    assert {int(note["EXTEND_TIMEOUT_USEC"]) for note in manager.heard[:-1]} == {60_000_000}


async def test_the_watchdog_is_fed(daemons, tmp_path, relay, manager):
    """Where the manager has a watchdog, signs of life keep coming until the end."""
    daemon = _under_manager(daemons, tmp_path, relay, WATCHDOG_USEC="400000")
    await daemon.start()
    for _ in range(5):
        assert await manager.hear_of("WATCHDOG") == {"WATCHDOG": "1"}


async def test_a_stop_is_announced(daemons, tmp_path, relay, manager):
    """After SIGTERM the manager hears STOPPING, and no READY any more; the daemon ends with status 0."""
    daemon = _under_manager(daemons, tmp_path, relay)
    await daemon.start()
    await manager.hear_of("READY")
    daemon.signal(signal.SIGTERM)
    stopping = await manager.hear_of("STOPPING")
    assert stopping["STOPPING"] == "1"
    assert await daemon.ended() == 0


async def test_a_configuration_that_is_wrong_is_no_reason_to_start_again(daemons, tmp_path, relay, manager):
    """The exit status is 78, which the unit names in RestartPreventExitStatus: a restart would mend nothing."""
    daemon = _under_manager(daemons, tmp_path, relay)
    daemon.configuration["routing"]["fallback"] = "nobody"
    daemon.write_configuration()
    await daemon.start(ready=False)
    assert await daemon.ended(60) == 78


async def test_an_address_that_nobody_can_hear_is_refused(daemons, tmp_path, relay):
    """A start that the manager would never hear of fails at once, with a sentence."""
    daemon = daemons(tmp_path, district(tmp_path, relay.port), NOTIFY_SOCKET="vsock:2:1234")
    await daemon.start(ready=False)
    assert await daemon.ended(60) == 1
    assert "NOTIFY_SOCKET must be" in daemon.output()


async def test_a_reload_is_announced_and_its_end_too(daemons, tmp_path, relay, manager):
    """RELOADING with the time of the machine's clock, then READY, whether the file could be used or not."""
    daemon = _under_manager(daemons, tmp_path, relay)
    await daemon.start()
    await manager.hear_of("READY")
    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    for fallback, told in (("nobody", "has 1 problem"), ("front-office", "runs the configuration of")):
        daemon.configuration["routing"]["fallback"] = fallback
        daemon.write_configuration()
        daemon.signal(signal.SIGHUP)
        assert int((await manager.hear_of("RELOADING"))["MONOTONIC_USEC"]) >= began
        assert told in (await manager.hear_of("READY"))["STATUS"]
