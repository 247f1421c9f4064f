"""The statistics behind an alarm that families write about other things: seldom for nothing, soon for something."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from router.learning.drift_proofs import Question, answer, by_days, design_effect, found, rate

TODAY = date(2026, 3, 9)
WINDOW, REFERENCE = 7, 56
LABELS, DEPARTMENTS = 17, 12
WRONG = 0.1  # in these tests, so that a few hundred looks can tell


def days(last, count):
    """Return so many days before one, the oldest first."""
    return [last - timedelta(days=number) for number in range(count, 0, -1)]


def drawn(draws, when, cases, share, spread):
    """Return hits and cases by day: shares vary from day to day by `spread` (a beta distribution), 0: not at all."""
    shares = draws.beta(share / spread, (1 - share) / spread, len(when)) if spread else [share] * len(when)
    return {day: (float(draws.binomial(n, each)), float(n)) for day, n, each in zip(when, cases, shares, strict=True)}


def written(draws, when, per_day):
    """Return how many messages came on each day; at weekends few do."""
    return [int(draws.poisson(per_day * (0.2 if day.weekday() > 4 else 1.3))) for day in when]


def look(draws, *, per_day=60, spread=0.02, least=0.0, share=0.4, then=None):
    """Return the questions of one look: one share, which may be other in the window, and many that stay the same."""
    before, lately = days(TODAY - timedelta(days=WINDOW), REFERENCE), days(TODAY, WINDOW)
    n_before, n_lately = written(draws, before, per_day), written(draws, lately, per_day)

    def question(what, usual, now, some=1.0, both_ways=False):
        cases_before, cases_lately = ([int(n * some) for n in counts] for counts in (n_before, n_lately))
        window = drawn(draws, lately, cases_lately, now, spread)
        reference = drawn(draws, before, cases_before, usual, spread)
        return Question(
            what=what, name="", window=window, reference=reference, last_year={}, least=least, both_ways=both_ways
        )

    shares = draws.dirichlet(np.full(LABELS, 3.0))
    return [
        question("abstained", share, then or share),
        *(question(f"label {n}", each, each, both_ways=True) for n, each in enumerate(shares)),
        *(question(f"corrected {n}", 0.04, 0.04, some=0.6 * shares[n]) for n in range(DEPARTMENTS)),
    ]


def alarms(looks, wrong=WRONG):
    """Return in how many looks anything was found."""
    return sum(bool(found([answer(each) for each in questions], wrong)) for questions in looks)


@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_where_nothing_has_changed_hardly_anything_is_found(spread):
    """Of 150 looks at steady traffic at most the share asked for errs, whether days are alike or differ as people do.

    Even without a least difference: that and the days left out make it rarer still.
    """
    draws = np.random.default_rng(7)
    assert alarms(look(draws, spread=spread) for _ in range(150)) <= WRONG * 150


def test_a_year_of_daily_looks_keeps_to_the_alarms_asked_for():
    """Two years of a district with 60 messages a day, looked at every day with the default: at most one alarm a year.

    Windows overlap, so looks aren't independent: Bonferroni over the days of a year holds all the same.
    """
    draws = np.random.default_rng(11)
    when = days(TODAY, 2 * 365)
    n = written(draws, when, 60)
    series = [drawn(draws, when, n, share, 0.02) for share in (0.4, 0.3, 0.1, 0.08, 0.05, 0.02)]
    told = 0
    for end in range(WINDOW + REFERENCE, len(when)):
        window, reference = when[end - WINDOW : end], when[end - WINDOW - REFERENCE : end - WINDOW]
        asked = [
            Question(
                what=str(number),
                name="",
                window={day: each[day] for day in window},
                reference={day: each[day] for day in reference},
                last_year={},
                least=0.03,
            )
            for number, each in enumerate(series)
        ]
        told += bool(found([answer(each) for each in asked], 1 / 365))
    assert told <= 2


def test_what_really_changed_is_found_within_one_window():
    """The model abstains of 60 % instead of 40 %: nearly every look sees it among thirty questions, and no other."""
    draws = np.random.default_rng(3)
    seen, else_seen = 0, 0
    for _ in range(30):
        said = found([answer(each) for each in look(draws, per_day=150, spread=0.01, then=0.6, least=0.05)], 1 / 365)
        seen += any(each.question.what == "abstained" for each in said)
        else_seen += any(each.question.what != "abstained" for each in said)
    assert seen >= 27
    assert else_seen == 0


def test_days_count_not_messages():
    """Forty families write on the day their bus breaks down: what is certain for single messages isn't for days."""
    when = days(TODAY, 40)
    steady = dict.fromkeys(when, (10.0, 100.0))
    moody = {day: (20.0 if number % 2 else 0.0, 100.0) for number, day in enumerate(when)}
    assert rate(steady) == rate(moody) == 0.1
    assert design_effect(steady) == 1.0
    assert design_effect(moody) == pytest.approx(11.4, abs=0.1)
    lately = {day + timedelta(days=40): (14.0, 100.0) for day in when[:7]}
    chances = [answer(_question(lately, reference)).chance for reference in (steady, moody)]
    assert chances[0] < 0.01 < 0.1 < chances[1]


