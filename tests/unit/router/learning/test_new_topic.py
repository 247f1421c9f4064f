"""What is new among the messages that the model couldn't place: words that many people use, and didn't before."""

from __future__ import annotations

from random import Random

from router.learning.new_topic import Said, new_topic

USUAL = "please child school question about today morning thanks bus lunch form teacher email could help week"
NEW = ["scooter", "charging", "rack", "battery"]


def messages(count, draws, words=(), start=0):
    """Return messages of as many people in usual words, each with some of other words."""
    return [
        Said(
            message_id=f"M{number}",
            sender=f"{number}@home.example",
            words=frozenset(draws.sample(USUAL.split(), 6) + draws.sample(list(words), min(3, len(words)))),
        )
        for number in range(start, start + count)
    ]


def test_words_that_many_people_use_newly_name_the_topic():
    """Twenty of eighty messages are about scooters: four words, and messages that use most of them."""
    draws = Random(5)
    about = messages(20, draws, NEW, start=1000)
    topic = new_topic([*messages(60, draws), *about], messages(300, draws, start=5000))
    assert topic is not None
    assert set(topic.words) == set(NEW)
    assert topic.n == 20
    assert len(topic.messages) == 5
    assert set(topic.messages) <= {each.message_id for each in about}


def test_one_family_that_writes_often_is_no_topic():
    """Twenty messages of one sender in words of their own say nothing of others."""
    draws = Random(5)
    loud = [
        Said(message_id=each.message_id, sender="ana@home.example", words=each.words)
        for each in messages(20, draws, NEW, start=1000)
    ]
    assert new_topic([*messages(60, draws), *loud], messages(300, draws, start=5000)) is None


def test_usual_messages_have_no_topic():
    """In fifty draws of the same words nothing is named; nor is there anything among no messages."""
    draws = Random(5)
    assert not any(new_topic(messages(80, draws), messages(300, draws)) for _ in range(50))
    assert new_topic([], []) is None


def test_of_two_new_matters_the_surer_one_is_named():
    """Words that don't stand beside the surest one belong to something else."""
    draws = Random(5)
    measles = messages(12, draws, ["measles", "outbreak", "quarantine"], start=2000)
    scooters = messages(30, draws, NEW, start=1000)
    topic = new_topic([*messages(60, draws), *scooters, *measles], messages(300, draws, start=5000))
    assert topic is not None
    assert set(topic.words) <= set(NEW)
