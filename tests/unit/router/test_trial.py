"""Deciding without a store goes the same path as in the daemon."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from config.load import load
from router.assemble import assemble
from router.errors import SignpostError
from router.interfaces import SystemClock
from router.records import Medium, Prediction
from router.routing.policy import Thresholds
from router.trial import BATCH, Trial, answer, message_of_row, message_of_text
from tests.unit.router.commandline import write_district

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class ByFirstWord:
    """A classifier that is sure of the label a message begins with, and counts how often it is asked."""

    version = "first-word"
    labels = ("buses", "meals", "rooms", "strangers")

    def __init__(self):
        self.batches = []

    def predict(self, inputs):
        """Give the first word 0.9 and the others the rest."""
        self.batches.append(len(inputs))
        return [self._one(said.body.partition(" ")[0]) for said in inputs]

    def _one(self, word):
        shares = {label: 0.9 if label == word else 0.1 / 3 for label in self.labels}
        return Prediction(
            ranking=tuple(sorted(shares.items(), key=lambda pair: -pair[1])), score=1.0, model="first-word"
        )

    def explain(self, model_input, label, most=12):
        """Name the first word."""
        return [(model_input.body.partition(" ")[0], 1.0)]


@pytest.fixture
def configuration(tmp_path):
    """A small district."""
    return load(write_district(tmp_path))


@pytest.fixture
def trial(configuration, log):
    """A trial of that district."""
    return Trial(
        ByFirstWord(), Thresholds(min_confidence=0.5), clock=SystemClock(), log=log, configuration=configuration
    )


def _message(text, number=1, **row):
    return message_of_row({"body": text, **row}, number, NOW)


async def test_the_steps_are_the_daemons(configuration, trial, sqlite_store, log):
    """A trial asks the daemon's steps in order, save those that look at other messages and the one that only files."""
    parts = await assemble(configuration, sqlite_store, Random(0), log)
    daemon = [step.name for step in parts.router.steps]
    await parts.parsers.aclose()
    assert [step.name for step in trial.steps] == [
        name for name in daemon if name not in {"restored", "reports", "loops", "breakers", "opt_out", "threads"}
    ]


def test_messages_are_decided_in_batches(trial):
    """The model is asked once a batch, and the answers come in order."""
    texts = [["buses", "meals"][n % 2] for n in range(BATCH + 10)]
    decided = [decision.department for _, decision, _ in trial.decide(_message(t, n) for n, t in enumerate(texts))]
    assert decided == [{"buses": "buses", "meals": "meals-and-rooms"}[text] for text in texts]
    assert trial.classifier.batches == [BATCH, 10]


def test_what_ends_the_messages_is_raised_after_their_answers(trial):
    """A fault in the input doesn't take the answers before it along."""

    def messages():
        yield _message("buses", 1)
        raise SignpostError("line 2 is no row")

    decided = []
    with pytest.raises(SignpostError, match="line 2"):
        decided.extend(decision.department for _, decision, _ in trial.decide(messages()))
    assert decided == ["buses"]


def test_observing_districts_are_told_where_it_would_go(configuration, log):
    """With `mode: observe` everything is delivered to the fallback; a trial says what would have been decided."""
    observing = replace(configuration, routing=configuration.routing.model_copy(update={"mode": "observe"}))
    trial = Trial(ByFirstWord(), Thresholds(), clock=SystemClock(), log=log, configuration=observing)
    ((_, decision, _),) = trial.decide([_message("buses")])
    assert decision.department == "buses"


def test_the_model_is_asked_even_where_a_rule_decided(trial):
    """The ranking is there in any case; confidence belongs to the decision, so a rule has none."""
    row = answer(*next(iter(trial.decide([_message("meals and my w2 form")]))))
    assert (row["department"], row["reason"], row["confidence"]) == ("office", "rule", None)
    assert row["ranking"][0] == ["meals", 0.9]


def test_an_explanation_follows_the_label_nobody_covers(trial):
    """A likely label without a department is named as what would have to be covered."""
    view = trial.explain(_message("strangers at the door"))
    assert (view["department"], view["reason"]) == ("office", "abstained")
    assert "If a department covered strangers" in view["would_change"][0]


def test_an_explanation_says_what_a_rule_hid(trial):
    """Where a rule decided, the model's own choice is told."""
    view = trial.explain(_message("buses w2 form"))
    assert view["step"] == "rules"
    assert view["would_change"] == ["Without the rule 'payroll' the model would have decided: buses; buses at 90%."]


def test_an_explanation_leaves_words_out_until_the_answer_changes(trial):
    """The word without which the message would go elsewhere is named."""
    assert "Without “buses” it would go to office." in trial.explain(_message("buses are late"))["would_change"]


def test_a_mail_is_understood_and_a_text_is_taken_as_it_is():
    """An `.eml` file is parsed like any accepted mail; bytes that are no UTF-8 don't stop a text."""
    mail = message_of_text(b"From: a@home.example\r\nSubject: Bus\r\n\r\nlate\r\n", "x.eml", Medium.EMAIL, NOW)
    assert (mail.content.sender, mail.content.subject) == ("a@home.example", "Bus")
    assert message_of_text(b"caf\xe9\0", "x.txt", Medium.SMS, NOW).content.text == "caf�"


