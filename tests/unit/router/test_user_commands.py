"""Commands about the console's accounts: what the access log says of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from router.console.passwords import keys_of, wait_s
from router.store import access, sessions
from router.user_commands import UserCommands


async def test_a_change_by_command_is_noted_with_what_somebody_may_see_now(sqlite_store):
    """Not the role alone: a wider scope is what somebody looks for in the log. What changes nothing isn't there."""
    commands = UserCommands(sqlite_store, {"buses", "meals"}, {"lincoln"})
    await commands.add("kim@maple.example", role="staff", departments=["buses"], schools=["lincoln"], by="root")
    for _ in range(2):
        await commands.change("kim@maple.example", "staff", by="root")
    rows = await sqlite_store.read(lambda c: access.page(c, 9))
    assert [(row.action, row.detail) for row in reversed(rows)] == [
        ("user_added", "staff; departments: buses; schools: lincoln"),
        ("user_changed", "staff; departments: all; schools: all"),
    ]


async def test_a_new_password_ends_a_lock_out(sqlite_store):
    """Whoever was kept out by somebody's guesses gets in with what the administrator gave them."""
    commands = UserCommands(sqlite_store, set(), set())
    await commands.add("kim@maple.example", role="staff", departments=[], schools=[], by="root")
    keys, now = keys_of("Kim@maple.example", "192.0.2.7"), datetime(2026, 9, 1, tzinfo=UTC)
    about = [keys["account"]]
    for _ in range(200):
        await sqlite_store.write(lambda c: sessions.count_failure(c, about, now, timedelta(days=1)))
    assert wait_s(keys, await sqlite_store.read(lambda c: sessions.failures(c, about)), now) > 0
    await commands.password("kim@maple.example", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA", by="root")
    assert wait_s(keys, await sqlite_store.read(lambda c: sessions.failures(c, about)), now) == 0
