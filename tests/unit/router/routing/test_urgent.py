"""The urgent step: what is an alarm, what only sounds like one, and what hostile text costs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.records import Content, Medium, Message
from router.routing.answer import MarkUrgent
from router.routing.folding import tokens_of
from router.routing.phrases import MAX_TEXT, Phrases
from router.routing.urgent import Urgent, urgent_reason
from tests.unit.router.routing.dangers import ALARMS, INNOCENT

if TYPE_CHECKING:
    import random


@pytest.mark.parametrize(("category", "text"), [(name, text) for name, texts in ALARMS.items() for text in texts])
def test_an_alarm_is_marked_with_its_category(category: str, text: str) -> None:
    """Phrases families and staff use for each kind of danger are recognised, and the remark names the kind."""
    reason = urgent_reason("", text)
    assert reason
    if category not in {"threat", "weapon"}:  # the two shade into each other: either brings the same people
        assert reason.startswith(category)


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_use_is_not_an_alarm(text: str) -> None:
    """Idioms, school vocabulary, denied and settled dangers raise nothing."""
    assert urgent_reason("", text) == ""


@pytest.mark.parametrize(
    ("subject", "text", "html"),
    [
        ("he has a gun", "see subject", ""),
        ("hello", "he has a gun", ""),
        ("hello", "Your newsletter", "Your newsletter. he has a gun"),
    ],
)
def test_subject_text_and_html_are_all_looked_at(subject: str, text: str, html: str) -> None:
    """The parts of a mail may disagree; an alarm in any of them counts."""
    assert urgent_reason(subject, text, html).startswith("weapon")


@pytest.mark.parametrize(
    "text",
    [
        "he never came home",
        "HE NEVER CAME HOME",
        "he né\u200bver\ncame  home",
        "So, he NEVER came home?!",
        "(he never came home)",
    ],
)
def test_writing_does_not_matter(text: str) -> None:
    """Case, accents, zero-width characters, line ends and punctuation around a phrase change nothing."""
    assert urgent_reason("", text) == "child missing (he never came home)"


@pytest.mark.parametrize(
    ("denied", "stated"),
    [
        ("he does not have a gun", "he does have a gun"),
        ("no tiene pistola", "tiene una pistola"),
        ("There was never a bomb threat", "There was a bomb threat"),
        ("if he has an allergic reaction now, who calls?", "he has an allergic reaction now, who calls?"),
    ],
)
def test_a_denial_or_supposition_right_before_a_phrase_takes_it_back(denied: str, stated: str) -> None:
    """A "no", "never" or "if" directly before a phrase silences it; without them it is an alarm."""
    assert urgent_reason("", denied) == ""
    assert urgent_reason("", stated)


@pytest.mark.parametrize(
    "text",
    [
        "No, he has a gun",
        "I am not kidding. He has a gun.",
        "There is a lockdown drill next week, but today he brought a knife",
        "this homework is killing me and my friend says she wants to die",
        "She never came home. Have you found her?",
        "my son never made it home",
    ],
)
def test_a_denial_elsewhere_does_not_silence_an_alarm(text: str) -> None:
    """A "no" of another clause, an idiom beside the alarm, and a question that sounds settled leave it standing."""
    assert urgent_reason("", text)


@pytest.mark.parametrize(
    "end", ["\n\n", "\n   \n", "\r\n \t\r\n", "\r\r", "\n\xa0\n", "\n\u200b\n", "\x85\x85", "\u2029", "\f"]
)
def test_an_empty_line_ends_a_clause(end: str) -> None:
    """However it is made, of spaces too, a denial above it says nothing about what stands below."""
    assert urgent_reason("", f"There were never any{end}guns in his bag")


@pytest.mark.parametrize("gap", ["\n", "\r\n", "\r", "   ", "\n    ", "\t", "\xa0\xa0"])
def test_a_wrapped_line_and_wide_spaces_end_no_clause(gap: str) -> None:
    """Programs wrap lines and indent them: a phrase and its denial run on."""
    assert urgent_reason("", f"There were never any{gap}guns in his bag") == ""
    assert urgent_reason("", f"he never{gap}came home") == "child missing (he never came home)"


def test_a_child_who_turned_up_is_no_alarm_any_more() -> None:
    """A settled search silences its own category, and no other."""
    assert urgent_reason("", "He never came home. Update: he is home now.") == ""
    assert urgent_reason("", "He is home now. He has a gun.").startswith("weapon")


async def test_the_step_marks_and_never_ends_the_list() -> None:
    """The step answers MarkUrgent or nothing, one answer per message, in order."""
    batch = [message("1", "when is picture day?"), message("2", "my son never got off the bus")]
    answers = await Urgent().decide(batch)
    assert answers == [None, MarkUrgent("child missing (son never got off)")]


def test_text_beyond_the_cap_is_not_looked_at() -> None:
    """The work is bounded: of a long text its beginning and its end count, MAX_TEXT characters in all."""
    half = "a " * (MAX_TEXT // 2)
    assert urgent_reason("", f"{half}he has a gun {half}") == ""
    assert urgent_reason("", f"he has a gun {half}{half}")
    assert urgent_reason("", f"{half}{half}he has a gun")


def test_a_name_for_somebody_stands_beside_a_word_and_not_only_before_another() -> None:
    """`him|{whose} {child}` would ask for "him son": such alternatives are groups of their own."""
    source = files("router.routing").joinpath("urgent_words.yaml").read_text(encoding="utf-8")
    wanted = source.partition("\nwanted:")[2]
    assert re.findall(r".*\|\{whose\} \{child\}.*", wanted) == []


def test_text_made_of_the_word_list_itself_is_digested(rng: random.Random) -> None:
    """Text built to keep every phrase half matched is answered like any other (linear-time expressions)."""
    source = files("router.routing").joinpath("urgent_words.yaml").read_text(encoding="utf-8")
    words = sorted(set(re.findall("[a-z]+", source)))
    for _ in range(3):
        text = " ".join(rng.choices(words, k=4_000))
        assert urgent_reason(text, text[::-1], text.upper())


@pytest.mark.parametrize("piece", ["a", "a b ", ".", "!a", "a1", "я", "我", "\u2028", "é", "a-", "@", "\n "])
def test_one_endless_word_is_read_in_a_moment(piece: str) -> None:
    """Letter by letter it would take the processor for hours, and nothing else would be decided in the meantime."""
    assert tokens_of(piece * 500_000 + "x", frozenset()) is not None


@given(st.text(max_size=300))
def test_any_text_has_an_answer_that_case_does_not_change(text: str) -> None:
    """No text raises, and shouting an ASCII text changes nothing."""
    plain = text.encode("ascii", "ignore").decode()
    assert isinstance(urgent_reason(text, text), str)
    assert urgent_reason("", plain.upper()) == urgent_reason("", plain)


def test_a_district_can_write_its_own_list() -> None:
    """Alternatives, optional words, endings, gaps, joined words, groups and sentence ends mean what the file says."""
    phrases = Phrases(own_list("{pet} is|was very? ... gone_wild|loose .", "barked*"))
    hits = ["the dog is loose.", "a cat was very sadly gone wild, help", "barking at us"]
    assert [bool(phrases.find(text)) for text in hits] == [True, True, False]
    assert str(phrases.find("he barkeded")) == "pets (barkeded)"
    assert phrases.find("the dog is. loose.") is None
    assert phrases.find("the dog is loose now") is None


def test_a_phrase_with_foreign_signs_is_refused() -> None:
    """A phrase that isn't in the file's small language is an error, not a silent miss."""
    with pytest.raises(ValueError, match="is not a word"):
        Phrases(own_list("dog.+"))


def own_list(*phrases: str) -> dict[str, object]:
    """A word list with one category."""
    return {
        "spelling": {},
        "groups": {"pet": "dog|cat"},
        "negation": {"en": ["no"]},
        "doubt": {},
        "innocent": {},
        "settled": {},
        "unless": {},
        "wanted": {"pets": {"en": list(phrases)}},
    }


def message(name: str, text: str) -> Message:
    """A text message."""
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    return Message(id=name, channel="text-line", medium=Medium.SMS, received_at=now, content=Content(text=text))
