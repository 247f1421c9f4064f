"""What people type into a form's fields."""

from __future__ import annotations

import pytest

from channels._form_answers import check, e164
from channels._mime import understand
from router.testing import FakeClock
from router.testing_sinks import sample_context


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


def test_the_reference_of_an_earlier_message_is_kept():
    """What was typed into `reference` becomes one that the message answers, and stands in the original."""
    typed = {"email": "ana@home.example", "message": "more on this", "reference": " 0we3-wjvy-5552\n"}
    answers, errors = check(typed, sample_context(), "US")
    original = answers.original("contact", typed, FakeClock().now(), "form.1@d.example", [])

    content = understand(original, answers.facts(""), "web_form")

    assert errors == {}
    assert content.references == ("0we3-wjvy-5552",)
    assert b"0we3-wjvy-5552" in original
