"""What the service manager is told, datagram by datagram."""

from __future__ import annotations

import asyncio
import os
import secrets
import time

import pytest

from router.errors import SignpostError
from router.notify import Notify
from tests.deploy.service_manager import listening


@pytest.fixture(params=["path", "abstract"])
def address(request, tmp_path):
    """The two kinds of address that NOTIFY_SOCKET may hold."""
    return f"{tmp_path}/notify" if request.param == "path" else f"@signpost-test-{secrets.token_hex(8)}"


async def test_each_state_is_one_datagram(address):
    """READY, RELOADING with the monotonic time, and STOPPING, each whole in one datagram, on both kinds of socket."""
    with listening(address) as manager:
        line = Notify.from_environment({"NOTIFY_SOCKET": address})
        line.ready("takes messages in\nand more")
        assert await manager.hear() == {"READY": "1", "STATUS": "takes messages in and more"}
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        line.reloading()
        reloading = await manager.hear()
        assert reloading["RELOADING"] == "1"
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        line.stopping()
        assert (await manager.hear())["STOPPING"] == "1"


async def test_more_time_is_asked_for_until_it_is_ready(tmp_path):
    """A start asks at once for a minute more, and the thread that asks ends with the start."""
    with listening(f"{tmp_path}/notify") as manager:
        line = Notify(f"{tmp_path}/notify")
        line.starting()
        assert await manager.hear() == {"EXTEND_TIMEOUT_USEC": "60000000"}
        line.ready("there")
        assert "READY" in await manager.hear()


async def test_no_sign_of_life_from_a_stuck_store(tmp_path):
    """While `alive` says no, the watchdog isn't fed, however often it is asked; when it says yes again, it is."""
    says, asked = True, asyncio.Semaphore(0)

    def alive():
        asked.release()
        return says

    with listening(f"{tmp_path}/notify") as manager:
        feeding = asyncio.create_task(Notify(f"{tmp_path}/notify", watchdog_s=0.02).keep_watchdog(alive))
        await manager.hear_of("WATCHDOG")
        says = False
        manager.forget()
        asked = asyncio.Semaphore(0)
        for _ in range(3):
            await asked.acquire()
        assert manager.forget() == 0
        says = True
        await manager.hear_of("WATCHDOG")
        feeding.cancel()


@pytest.mark.parametrize(
    ("env", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_is_ours_only_if_it_says_so(env, watchdog_s):
    """WATCHDOG_PID names the process that is meant; a child that inherited the variables isn't."""
    assert Notify.from_environment({"NOTIFY_SOCKET": "/nowhere", **env}).watchdog_s == watchdog_s


def test_without_a_manager_nothing_happens(tmp_path):
    """No NOTIFY_SOCKET, or one whose manager is gone: nothing is raised."""
    for line in (Notify.from_environment({}), Notify(f"{tmp_path}/gone")):
        line.ready("there")
        line.stopping()


def test_an_address_that_is_no_socket_is_refused():
    """A relative path or another family would make a start that nobody ever hears of."""
    with pytest.raises(SignpostError, match="NOTIFY_SOCKET"):
        Notify.from_environment({"NOTIFY_SOCKET": "vsock:2:9999"})
