"""Message ids: short, ordered by time, forgiving when read out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from router.ids import LENGTH, new_message_ids, normalise

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


def test_ids_are_ordered_by_time():
    """A later message has the greater id."""
    ids = new_message_ids([NOW + timedelta(seconds=n) for n in range(0, 400_000_000, 997_331)])

    assert ids == sorted(ids)


def test_ids_of_the_same_moment_differ():
    """25 random bits keep messages of one moment apart."""
    assert len(set(new_message_ids([NOW] * 50))) == 50


@given(st.datetimes(datetime(2025, 1, 1), datetime(2090, 1, 1)))  # noqa: DTZ001 -- hypothesis wants them naive
def test_an_id_is_its_own_normal_form(at):
    """What we make we recognise."""
    [message_id] = new_message_ids([at.replace(tzinfo=UTC)])

    assert len(message_id) == LENGTH
    assert normalise(message_id) == message_id


def test_what_people_write_is_forgiven():
    """Dashes, spaces, lower case, and the letters that look like digits."""
    assert normalise(" 0we2-8vgd-h2oi ") == "0WE28VGDH201"


@given(st.text(max_size=80))
def test_nonsense_is_no_id(text):
    """Anything else is "", never an exception."""
    found = normalise(text)

    assert found == "" or len(found) == LENGTH
