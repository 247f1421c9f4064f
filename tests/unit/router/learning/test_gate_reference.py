"""Beside the best model that ever served: small losses don't add up from champion to champion."""

from __future__ import annotations

import numpy as np

from router.learning.gate import compare
from router.learning.verdicts import FAILED, PASSED
from router.routing.policy import Thresholds
from tests.unit.router.learning.test_gate import answers, check_of, rows


def test_small_losses_dont_add_up_over_champions():
    """Each a point worse than the one before, which passes; the third is too far from the best there was."""
    held_out = rows(1000)
    best, second, third = (answers(held_out, wrong=range(lost)) for lost in (0, 15, 30))
    fourth = answers(held_out, wrong=range(36))
    assert compare(best, answers(held_out, wrong=range(8)), held_out, reference=best).passed
    assert compare(second, third, held_out).passed is False  # one after the other is refused at once
    few = compare(third, fourth, held_out)
    assert few.passed
    verdict = compare(third, fourth, held_out, reference=best)
    check = check_of(verdict, "accuracy beside the best model before")
    assert (check.outcome, check.champion, check.challenger, check.limit) == (FAILED, 1.0, 0.964, -0.03)
    assert not verdict.passed
    assert "accuracy beside the best model before may be" in verdict.sentence


def test_forty_slightly_worse_challengers_passed_one_after_the_other():
    """Each half a point worse than its champion: beside that one alone all pass, and 18 points are gone in the end."""

    def lost(beside_the_best):
        draws, held_out = np.random.default_rng(5), rows(1500)
        wrong = best = frozenset(range(150))
        for _ in range(40):
            worse = draws.choice(sorted(set(range(1500)) - wrong), 12, replace=False)
            mended = draws.choice(sorted(wrong), 5, replace=False)
            challenger = wrong - {*mended.tolist()} | {*worse.tolist()}
            reference = answers(held_out, best, 0.9) if beside_the_best else None
            if compare(answers(held_out, wrong, 0.9), answers(held_out, challenger, 0.9), held_out,
                       reference=reference).passed:  # fmt: skip
                wrong = challenger
        return (len(wrong) - len(best)) / 1500

    assert lost(beside_the_best=False) > 0.15
    assert lost(beside_the_best=True) <= 0.03


def test_a_department_may_not_sink_little_by_little_either():
    """A large one by ten points at most; messages sent to the wrong desk by three."""
    held_out = rows(900) + rows(200, "meals")
    best, before = answers(held_out, wrong=range(40)), answers(held_out, wrong=range(900, 922))
    verdict = compare(before, before, held_out, reference=best)
    assert check_of(verdict, "department meals beside the best").outcome == FAILED
    assert check_of(verdict, "department buses beside the best").outcome == PASSED
    routed = Thresholds(min_confidence=0.5)
    best, before = (answers(held_out, range(60), 0.9, unsure=unsure, thresholds=routed) for unsure in (range(60), ()))
    verdict = compare(before, before, held_out, reference=best)
    assert check_of(verdict, "messages not sent to a wrong department beside").outcome == FAILED
