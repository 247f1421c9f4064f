"""Charts: well-formed SVG without scripts, that says in words what it shows, beside a table with every number."""

from __future__ import annotations

import re
from datetime import date, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.console import charts
from router.console.charts import Rate

DAYS = [date(2026, 11, 1) + timedelta(days=number) for number in range(30)]
SVG = "{http://www.w3.org/2000/svg}"
EVIL = "<script>alert(1)</script>\"'&"


def drawn(chart):
    """Return the drawing as XML; everything that a reader of it alone must find is there."""
    tree = ET.fromstring(chart.svg)
    assert tree.get("role") == "img"
    assert tree.find(f"{SVG}title").text == chart.title
    assert tree.find(f"{SVG}desc").text
    assert {each.tag for each in tree.iter()} <= {
        f"{SVG}{name}" for name in ("svg", "title", "desc", "rect", "line", "circle", "path", "text")
    }
    assert not re.search(r"\s(on\w+|style|href)=|nan|inf", chart.svg.replace("font", ""))
    return tree


def bars_of(tree):
    """Return the bars: what is told where the pointer rests on them, and their height."""
    rects = [(each.find(f"{SVG}title"), float(each.get("height"))) for each in tree.iter(f"{SVG}rect")]
    return [(title.text, height) for title, height in rects if title is not None]


def test_each_day_is_a_bar_of_its_parts():
    """As high as the counts are, and told in words."""
    chart = charts.stacked("Messages", DAYS[:2], {"mail": [10, 0], "text": [5, 20]})
    high = dict(bars_of(drawn(chart)))
    assert list(high) == ["Sun Nov 1, 2026, text: 5", "Sun Nov 1, 2026, mail: 10", "Mon Nov 2, 2026, text: 20"]
    assert high["Mon Nov 2, 2026, text: 20"] == pytest.approx(4 * high["Sun Nov 1, 2026, text: 5"], abs=0.1)
    assert chart.columns == ("day", "text", "mail", "all")
    assert chart.rows == (("Sun Nov 1, 2026", "5", "10", "15"), ("Mon Nov 2, 2026", "20", "0", "20"))


def test_small_parts_are_told_together():
    """There are only so many looks that can be told apart; nothing is left out of the sum."""
    parts = {f"channel {number}": [number] for number in range(9)}
    chart = charts.stacked("Messages", DAYS[:1], parts)
    assert chart.columns[-2:] == ("4 others", "all")
    assert chart.rows[0][-2:] == ("6", "36")


def test_a_rate_that_is_not_known_is_no_zero():
    """It has no dot, and the table says so."""
    chart = charts.rates(
        "Misrouted", DAYS[:3], [Rate(0.1, (0.05, 0.2), 40), Rate(None, None, 0), Rate(0, (0, 0.1), 9)], "of"
    )
    assert len(list(drawn(chart).iter(f"{SVG}circle"))) == 2
    assert [row[1] for row in chart.rows] == ["10%", "–", "0%"]


def test_names_are_text_and_nothing_else():
    """Whatever a school or a channel is called."""
    for chart in (
        charts.bars(EVIL, {EVIL: 3}, "messages"),
        charts.stacked(EVIL, DAYS[:1], {EVIL: [3]}),
        charts.matrix(EVIL, {(EVIL, "b"): 1, ("b", "b"): 2}),
    ):
        drawn(chart)


def test_the_matrix_lists_mistakes_first():
    """The commonest on top."""
    chart = charts.matrix("Confused", {("a", "a"): 50, ("a", "b"): 2, ("b", "a"): 7})
    drawn(chart)
    assert chart.rows == (("b", "a", "7"), ("a", "b", "2"), ("a", "a", "50"))


def test_nothing_is_drawn_of_nothing():
    """An empty store has charts as well."""
    for chart in (
        charts.stacked("Messages", DAYS, {}),
        charts.bars("Messages", {}, "messages"),
        charts.rates("Misrouted", DAYS, [Rate(None, None, 0)] * len(DAYS), "of"),
        charts.matrix("Confused", {}),
        charts.honest("Honest", []),
    ):
        drawn(chart)


counts = st.integers(0, 10**7)


@given(st.lists(st.tuples(counts, counts, counts), min_size=1, max_size=400))
def test_bars_never_leave_the_drawing(columns):
    """However many days and however large the counts: heights add up to the day's share of the highest."""
    days = [DAYS[0] + timedelta(days=number) for number in range(len(columns))]
    parts = {name: [column[number] for column in columns] for number, name in enumerate("abc")}
    tree = drawn(charts.stacked("Messages", days, parts))
    for rect in tree.iter(f"{SVG}rect"):
        assert 0 <= float(rect.get("y")) <= 270
        assert 0 <= float(rect.get("height")) <= 240
        assert 0 <= float(rect.get("x")) <= 880


@given(st.floats(1e-3, 1e9))
def test_ticks_are_few_round_and_enough(most):
    """Between two and six marks, evenly apart, the last at or above the largest value."""
    marks = charts.ticks(most)
    assert 2 <= len(marks) <= 6
    assert marks[0] == 0
    assert marks[-1] >= most * (1 - 1e-9)