@pytest.mark.parametrize("row", [{}, {"body": 1}, {"body": "x", "channel": "pigeon"}, {"subject": ["x"]}])
def test_what_is_no_row_is_refused(row):
    """A row needs a text and a known medium."""
    with pytest.raises(SignpostError):
        message_of_row(row, 1, NOW)


def _explained(trial, *args, **row):
    return trial.explain(_message(*args, **row))


def test_an_explanation_says_in_a_sentence_why(trial, configuration, log):
    """Whether a rule, a sure model or an unsure one decided, with what was needed."""
    assert _explained(trial, "my w2 form")["because"] == "The rule 'payroll' says so, before any model is asked."
    sure = _explained(trial, "buses are late")
    assert sure["because"] == "The model is 90.0% sure of it, and 50.0% is enough."
    assert (sure["department_name"], sure["model"]["needed"]["buses"]) == ("Buses", 0.5)
    strict = Trial(
        ByFirstWord(), Thresholds(min_confidence=0.95), clock=SystemClock(), log=log, configuration=configuration
    )
    unsure = _explained(strict, "buses are late")
    assert unsure["because"].startswith("The model isn't sure enough: buses at 90.0% is below the 95.0% it needs")
    assert any("At a threshold of 0.9 it would have been routed to buses" in said for said in unsure["would_change"])


def test_an_explanation_names_the_setting_that_stood_in_the_way(configuration, log):
    """Where only the department's own threshold is too high, that is what would have to change."""
    buses = replace(configuration.departments[1], min_confidence=0.97)
    strict = replace(configuration, departments=(configuration.departments[0], buses, *configuration.departments[2:]))
    trial = Trial(ByFirstWord(), Thresholds(min_confidence=0.5), clock=SystemClock(), log=log, configuration=strict)

    said = _explained(trial, "buses are late")["would_change"]

    assert "At departments.buses.min_confidence 0.9 or less it would have been routed to buses." in said


@pytest.mark.parametrize(
    ("row", "school", "how", "said"),
    [
        ({"school": "lincoln"}, "lincoln", "form", "chosen on the form"),
        ({"subject": "Lincoln Elementary"}, "lincoln", "name", "named as “Lincoln Elementary”"),
        ({"subject": "at LES"}, "lincoln", "alias", "by its other name “LES”"),
        ({"subject": "at Linclon elem"}, "lincoln", "spelling", "by “Linclon elem”, taken for its name with a slip"),
        ({}, "", "", ""),
    ],
)
def test_an_explanation_says_how_the_school_was_recognised(trial, row, school, how, said):
    """A word for programs, a sentence for people."""
    view = _explained(trial, "buses are late", **row)

    assert (view["school"], view["school_by"]["how"], view["school_by"]["said"]) == (school, how, said)


def test_an_explanation_leaves_out_words_for_the_runner_up(configuration, log):
    """Where what speaks for the second choice keeps the first from being sure, those words are named."""

    class Torn(ByFirstWord):
        def _one(self, text):
            share = 0.5 if "meals" in text else 0.9
            ranking = (("buses", share), ("meals", 0.95 - share), ("rooms", 0.03), ("strangers", 0.02))
            return Prediction(ranking=ranking, score=1.0, model="torn")

        def predict(self, inputs):
            return [self._one(said.body) for said in inputs]

        def explain(self, model_input, label, most=12):
            return [(label, 1.0)]

    trial = Trial(Torn(), Thresholds(min_confidence=0.8), clock=SystemClock(), log=log, configuration=configuration)

    said = _explained(trial, "buses or meals")["would_change"]

    assert "Without “meals” (which speaks for meals) it would go to buses." in said


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        (b"From: a@home.example\nSubject: Bus\n\nlate\n", "Bus"),
        (b"Received: from a\n\tby b; today\nSubject: Bus\n\nlate\n", "Bus"),
        (b"From: grandma's house the bus is never on time", ""),
        (b"Bus: late", ""),
    ],
)
def test_a_mail_on_standard_input_is_told_from_a_text(text, subject):
    """By how it begins; a file says it by its name."""
    assert message_of_text(text, "-", Medium.EMAIL, NOW).content.subject == subject
    assert message_of_text(text, "x.txt", Medium.EMAIL, NOW).content.subject == ""


def test_a_suspicion_shows_what_decided(configuration, log):
    """The signs in the text, the score beside its threshold, and, where the model has learnt them, the words."""

    class KnowsStrangers(ByFirstWord):
        def strange(self, _model_input):
            return [("backlinks", 0.5)]

    limits = Thresholds(min_confidence=0.95, stranger_score=2.0)
    text = "buses need cheap backlinks, or unsubscribe here"
    for classifier, words in ((ByFirstWord(), []), (KnowsStrangers(), [["backlinks", 0.5]])):
        trial = Trial(classifier, limits, clock=SystemClock(), log=log, configuration=configuration)
        view = _explained(trial, text)
        assert view["step"] == "suspicion"
        assert view["spam"] == {
            "channel": "",
            "signs": ["it offers to unsubscribe", "it says “backlinks”"],
            "score": 1.0,
            "threshold": 2.0,
            "words": words,
        }
