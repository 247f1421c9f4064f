"""A challenger is at least as ready to raise alarms as the champion, unless that made it cry wolf."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from classifiers._artifact import Artifact
from router.interfaces import Example, ModelInput
from router.learning.caution import careful
from router.learning.gate import FAILED, compare
from tests.unit.router.learning.test_gate import answers, check_of, rows


class Sense:
    """Knows how likely each text is urgent."""

    def __init__(self, threshold, likely):
        self.threshold = threshold
        self._likely = likely

    def likely(self, inputs):
        return [self._likely.get(each.body, 0.0) for each in inputs]

    def explain(self, model_input, most=12):
        return [(model_input.body, 1.0)]


def model(threshold, **likely):
    return SimpleNamespace(version="v", labels=("a",), urgent=Sense(threshold, likely))


def row(body, *, urgent=False):
    return Example(input=ModelInput(subject="", body=body), department="a", urgent=urgent)


HELD_OUT = [row("seen", urgent=True), row("other", urgent=True), *(row(f"calm{n}") for n in range(400))]
CHAMPION = model(0.5, seen=0.6, other=0.9)


def lowered(threshold=0.5, strangers=(), **likely):
    """Return the challenger's threshold afterwards."""
    artifact = Artifact("linear", {}, {"urgent": {"threshold": threshold, "rows": 2}})

    def load(made):
        return model(made.meta["urgent"]["threshold"], **likely)

    made = careful(artifact, load, CHAMPION, HELD_OUT, strangers)
    assert made.meta["urgent"]["rows"] == 2
    return made.meta["urgent"]["threshold"]


def test_an_alarm_that_would_be_lost_lowers_the_threshold_just_so_far():
    """To the least sure of those messages, and the one that was learnt is remembered."""
    assert lowered(seen=0.48, other=0.41) == pytest.approx(0.41)


@pytest.mark.parametrize("likely", [{"seen": 0.6, "other": 0.9}, {"seen": 0.5, "other": 0.5}])
def test_a_challenger_that_loses_none_stays_as_it_is(likely):
    """There is nothing to mend."""
    assert lowered(**likely) == 0.5


def test_far_below_what_was_learnt_it_is_left_to_the_gate():
    """Such a model knows less of urgency than the one before."""
    assert lowered(seen=0.2, other=0.9) == 0.5


@pytest.mark.parametrize(("calm", "expected"), [(2, 0.4), (3, 0.5)])
def test_it_is_not_lowered_where_many_others_would_raise_alarms(calm, expected):
    """Two of 400 are half a per cent; a third is too many."""
    assert lowered(seen=0.4, other=0.9, **{f"calm{n}": 0.45 for n in range(calm)}) == pytest.approx(expected)


def test_strangers_messages_count_among_the_others():
    """An alarm about a sales pitch is a false one, too."""
    strangers = [row(f"pitch{n}") for n in range(10)]
    assert lowered(seen=0.4, other=0.9, strangers=strangers, **{f"pitch{n}": 0.45 for n in range(10)}) == 0.5


def test_an_alarm_about_what_no_label_fits_is_kept_too():
    """What the fallback gets may be urgent as well."""
    strangers = [Example(input=ModelInput(subject="", body="elsewhere"), department="out_of_scope", urgent=True)]
    champion = model(0.5, seen=0.6, other=0.9, elsewhere=0.7)
    artifact = Artifact("linear", {}, {"urgent": {"threshold": 0.5, "rows": 2}})

    def load(made):
        return model(made.meta["urgent"]["threshold"], seen=0.6, other=0.9, elsewhere=0.45)

    made = careful(artifact, load, champion, HELD_OUT, strangers)
    assert made.meta["urgent"]["threshold"] == pytest.approx(0.45)


def test_a_model_without_a_sense_for_urgency_is_left_alone():
    """Only words tell what is urgent then."""
    artifact = Artifact("other", {}, {})
    assert careful(artifact, lambda _a: SimpleNamespace(version="v", labels=()), CHAMPION, HELD_OUT, ()) is artifact


def test_an_alarm_lost_about_what_no_label_fits_went_unseen():
    """The fallback's urgent messages count like all others; so do those that people were told of, and nobody judged."""
    held_out, strangers = rows(150, alarmed=True), rows(5, "out_of_scope", urgent=True)
    said = answers(held_out).held_out[:5]
    champion = answers(held_out, strangers=said, unalarmed={152})
    for lost in (3, 154):
        challenger = answers(held_out, strangers=said, unalarmed={152, lost})
        verdict = compare(champion, challenger, held_out, strangers=strangers)
        check = check_of(verdict, "alarms for urgent messages (1 newly missed)")
        assert (check.n, check.outcome, verdict.passed) == (155, FAILED, False)
    assert compare(champion, champion, held_out, strangers=strangers).passed
