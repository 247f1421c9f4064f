"""What names an earlier message of its own batch goes where that goes, if the same person wrote both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from router.records import Content, Medium, Message
from router.routing.answer import Follow
from router.routing.threads import Threads
from tests.unit.router.district import RING

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
TEXT, FILES = "000000000001", "000000000002"


def text(number, sender="+15555550111", **content):
    """Return a text message; the second comes long after the first."""
    at = NOW + timedelta(days=int(number))
    return Message(id=number, channel="t", medium=Medium.SMS, received_at=at, content=Content(sender=sender, **content))


@pytest.mark.parametrize(
    ("sender", "reference", "follows"),
    [
        ("+15555550111", TEXT, True),
        ("whatsapp:+15555550111", TEXT.lower(), True),
        ("+15555550199", TEXT, False),
        ("+15555550111", "000000000009", False),
    ],
)
async def test_the_files_of_a_text_go_where_the_text_goes(sqlite_store, sender, reference, follows):
    """By the text's id, whatever time has passed; a stranger who names it stays apart."""
    step = Threads(sqlite_store, RING, "d.example", timedelta(minutes=30))
    batch = [text(TEXT, text="the bus"), text(FILES, sender, text="1 file", references=(reference,))]
    assert await step.decide(batch) == [None, Follow(TEXT) if follows else None]
