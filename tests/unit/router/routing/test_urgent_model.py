"""The model beside the words: it finds what no phrase foresees, overrules none, and may fail."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from classifiers._calibrate import NEVER
from classifiers._text import prepare, readings
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


def reason(sense, text, *, subject="", html="", language=""):
    """Return why a message is urgent, "" if it isn't."""
    step = Urgent(lambda: Model(sense), readings)
    return step.reasons([(Content(subject=subject, text=text, html_text=html, language=language), "email")])[0]


def test_the_model_finds_what_no_phrase_foresees():
    """From its threshold on it speaks alone, and names its words."""
    text = "the lake, she wrote, and goodnight"
    assert urgent_reason("", text) == ""
    assert reason(Sense(lake=0.6, goodnight=0.4), text) == "by its wording (lake, goodnight)"
    assert reason(Sense(lake=0.49), text) == ""


def test_no_model_overrules_a_whole_phrase():
    """However harmless the model takes a message for, a phrase of more than two words is an alarm."""
    assert reason(Sense(), PHRASE, language="en") == urgent_reason("", PHRASE) != ""


@pytest.mark.parametrize(
    ("text", "language", "likely", "alarm"),
    [
        ("something caught fire", "en", 0.01, False),
        ("something caught fire", "en", 0.02, True),
        ("se oyen balazos", "es", 0.01, False),
        ("something caught fire, then gunshots", "en", 0.01, True),  # two weak signs together aren't weak
        ("he was suicidal", "en", 0.01, True),  # grave
        ("it was rape", "en", 0.01, True),
        ("mi hijo desaparecio", "es", 0.01, True),
        ("I will kill you", "en", 0.01, True),  # somebody is named whom it befalls
        ("a boy said he would stab him", "en", 0.01, True),
        ("dijo que la mataria, los mato", "es", 0.01, True),
        ("kids talk of a hit list", "en", 0.01, False),
        ("con toi bat tinh", "vi", 0.01, True),  # the model knows too little Vietnamese
        ("something caught fire", "", 0.01, True),
    ],
)
def test_one_or_two_words_are_a_weak_sign(text, language, likely, alarm):
    """They count unless the model, in a language that it knows well, is sure that the message is harmless."""
    assert urgent_reason("", text)
    said = reason(Sense(**dict.fromkeys(text.split(), likely)), text, language=language)
    assert said == (urgent_reason("", text) if alarm else "")


def test_a_model_that_never_alarms_silences_nothing():
    """What has learnt too little to alarm can't tell what is harmless."""
    sense = Sense()
    sense.threshold = NEVER
    assert reason(sense, "something caught fire", language="en").startswith("fire")


@pytest.mark.parametrize(
    "left_out",
    [
        "From: Jo Park <jo@x.example>\nSent: Monday 8:00\nTo: Office\nSubject: hi\n\nswim out on the lake tomorrow",
        "Ana Ruiz\nshe swam out on the lake\n555-201-3344\nana@home.example",
        "> and then swim out on the lake",
    ],
    ids=["below a header block", "in a contact block", "quoted"],
)
def test_what_is_left_out_for_routing_is_asked_about_too(left_out):
    """An alarm may stand below somebody's header lines or name."""
    text = f"I need this looked at please today\n\n{left_out}"
    assert "lake" not in prepare(Content(text=text), "email").body
    assert reason(Sense(lake=0.9), text) == "by its wording (lake)"


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
    step = Urgent(lambda: Model(sense), readings, log)
    contents = [(Content(text=text), "sms") for text in (PHRASE, "when is lunch")]
    assert step.reasons(contents) == [urgent_reason("", PHRASE), ""]
    assert Urgent(lambda: None, readings).reasons(contents) == [urgent_reason("", PHRASE), ""]


async def test_the_step_remarks():
    """It answers MarkUrgent or nothing, in order, and never ends the list."""
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    batch = [
        Message(id=str(n), channel="c", medium=Medium.SMS, received_at=now, content=Content(text=text))
        for n, text in enumerate(["lunch", "a knife"])
    ]
    step = Urgent(lambda: Model(Sense(knife=0.9)), readings)
    assert await step.decide(batch) == [None, MarkUrgent("by its wording (knife)")]


def test_how_it_was_judged_can_be_shown():
    """Phrase, probability, threshold and the deciding words; without a model the phrase alone."""
    view = urgency(Content(text=PHRASE), "sms", Model(Sense(came=0.3)), readings)
    assert view == {
        "phrase": "child missing (he never came home)",
        "verdict": "child missing (he never came home)",
        "weak": False,
        "likely": 0.3,
        "threshold": 0.5,
        "words": [["came", 0.3]],
    }
    assert urgency(Content(text=PHRASE), "sms", None, readings) == {
        "phrase": "child missing (he never came home)",
        "verdict": "child missing (he never came home)",
    }
