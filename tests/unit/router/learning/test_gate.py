"""The gate: what passes, what is refused, and what is left to a person."""

from __future__ import annotations

import json

import numpy as np
import pytest

from router.interfaces import Example, ModelInput
from router.learning.gate import FAILED, FOR_A_PERSON, PASSED, Replayed, compare, lower_bound
from router.records import Prediction


def rows(n: int, department: str = "buses", language: str = "en", **more) -> list[Example]:
    return [Example(input=ModelInput(subject="", body="", language=language), department=department, **more)] * n


def answers(held_out, wrong=(), confidence: float | None = None) -> list[Prediction]:
    """Return right answers but for the rows whose numbers are given, as sure as they are right if nothing is said."""
    wrong = set(wrong)
    confidence = confidence or 1 - len(wrong) / len(held_out)
    return [
        Prediction(ranking=(("other" if number in wrong else row.department, confidence), ("rest", 0.1)), score=1.0)
        for number, row in enumerate(held_out)
    ]


def check_of(verdict, what):
    return next(check for check in verdict.checks if check.what.startswith(what))


def test_a_first_model_passes_if_it_beats_naming_the_commonest_label():
    """8 of 10 right where 6 of 10 are the commonest label; its figures are in the sentence."""
    held_out = rows(6) + rows(4, "meals")
    verdict = compare(None, answers(held_out, wrong=[0, 1]), held_out)
    assert verdict.passed
    assert "80.0% of 10 held-out messages" in verdict.sentence
    assert "60.0%" in verdict.sentence


def test_a_first_model_that_only_names_the_commonest_label_is_refused():
    """As good as guessing isn't good enough."""
    held_out = rows(6) + rows(4, "meals")
    verdict = compare(None, answers(held_out, wrong=range(6, 10)), held_out)
    assert not verdict.passed
    assert "not more than" in verdict.sentence


def test_without_held_out_messages_nothing_passes():
    """No evidence, no promotion."""
    assert not compare(None, [], []).passed
    assert not compare([], [], []).passed


def test_the_same_answers_pass():
    """A challenger that answers like the champion is no worse."""
    held_out = rows(150) + rows(150, "meals")
    same = answers(held_out, wrong=range(20))
    verdict = compare(same, same, held_out)
    assert verdict.passed
    assert check_of(verdict, "accuracy").lower == 0
    assert {check.outcome for check in verdict.checks} == {PASSED}


def test_a_challenger_that_is_worse_overall_is_refused_with_the_reason():
    """Ten of 400 went wrong that were right: more than 1.5 points may be lost."""
    held_out = rows(400)
    verdict = compare(answers(held_out), answers(held_out, wrong=range(10)), held_out)
    assert not verdict.passed
    assert check_of(verdict, "accuracy").outcome == FAILED
    assert "it is refused: accuracy may be" in verdict.sentence


def test_a_better_challenger_passes_though_a_few_messages_got_worse():
    """Twenty mended for two spoilt, spread over departments."""
    held_out = rows(400)
    verdict = compare(answers(held_out, wrong=range(20)), answers(held_out, wrong=[50, 51]), held_out)
    assert verdict.passed


def test_a_department_that_suffers_is_protected_by_itself():
    """Better on the whole, but one department of 100 messages loses ten: refused, and the department named."""
    held_out = rows(900) + rows(100, "meals")
    champion, challenger = answers(held_out, wrong=range(60)), answers(held_out, wrong=range(900, 910))
    verdict = compare(champion, challenger, held_out)
    assert check_of(verdict, "accuracy").outcome == PASSED
    assert check_of(verdict, "department meals").outcome == FAILED
    assert not verdict.passed
    assert "department meals" in verdict.sentence


def test_a_language_is_protected_likewise():
    """What helps English must not cost Spanish."""
    held_out = rows(900) + rows(100, language="es")
    verdict = compare(answers(held_out, wrong=range(60)), answers(held_out, wrong=range(900, 910)), held_out)
    assert check_of(verdict, "language es").outcome == FAILED
    assert not verdict.passed


