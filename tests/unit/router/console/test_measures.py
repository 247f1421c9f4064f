"""Customer-service measures: what is configured and measured decides, and what isn't known is not made up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from router.console.measures import STAGES, Facts, measures, stage

ALL = Facts(
    alerts=True,
    urgent=True,
    escalation=True,
    media=frozenset({"email", "form"}),
    acknowledges=True,
    languages=frozenset({"en", "es"}),
    schools=7,
    departments=17,
    with_level=17,
    audits=True,
    learns=True,
    drift=True,
    target_error=0.05,
    messages=1000,
    in_time=960,
    late=40,
    after_hours=300,
    ninth_tenth=timedelta(minutes=2),
    audited=(400, (0.01, 0.04)),
    written={"en": 800, "es": 190, "so": 10},
)


def verdict(facts, name):
    """Return whether a measure is there and whether it is met."""
    found = next(each for each in measures(facts) if each.name == name)
    assert found.sentence.endswith(".")
    return found.has, found.meets


def test_a_district_that_has_and_meets_everything_is_customer_centric():
    """Though nobody knows here whether families were content: that is no reason to say no."""
    assert stage(measures(ALL)) == "customer-centric"
    assert verdict(ALL, "Families are asked whether it helped") == (None, None)


@pytest.mark.parametrize(
    ("change", "reached"),
    [
        ({"alerts": False}, ""),
        ({"oldest": timedelta(days=2), "open": 1}, ""),
        ({"media": frozenset({"email"})}, "reactive"),
        ({"in_time": 500, "late": 500}, "reactive"),
        ({"ninth_tenth": timedelta(hours=3)}, "reactive"),
        ({"audits": False}, "responsive"),
        ({"audited": (400, (0.06, 0.1))}, "responsive"),
        ({"languages": frozenset({"en"})}, "proactive"),
        ({"schools": 0}, "proactive"),
    ],
)
def test_a_stage_is_reached_when_nothing_of_it_is_absent_or_missed(change, reached):
    """Nor of any stage before."""
    assert stage(measures(replace(ALL, **change))) == reached


@pytest.mark.parametrize(
    ("change", "name", "meets"),
    [
        ({"audited": (400, (0.01, 0.04))}, "Misroutes are measured, noticed or not", True),
        ({"audited": (40, (0.01, 0.2))}, "Misroutes are measured, noticed or not", None),
        ({"audited": (0, None)}, "Misroutes are measured, noticed or not", None),
        ({"messages": 3}, "Soon at the right desk", None),
        ({"in_time": 3, "late": 0}, "Departments have a service level", None),
        ({"written": {"en": 5}}, "In families' own languages", None),
    ],
)
def test_too_little_to_know_is_said_so(change, name, meets):
    """An interval that holds the target, or a handful of messages, neither meets nor misses it."""
    assert verdict(replace(ALL, **change), name) == (True, meets)


def test_every_measure_belongs_to_a_stage():
    """And every stage has some."""
    assert [each for each in STAGES if any(m.stage == each for m in measures(ALL))] == list(STAGES)