def test_a_spread_that_few_days_have_shown_is_trusted_less():
    """As the tables of Student's t say: what is 0.1 % by the normal distribution is more where few days are known."""
    table = {11: 0.00572, 31: 0.00214, 121: 0.00124}  # of 3.0902 standard deviations, with a day less of freedom
    for count, wanted in table.items():
        assert by_days(0.001, dict.fromkeys(days(TODAY, count), (1.0, 100.0))) == pytest.approx(wanted, rel=0.02)
    assert by_days(1.0, REFERENCE_DAYS) == 1.0
    assert by_days(0.0, REFERENCE_DAYS) == 0.0


def _question(window, reference, last_year=None, **more):
    settings = {"what": "abstained", "name": "", "least": 0.01} | more
    return Question(window=window, reference=reference, last_year=last_year or {}, **settings)


REFERENCE_DAYS = dict.fromkeys(days(TODAY, 40), (10.0, 100.0))
LATELY = [TODAY + timedelta(days=number) for number in range(7)]


def test_no_single_day_is_news():
    """A snow day: ninety of a hundred messages ask whether there is school, and on all other days it is as ever."""
    snow = dict.fromkeys(LATELY, (10.0, 100.0)) | {LATELY[2]: (90.0, 100.0)}
    twice = snow | {LATELY[4]: (90.0, 100.0)}
    assert answer(_question(snow, REFERENCE_DAYS)).chance > 0.4
    assert answer(_question(twice, REFERENCE_DAYS)).chance < 1e-6


def test_what_was_so_last_year_too_is_no_news():
    """August: half of the messages are about enrollment, as they were in the last one; without that it is news."""
    august = dict.fromkeys(LATELY, (50.0, 100.0))
    last_year = {day - timedelta(days=364): (48.0, 100.0) for day in (*days(TODAY, 14), *LATELY)}
    assert answer(_question(august, REFERENCE_DAYS)).chance < 1e-9
    assert answer(_question(august, REFERENCE_DAYS, last_year)).chance > 0.05


def test_small_differences_and_little_data_say_nothing():
    """Three days at least, ten before; and a difference below the least one, however sure."""
    many = dict.fromkeys(LATELY, (10400.0, 100000.0))
    assert answer(_question(many, dict.fromkeys(REFERENCE_DAYS, (10000.0, 100000.0)))).chance == 1.0
    high = dict.fromkeys(LATELY, (90.0, 100.0))
    assert answer(_question(dict(list(high.items())[:2]), REFERENCE_DAYS)).chance == 1.0
    assert answer(_question(high, dict(list(REFERENCE_DAYS.items())[:9]))).chance == 1.0
    assert answer(_question({}, {})).chance == 1.0


def test_a_fall_is_seen_where_it_is_asked_for():
    """A topic that nobody writes about any more, such as a form that is broken; abstaining less is no trouble."""
    none = dict.fromkeys(LATELY, (0.0, 100.0))
    assert answer(_question(none, REFERENCE_DAYS)).chance == 1.0
    assert answer(_question(none, REFERENCE_DAYS, both_ways=True)).chance < 1e-6


def test_the_surest_are_told_first_and_the_rest_only_if_sure_enough():
    """Holm: the surest of four must reach a quarter of what is allowed, the next a third, and so on."""
    chances = {"a": 0.02, "b": 0.001, "c": 0.3, "d": 0.004}
    made = [answer(_question({}, {}, what=what)) for what in chances]
    told = [type(each)(**{**_fields(each), "chance": chances[each.question.what]}) for each in made]
    assert [each.question.what for each in found(told, 0.012)] == ["b", "d"]
    assert found(told, 0.003) == []


def _fields(each):
    return {name: getattr(each, name) for name in ("question", "before", "after", "n", "chance")}