def test_corrections_cannot_outvote_the_corpus():
    """A flood of wrong corrections speaks for the model that believes them; what the corpus says counts by itself."""
    held_out = rows(200) + rows(300, "meals", source="correction")
    champion, challenger = answers(held_out, wrong=range(200, 500)), answers(held_out, wrong=range(40))
    verdict = compare(champion, challenger, held_out)
    assert check_of(verdict, "accuracy").outcome == PASSED
    assert check_of(verdict, "source corpus").outcome == FAILED
    assert not verdict.passed


def test_a_small_department_that_does_worse_is_listed_for_a_person():
    """Of 20 messages nothing can be said: the gate doesn't refuse, it points."""
    held_out = rows(980) + rows(20, "meals")
    verdict = compare(answers(held_out, wrong=range(30)), answers(held_out, wrong=[980]), held_out)
    check = check_of(verdict, "department meals")
    assert (check.outcome, check.n, check.lower) == (FOR_A_PERSON, 20, None)
    assert verdict.passed
    assert "too few messages to judge where it does worse: meals" in verdict.sentence


def test_a_model_that_is_too_sure_of_itself_is_refused():
    """The same answers with another confidence: calibration may lose two points at most."""
    held_out = rows(200)
    wrong = range(20)
    verdict = compare(answers(held_out, wrong, 0.9), answers(held_out, wrong, 0.99), held_out)
    assert check_of(verdict, "calibration").outcome == FAILED
    assert not verdict.passed
    assert compare(answers(held_out, wrong, 0.9), answers(held_out, wrong, 0.91), held_out).passed


def test_no_urgent_message_may_go_wrong_that_went_right():
    """One newly misrouted urgent message outweighs any gain elsewhere; one that was wrong before doesn't count."""
    held_out = rows(400) + rows(5, urgent=True)
    champion = answers(held_out, wrong=[*range(40), 400])
    assert compare(champion, answers(held_out, wrong=[400]), held_out).passed
    verdict = compare(champion, answers(held_out, wrong=[401]), held_out)
    assert not verdict.passed
    assert "urgent messages (1 newly misrouted)" in verdict.sentence


@pytest.mark.parametrize(("better", "worse"), [(0, 10), (5, 5), (30, 10)])
def test_the_lower_bound_is_that_of_resampling_rows_in_pairs(better, worse):
    """Drawing the counts gives what drawing 300 rows 2,000 times gives, to a fraction of a point."""
    before, after = np.zeros(300, dtype=bool), np.zeros(300, dtype=bool)
    after[:better] = True
    before[better : better + worse] = True
    draws = np.random.default_rng(1).integers(0, 300, (2000, 300))
    expected = np.quantile((after.astype(int) - before.astype(int))[draws].mean(axis=1), 0.05)
    assert lower_bound(before, after, seed=0) == pytest.approx(expected, abs=0.004)


def test_a_verdict_is_the_same_every_time_and_can_be_kept_as_json():
    """Seeded; the registry stores it; misroutes shown again are counted in it."""
    held_out = rows(300)
    champion, challenger = answers(held_out, wrong=range(9)), answers(held_out, wrong=range(5, 12))
    replayed = Replayed(n=4, champion=0, challenger=3, held_out=1)
    verdicts = [compare(champion, challenger, held_out, replayed=replayed) for _ in range(2)]
    assert verdicts[0] == verdicts[1]
    kept = json.loads(json.dumps(verdicts[0].to_json(), allow_nan=False))
    assert kept["replayed"] == {"n": 4, "champion": 0, "challenger": 3, "held_out": 1}
    assert kept["checks"][0]["what"] == "accuracy"


def test_an_urgent_message_that_loses_its_alarm_is_refused():
    """Of a message that people were told of with the champion, they must be told with the challenger."""
    held_out = rows(150) + rows(10, urgent=True)
    same = answers(held_out)
    verdict = compare(same, same, held_out, unalarmed=({150}, {150, 155}))
    check = check_of(verdict, "alarms for urgent messages (1 newly missed)")
    assert not verdict.passed
    assert (check.outcome, check.champion, check.challenger) == (FAILED, 0.9, 0.8)


def test_an_urgent_message_that_neither_finds_is_no_reason_to_refuse():
    """Old misses and new finds pass."""
    held_out = rows(150) + rows(10, urgent=True)
    same = answers(held_out)
    verdict = compare(same, same, held_out, unalarmed=({150, 151}, {150}))
    assert verdict.passed
    assert check_of(verdict, "alarms").outcome == PASSED
