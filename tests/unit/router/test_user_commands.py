"""Commands about the console's accounts: what the access log says of them."""

from __future__ import annotations

from router.store import access
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
