"""The lint of the bundled corpus finds what it is there for."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from classifiers._corpus import OUT_OF_SCOPE, load_corpus
from classifiers._corpus_lint import DUPLICATE, alike, problems, vocabulary_problems


def message(body: str, **changes: Any) -> dict[str, Any]:
    row = {"department": "bus", "language": "en", "medium": "email", "subject": "", "school": None}
    return {**row, "body": body, "urgent": False, "tags": []} | changes


def told(*rows: dict[str, Any], unseen: tuple[dict[str, Any], ...] = ()) -> str:
    return "\n".join(problems(rows, unseen))


def test_the_bundled_corpus_is_in_order() -> None:
    """Neither its messages nor its glossaries have a problem."""
    corpus = load_corpus()
    departments = {str(row["department"]) for row in corpus.rows} - {OUT_OF_SCOPE}
    assert list(problems(corpus.rows)) == []
    assert list(vocabulary_problems(corpus.terms, sorted(departments))) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"extra": 1}, "its keys are"),
        ({"medium": "fax"}, "there is no medium 'fax'"),
        ({"medium": "sms", "subject": "Bus"}, "a text message has no subject"),
        ({"tags": ["funny"]}, "the tags are ['funny']"),
        ({"urgent": True, "tags": ["innocent"]}, "urgent and innocent at once"),
        ({"body": " "}, "it says nothing"),
    ],
)
def test_a_faulty_message_is_told(changes: dict[str, Any], fault: str) -> None:
    """Each fault has its sentence."""
    assert fault in told(message("the bus was late") | changes)


def test_counts_and_balance_are_told() -> None:
    """A small, lopsided, English corpus has four problems of that kind."""
    rows = [message(f"word{number} bus", department="bus" if number % 10 else "lunch") for number in range(40)]
    text = told(*rows)
    for fault in ("40 messages, fewer than 6000", "0 messages are out of scope", "lunch has 4", "0.0% of the messages"):
        assert fault in text


def test_a_message_written_twice_is_told() -> None:
    """Another name or number doesn't hide it; another message with some of the words is none."""
    first = message("the bus 14 left before seven and my daughter stood alone at the corner of elm")
    again = message("the bus 9 left before seven and my son stood alone at the corner of elm")
    other = message("my daughter left her flute on the bus")
    assert "nearly the same" in told(first, again)
    assert "nearly the same" not in told(first, other)


def test_a_message_like_an_unseen_one_is_told() -> None:
    """What resembles a row of the validation set gives itself away."""
    unseen = message("can somebody tell me why the pool heater is off again")
    assert "no model may see" in told(message("can somebody say why the pool heater is off again"), unseen=(unseen,))
    assert "no model may see" not in told(message("the heater in room 4 is off"), unseen=(unseen,))


def test_no_pair_is_overlooked() -> None:
    """The quick search finds the same pairs as comparing every two texts."""
    random = Random(7)
    texts = [frozenset(random.choices("abcdefghijkl", k=random.randint(5, 12))) for _ in range(120)]
    texts = [text for text in texts if len(text) >= 5]
    slow = {
        (i, j)
        for i, one in enumerate(texts)
        for j, two in enumerate(texts[:i])
        if len(one & two) >= DUPLICATE * len(one | two)
    }
    assert set(alike(texts, DUPLICATE)) == slow
    assert slow


def test_a_short_glossary_is_told() -> None:
    """Each department needs its terms in both languages; a term said twice counts once."""
    terms = [("bus", "en", f"term {number % 499}") for number in range(600)]
    assert len(list(vocabulary_problems(terms, ["bus"]))) == 2
