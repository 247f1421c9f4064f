"""The model beside the words: it finds what no phrase foresees, overrules none, and may fail."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from classifiers._text import prepare
from router.records import Content, Medium, Message
from router.routing.answer import MarkUrgent
from router.routing.urgent import Urgent, urgency, urgent_reason

PHRASE = "he never came home"


class Sense:
    """A sense of urgency that goes by single words."""

    threshold = 0.5

    def __init__(self, **likely: float) -> None:
        self.words = likely
        self.asked: list[str] = []

    def likely(self, inputs):
        """Return the probability of the likeliest word."""
        texts = [f"{each.subject} {each.body}".lower() for each in inputs]
        self.asked += texts
        return [max([p for word, p in self.words.items() if word in text], default=0.0) for text in texts]

    def explain(self, model_input, most=12):
        """Return the words."""
        found = [(word, p) for word, p in self.words.items() if word in model_input.body.lower()]
        return sorted(found, key=lambda pair: -pair[1])[:most]


class Model:
    """A model with a sense of urgency, or none."""

    def __init__(self, sense):
        if sense is not None:
            self.urgent = sense


class Broken(Sense):
    """One that fails."""

    def likely(self, inputs):
        """Fail."""
        raise RuntimeError("boom")


def reason(sense, text, *, subject="", html=""):
    """Return why a message is urgent, "" if it isn't."""
    step = Urgent(lambda: Model(sense), prepare)
    return step.reasons([(Content(subject=subject, text=text, html_text=html), "email")])[0]


def test_the_model_finds_what_no_phrase_foresees():
    """From its threshold on it speaks alone, and names its words."""
    text = "the lake, she wrote, and goodnight"
    assert urgent_reason("", text) == ""
    assert reason(Sense(lake=0.6, goodnight=0.4), text) == "by its wording (lake, goodnight)"
    assert reason(Sense(lake=0.49), text) == ""


def test_no_model_overrules_the_words():
    """However harmless the model takes a message for, a phrase is an alarm."""
    assert reason(Sense(), PHRASE) == urgent_reason("", PHRASE) != ""


@pytest.mark.parametrize(
    ("text", "html"), [("a knife", "a plain newsletter"), ("a plain newsletter", "a knife"), ("", "a knife")]
)
def test_text_and_html_are_both_looked_at(text, html):
    """Where they disagree each is asked about; the more alarming one counts."""
    assert reason(Sense(knife=0.9), text, html=html) == "by its wording (knife)"


def test_text_and_html_that_say_the_same_are_asked_about_once():
    """Most mails carry everything twice."""
    sense = Sense()
    reason(sense, "Good morning,\nall", html="Good morning, all")
    assert len(sense.asked) == 1


@pytest.mark.parametrize("sense", [None, Broken()], ids=["learnt none", "fails"])
def test_without_the_model_the_words_decide_alone(sense, log):
    """An older model, another type of classifier, or one that breaks: phrases alarm all the same."""
    step = Urgent(lambda: Model(sense), prepare, log)
    contents = [(Content(text=text), "sms") for text in (PHRASE, "when is lunch")]
    assert step.reasons(contents) == [urgent_reason("", PHRASE), ""]
    assert Urgent(lambda: None, prepare).reasons(contents) == [urgent_reason("", PHRASE), ""]


async def test_the_step_remarks():
    """It answers MarkUrgent or nothing, in order, and never ends the list."""
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    batch = [
        Message(id=str(n), channel="c", medium=Medium.SMS, received_at=now, content=Content(text=text))
        for n, text in enumerate(["lunch", "a knife"])
    ]
    step = Urgent(lambda: Model(Sense(knife=0.9)), prepare)
    assert await step.decide(batch) == [None, MarkUrgent("by its wording (knife)")]


def test_how_it_was_judged_can_be_shown():
    """Phrase, probability, threshold and the deciding words; without a model the phrase alone."""
    view = urgency(Content(text=PHRASE), "sms", Model(Sense(came=0.3)), prepare)
    assert view == {
        "phrase": "child missing (he never came home)",
        "verdict": "child missing (he never came home)",
        "likely": 0.3,
        "threshold": 0.5,
        "words": [["came", 0.3]],
    }
    assert urgency(Content(text=PHRASE), "sms", None, prepare) == {
        "phrase": "child missing (he never came home)",
        "verdict": "child missing (he never came home)",
    }
