"""Accept: refuse early or store; wake the next stage only for what is new."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from channels._mime import mail_id
from router.errors import Malformed, StoreBusy, TooLarge
from router.intake import Intake
from router.metrics import Metrics
from router.records import Inbound, Medium
from router.store import counts, messages

MAIL = Inbound(
    source_key="k1",
    channel="mail",
    medium=Medium.EMAIL,
    received_at=datetime(2026, 3, 2, tzinfo=UTC),
    original=b"Message-ID: <a@b>\r\n\r\nhello",
)


@pytest.fixture
def woken():
    """Grows by one each time the next stage is woken."""
    return []


@pytest.fixture
def intake(sqlite_store, log, woken):
    """An intake of messages up to 1,000 bytes."""
    return Intake(
        sqlite_store,
        mail_id=mail_id,
        wake=lambda: woken.append(1),
        max_message_bytes=1000,
        metrics=Metrics(),
        log=log,
    )


async def test_accepted_means_stored(intake, sqlite_store, woken):
    """When `accept` returns, the bytes are there, and the next stage knows."""
    receipt = await intake.accept(MAIL)

    assert await sqlite_store.read(lambda c: messages.original(c, receipt.message_id)) == MAIL.original
    assert woken == [1]


async def test_a_true_copy_wakes_nobody(intake, woken):
    """The same mail by another way is acknowledged with the same id."""
    first = await intake.accept(MAIL)
    copy = await intake.accept(replace(MAIL, channel="other", source_key="k2"))

    assert (copy.message_id, copy.duplicate) == (first.message_id, True)
    assert woken == [1]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"original": b"x" * 1001}, TooLarge),
        ({"original": b""}, Malformed),
        ({"source_key": ""}, Malformed),
        ({"source_key": "k" * 256}, Malformed),
    ],
)
async def test_what_cannot_be_taken_is_refused(intake, sqlite_store, change, error):
    """Nothing is stored of what is refused."""
    with pytest.raises(error):
        await intake.accept(replace(MAIL, **change))

    assert await sqlite_store.read(counts.messages_by_state) == {}


async def test_a_stopping_daemon_accepts_nothing(intake):
    """The sender is told to come back."""
    intake.close()

    with pytest.raises(StoreBusy, match="stopping"):
        await intake.accept(MAIL)


async def test_a_full_disk_reaches_the_source(intake, sqlite_store):
    """What can't be stored isn't acknowledged; when there is room again, it is taken."""
    big = replace(MAIL, original=MAIL.original + b"x" * 900)
    await sqlite_store.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1"))  # no page more than there are

    async def fill():
        for n in range(20):
            await intake.accept(replace(big, source_key=f"k{n}", original=big.original[n:]))

    with pytest.raises(StoreBusy, match="full"):
        await fill()
    await sqlite_store.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1000000"))
    await intake.accept(replace(big, source_key="later"))
