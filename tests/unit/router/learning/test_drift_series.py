"""Which days are compared: a week until yesterday, the weeks before, the same weeks of last year, one model's own."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from router.learning.drift import Limits, changed, questions
from router.learning.drift_proofs import answer
from router.learning.drift_series import Series

TODAY = date(2026, 8, 24)  # a Monday


def sums(since, until, *, model="m", enrolling=lambda _day: False, abstaining=lambda _day: 20):
    """Return sums of a hundred messages on each weekday: ten about enrollment, or fifty while families enroll."""
    made = {}
    for number in range((until - since).days):
        day = since + timedelta(days=number)
        if day.weekday() < 5:
            about = (50 if enrolling(day) else 10) + number % 3
            made |= {
                (day, model, "asked", ""): 100.0,
                (day, model, "abstained", ""): float(abstaining(day) + number % 4),
                (day, model, "doubt", ""): 15.0 + number % 3,
                (day, model, "label", "enrollment"): float(about),
                (day, model, "label", "buses"): 100.0 - about,
            }
    return made


def found(*of, today=TODAY):
    """Return what has changed, as (what, name)."""
    series = Series(today, 7, 56)
    for each in of:
        series.take({key: n for key, n in each.items() if series.first <= key[0] < today})
    return [(each.question.what, each.question.name) for each in changed(_answers(series), 0.01)]


def _answers(series):
    return [answer(each) for each in questions(series, Limits())]


def test_the_window_ends_with_yesterday_and_the_reference_before_it():
    """Seven days and fifty-six; last year's are the same weekdays, with three weeks around them."""
    series = Series(TODAY, 7, 56)
    assert series.edges == (date(2026, 6, 22), date(2026, 8, 17), date(2026, 8, 24))
    last_year = series.spans()[1]
    assert last_year == (date(2025, 7, 28), date(2025, 9, 15))
    assert last_year[0].weekday() == series.edges[1].weekday() == 0
    assert series.first == last_year[0]


@pytest.mark.parametrize(("years", "told"), [(1, True), (2, False)])
def test_the_second_august_is_no_news(years, told):
    """Families enroll in the second half of August: the first time that is told, a year later it was so before."""

    def enrolling(day):
        return day.month == 8 and day.day >= 15

    begin = TODAY - timedelta(days=100 + 364 * (years - 1))
    assert (("label", "enrollment") in found(sums(begin, TODAY, enrolling=enrolling))) == told


@pytest.mark.parametrize(("so_much", "told"), [(27, False), (60, True)])
def test_another_model_must_differ_twice_as_much(so_much, told):
    """One that was promoted a week ago leaves seven points more to people: that is its way. Forty more are not."""
    promoted = TODAY - timedelta(days=7)
    before = sums(TODAY - timedelta(days=70), promoted, model="old")
    after = sums(promoted, TODAY, model="new", abstaining=lambda _day: so_much)
    assert (("abstained", "") in found(before, after)) == told


def test_a_model_that_has_served_for_long_is_compared_with_itself():
    """Its own weeks before are enough, and the model before that, which left nothing to people, isn't asked."""
    promoted = TODAY - timedelta(days=40)
    before = sums(TODAY - timedelta(days=70), promoted, model="old", abstaining=lambda _day: 0)
    after = sums(promoted, TODAY, model="new", abstaining=lambda day: 29 if day >= TODAY - timedelta(days=7) else 20)
    assert ("abstained", "") in found(before, after)
    steady = sums(promoted, TODAY, model="new", abstaining=lambda _day: 29)
    assert ("abstained", "") not in found(before, steady)


def test_a_new_label_or_department_has_nothing_to_be_compared_with():
    """What there was none of before isn't asked about; what there is none of any more is."""
    begin, lately = TODAY - timedelta(days=70), TODAY - timedelta(days=7)
    new = {(day, "m", "label", "scooters"): 30.0 for day in (lately, lately + timedelta(days=1))}
    told = found(sums(begin, TODAY), new)
    assert ("label", "scooters") not in told
    gone = {(begin + timedelta(days=n), "m", "label", "pool"): 20.0 + n % 3 for n in range(60)}
    assert ("label", "pool") in found(sums(begin, TODAY), gone)


def test_what_is_sent_on_is_counted_when_it_is_sent_on():
    """More may be sent on in a day than came in on it: then all of it was, and no share is above one."""
    series = Series(TODAY, 7, 56)
    day = TODAY - timedelta(days=3)
    series.take({(day, "m", "routed", "buses"): 5.0})
    series.flag([(day, "buses")] * 9)
    assert series.corrected("buses", 0.03, 20).window == {day: (9.0, 9.0)}
