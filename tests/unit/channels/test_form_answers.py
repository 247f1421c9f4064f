"""What people type into a form's fields."""

from __future__ import annotations

import pytest

from channels._form_answers import e164


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("555 555 0123", "+15555550123"),
        ("+52 55 1234 5678", "+525512345678"),
        ("1-555-555-0123 x7", "+15555550123"),
        ("12", ""),
        ("call me", ""),
    ],
)
def test_phone_numbers_are_brought_into_one_form(typed: str, number: str):
    """Numbers as people write them become E.164, and what can't be one is nothing."""
    assert e164(typed, "US") == number
