"""Accounts and sessions of the console, on both stores."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.errors import Conflict, NotFound
from router.store import accounts, sessions
from router.store.scope import EVERYTHING, Scope
from tests.contract.store_helpers import NOW

BUSES = Scope(frozenset({"buses"}), frozenset({"lincoln"}))
IDLE, LONGEST = timedelta(hours=4), timedelta(hours=16)
GOOGLE = "https://accounts.google.com"


async def add(store, email="Kim@Maple.example", scope=BUSES, **more):
    """Add an account and return its number."""
    return await store.write(lambda c: accounts.add(c, email, role="staff", scope=scope, now=NOW, **more))


async def begin(store, number, digest, now=NOW):
    """Begin a session."""
    kept = {"now": now, "ends_at": now + LONGEST, "way": "local", "address": "::1", "browser": "x" * 300}
    return await store.write(lambda c: sessions.begin(c, number, digest, **kept))


async def found(store, digest, now=NOW):
    """Return whether a session goes on."""
    return await store.read(lambda c: sessions.find(c, digest, now, IDLE)) is not None


async def test_an_account_comes_back_as_it_was_added(store):
    """Address, role and scope are kept; all departments isn't the same as none."""
    number = await add(store)
    account = await store.read(lambda c: accounts.get(c, number))
    assert (account.email, account.role, account.scope) == ("kim@maple.example", "staff", BUSES)
    for scope in (EVERYTHING, Scope(frozenset(), None)):
        assert await store.write(lambda c, scope=scope: accounts.change(c, number, role="staff", scope=scope))
        assert (await store.read(lambda c: accounts.get(c, number))).scope == scope
        assert not await store.write(lambda c, scope=scope: accounts.change(c, number, role="staff", scope=scope))


async def test_an_address_has_one_account_that_may_sign_in(store):
    """A second one is refused while the first may sign in, and the first isn't let in again beside it."""
    first = await add(store)
    with pytest.raises(Conflict):
        await add(store, "kim@maple.EXAMPLE")
    await store.write(lambda c: accounts.disable(c, first, NOW))
    second = await add(store)
    with pytest.raises(Conflict):
        await store.write(lambda c: accounts.enable(c, first))
    assert (await store.read(lambda c: accounts.named(c, "KIM@maple.example"))).id == second
    assert (await store.read(lambda c: accounts.named(c, str(first)))).id == first
    with pytest.raises(NotFound):
        await store.read(lambda c: accounts.named(c, "nobody@maple.example"))


async def test_an_account_is_bound_to_one_person_once(store):
    """The first who proves the address gets the account that waits; whoever has the address later doesn't."""
    number = await add(store)
    bound = await store.write(lambda c: accounts.bind(c, "KIM@maple.example", GOOGLE, "1", "Kim"))
    assert bound.id == number
    assert await store.write(lambda c: accounts.bind(c, "kim@maple.example", GOOGLE, "2", "Other Kim")) is None
    assert (await store.read(lambda c: accounts.at_provider(c, GOOGLE, "1"))).id == number
    assert await store.read(lambda c: accounts.at_provider(c, GOOGLE, "2")) is None
    assert await store.read(lambda c: accounts.at_provider(c, "https://other.example", "1")) is None


@pytest.mark.parametrize("why", ["password", "disabled", "signed in"])
async def test_nobody_inherits_an_account_by_its_address(store, why):
    """One that has a password, is disabled, or was used before waits for nobody."""
    number = await add(store)
    changes = {
        "password": lambda c: accounts.set_password(c, number, "$argon2id$x"),
        "disabled": lambda c: accounts.disable(c, number, NOW),
        "signed in": lambda c: accounts.signed_in(c, number, NOW),
    }
    await store.write(changes[why])
    assert await store.write(lambda c: accounts.bind(c, "kim@maple.example", GOOGLE, "1", "Kim")) is None


