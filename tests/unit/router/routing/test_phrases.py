"""What phrases are found in: text in disguise, and text about the past."""

from __future__ import annotations

import pytest

from router.routing.urgent import urgent_reason


@pytest.mark.parametrize(
    "text",
    [
        "im going to k i l l myself",
        "he wants to k.i.l.l himself",
        "i want to k1ll myself",
        "she is thinking about su1c1de",
        "i will killll myself",
        "he has a gunnnn",
        "h\u0435 h\u0430s \u0430 gun",  # Cyrillic letters
        "he wants to ki\u200bll himself",
        "ｈｅ ｈａｓ ａ ｇｕｎ",
    ],
)
def test_disguises_are_seen_through(text: str) -> None:
    """Letters set apart or held, digits for letters, look-alikes and full-width letters hide nothing."""
    assert urgent_reason("", text)


@pytest.mark.parametrize(
    ("past", "now"),
    [
        ("She had a seizure in class last year.", "She had a seizure in class today."),
        ("Two years ago a student brought a gun to school", "A student brought a gun to school"),
        ("Hace dos años un alumno trajo una pistola", "Un alumno trajo una pistola"),
    ],
)
def test_what_is_long_past_is_no_alarm(past: str, now: str) -> None:
    """The same words about last year are history, unless they tell of abuse or self-harm."""
    assert urgent_reason("", past) == ""
    assert urgent_reason("", now)
    assert urgent_reason("", "Last year the coach touched my daughter")
