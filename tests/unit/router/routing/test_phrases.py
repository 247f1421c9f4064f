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
        "i want to k!ll myself",
        "she is talking about su!c!de",
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


@pytest.mark.parametrize(
    "text",
    ["He has a gun!he is in the hallway", "help!theres a shooter", "not breathing!call 911", "he has a gun@school"],
)
def test_a_sign_between_words_hides_neither(text: str) -> None:
    """A sign stands for a letter only where that makes a known word."""
    assert urgent_reason("", text)


@pytest.mark.parametrize(
    "text",
    [
        "The boy who was suspended has a gun at school today",
        "He was suspended last week and now he says he will shoot everyone",
        "The kid had a seizure last year but today he collapsed and is unconscious",
        "She was missing last year and today she never came home",
        "El año pasado lo suspendieron pero trajo una pistola",
    ],
)
def test_the_past_ends_where_a_sentence_turns_to_the_present(text: str) -> None:
    """What was long ago says nothing of what follows "but" or "now he", nor of a danger that is called today's."""
    assert urgent_reason("", text)


def test_a_punishment_of_today_for_what_was_is_no_alarm() -> None:
    """The day of the suspension isn't the day of the danger."""
    assert urgent_reason("", "My son was suspended today for having a knife") == ""


@pytest.mark.parametrize(
    "text",
    [
        "My older son is fine. But Mia collapsed and is not breathing",
        "Mi otra hija ya llego. Pero Sofia nunca llego a casa",
        "Mi hijo mayor ya esta en casa pero el menor no aparece",
        "My older son is home but my daughter never came home",
        "My daughter never came home. My other son is home.",
        "The pilot light is out and I smell gas in the kitchen",
        "I smell gas in room 4, the custodian is out today",
    ],
)
def test_what_is_settled_of_somebody_else_settles_nothing(text: str) -> None:
    """Only what stands behind the danger, or beside it, and not of another child, takes it back."""
    assert urgent_reason("", text)


@pytest.mark.parametrize(
    "text",
    [
        "He never came home. False alarm!",
        "False alarm, he never came home because grandma took him",
        "My son never came home. Update: we found him. All is fine.",
    ],
)
def test_what_is_settled_afterwards_is_no_alarm(text: str) -> None:
    """A search that ended well is over."""
    assert urgent_reason("", text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "Oh no my daughter never came home",
        "there is no one here and my son is missing",
        "ay no mi hijo no llego a casa",
        "No one has seen my daughter since lunch",
        "omg no he has a gun",
    ],
)
def test_a_cry_denies_nothing(text: str) -> None:
    """A "no" that is a cry, or begins another matter, leaves the danger standing."""
    assert urgent_reason("", text)


def test_a_plain_no_still_denies() -> None:
    """Before a thing it does."""
    assert urgent_reason("", "there is no gun at school") == ""