async def test_who_signs_in_at_a_provider_gets_no_password(store):
    """There is one way in: disabling it at the provider must be enough."""
    number = await add(store)
    await store.write(lambda c: accounts.bind(c, "kim@maple.example", GOOGLE, "1", "Kim"))
    with pytest.raises(Conflict):
        await store.write(lambda c: accounts.set_password(c, number, "$argon2id$x"))


async def test_a_password_is_found_by_the_address_of_who_may_sign_in(store):
    """No password, no sign-in with one; nor after the account was disabled."""
    number = await add(store)
    assert await store.read(lambda c: accounts.with_password(c, "kim@maple.example")) is None
    await store.write(lambda c: accounts.set_password(c, number, "$argon2id$x"))
    account, kept = await store.read(lambda c: accounts.with_password(c, " KIM@maple.example "))
    assert (account.id, kept) == (number, "$argon2id$x")
    await store.write(lambda c: accounts.disable(c, number, NOW))
    assert await store.read(lambda c: accounts.with_password(c, "kim@maple.example")) is None


async def test_a_session_goes_on_while_it_is_used(store):
    """Idle time counts from the last use, and the end comes in any case."""
    number = await add(store)
    session = await begin(store, number, "d")
    assert await found(store, "d", NOW + IDLE - timedelta(seconds=1))
    assert not await found(store, "d", NOW + IDLE)
    assert not await found(store, "other")
    for hours in (3, 6, 9, 12, 15):
        at = NOW + timedelta(hours=hours)
        assert await found(store, "d", at)
        await store.write(lambda c, at=at: sessions.touch(c, session, at))
    assert not await found(store, "d", NOW + LONGEST)


@pytest.mark.parametrize("change", ["disable", "role", "password", "end"])
async def test_sessions_end_with_what_they_were_begun_for(store, change):
    """A disabled account, another role, another password: no session outlives it, and no other person's ends."""
    number, other = await add(store), await add(store, "lee@maple.example")
    session = await begin(store, number, "d")
    await begin(store, other, "e")
    changes = {
        "disable": lambda c: accounts.disable(c, number, NOW),
        "role": lambda c: accounts.change(c, number, role="viewer", scope=BUSES),
        "password": lambda c: accounts.set_password(c, number, "$argon2id$y"),
        "end": lambda c: sessions.end(c, session, number),
    }
    await store.write(changes[change])
    assert not await found(store, "d")
    assert await found(store, "e")


async def test_nobody_ends_another_persons_session(store):
    """A session is ended by its number and its owner together."""
    number, other = await add(store), await add(store, "lee@maple.example")
    session = await begin(store, number, "d")
    assert not await store.write(lambda c: sessions.end(c, session, other))
    assert await found(store, "d")
    assert [each.id for each in await store.read(lambda c: sessions.of_account(c, number, NOW, IDLE))] == [session]
    assert await store.read(lambda c: sessions.of_account(c, other, NOW, IDLE)) == []


async def test_sessions_that_are_over_are_dropped(store):
    """The next sign-in clears away what is over."""
    number = await add(store)
    await begin(store, number, "d")
    await begin(store, number, "e", NOW + LONGEST)
    assert len(await store.read(lambda c: c.exec_driver_sql("SELECT id FROM sessions").all())) == 1


async def test_failures_add_up_and_are_forgotten(store):
    """They are counted by what they are about, cleared by a success, and dropped after an hour."""
    hour = timedelta(hours=1)
    for _ in range(3):
        await store.write(lambda c: sessions.count_failure(c, ["account:a", "address:b"], NOW, hour))
    await store.write(lambda c: sessions.forgive(c, ["account:a"], once="address:b"))
    assert await store.write(lambda c: sessions.failures(c, ["account:a", "address:b"])) == {"address:b": (2, NOW)}
    await store.write(lambda c: sessions.count_failure(c, ["account:a"], NOW + hour, hour))
    assert set(await store.write(lambda c: sessions.failures(c, ["account:a", "address:b"]))) == {"account:a"}
