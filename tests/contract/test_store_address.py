"""The address of a PostgreSQL store may say all that libpq knows."""

from __future__ import annotations

import pytest

from router.errors import StoreBusy
from router.store import migrate
from router.store.engine import open_store


async def test_an_address_with_sslmode_ended_the_daemon(postgres_url):
    """Its options reach the driver: what the server can do works, what it can't is a sentence."""
    store = open_store(f"{postgres_url}&sslmode=prefer&application_name=signpost")
    await store.open()
    assert await store.read(migrate.revision) == migrate.HEAD
    await store.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("sslmode=verify-full&sslrootcert=/nowhere/ca.crt", "No such file"),
        ("sslmode=always", "must be one of"),
        ("sslmode=disable", "Connect call failed"),
    ],
)
async def test_what_is_wrong_with_an_address_is_said_without_its_password(options, said):
    """One sentence that names the address, and nothing of how the program is made."""
    with pytest.raises(StoreBusy, match=said) as told:
        await open_store(f"postgresql://signpost:hunter2@127.0.0.1:1/signpost?{options}").open()
    assert "postgresql://signpost:***@127.0.0.1:1/signpost" in str(told.value)
    assert "hunter2" not in str(told.value)
    assert "sqlalche" not in str(told.value)
