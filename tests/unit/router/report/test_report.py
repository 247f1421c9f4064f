"""The report of an evaluation: what it counts, what it draws, and that the page needs nothing beside itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from classifiers._corpus import OUT_OF_SCOPE
from classifiers._evaluate import Answer, figures_of
from router.commandline.report import numbers
from router.commandline.report.page import Report, html, write
from router.errors import SignpostError
from router.learning.curve import Point

SVG = "{http://www.w3.org/2000/svg}"


def answer(department, chosen, confidence=0.9, *, routed=True, language="en", aware=False):
    """Return what a model said about one message."""
    return Answer(
        department=department,
        language=language,
        chosen=chosen,
        confidence=confidence,
        routed=routed,
        urgent=False,
        aware=aware,
    )


ANSWERS = [
    answer("bus", "bus", 0.95),
    answer("bus", "bus", 0.85),
    answer("bus", "lunch", 0.85),
    answer("lunch", "bus", 0.3, routed=False),
    answer("lunch", "bus", 0.35, language="es"),
    answer("lunch", "lunch", 1.0),
    answer(OUT_OF_SCOPE, "bus", 0.2, routed=False),
]


def report(answers, **more):
    """Return the report on some answers."""
    facts = {
        "target_error": 0.05,
        "model": "abc",
        "data": ["rows.jsonl"],
        "made_at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    figures = figures_of(answers, [{"urgent": False} for _ in answers], lambda _row: False)
    return Report(figures=figures, answers=answers, **facts | more)


def test_the_matrix_counts_first_choices_and_keeps_strangers_apart():
    """Rows are where messages belong, columns what was chosen; out-of-scope messages have the last row."""
    table = numbers.confusion(ANSWERS)
    assert (table.rows, table.columns) == (("bus", "lunch", OUT_OF_SCOPE), ("bus", "lunch"))
    assert table.counts == ((2, 1), (2, 1), (1, 0))


def test_of_too_many_departments_those_with_mistakes_are_shown():
    """A matrix of 150 can't be read: forty stay, among them every one that was mistaken, and the rest is counted."""
    answers = [answer(f"d{n:03}", f"d{n:03}") for n in range(150)] + [answer("d149", "d148")]
    table = numbers.confusion(answers)
    assert len(table.columns) == 40
    assert {"d148", "d149"} <= set(table.columns)
    assert table.left_out == 110


def test_the_worst_pairs_come_first_with_what_was_sent_on():
    """Each pair says how often it happened and how many of these would have gone to the wrong desk."""
    first, second = numbers.worst_pairs(ANSWERS)
    assert (first.department, first.chosen, first.count, first.routed) == ("lunch", "bus", 2, 1)
    assert (second.department, second.chosen, second.count, second.routed) == ("bus", "lunch", 1, 1)


def test_bins_hold_the_mean_confidence_and_the_share_that_was_right():
    """A confidence of exactly one belongs to the last bin; an empty bin is None."""
    bins = numbers.reliability(ANSWERS)
    assert [each.n if each else 0 for each in bins] == [0, 0, 0, 2, 0, 0, 0, 0, 2, 2]
    assert bins[8].confidence == pytest.approx(0.85)
    assert bins[8].right == 0.5
    assert bins[8].interval[0] < 0.5 < bins[8].interval[1]


def test_strangers_are_in_the_bins_where_the_confidence_should_know_of_them():
    """As in the figure `ece`: a learnt confidence answers for out-of-scope messages, too."""
    first, *_ = numbers.reliability([answer(OUT_OF_SCOPE, "bus", 0.05, aware=True), answer("bus", "bus", 0.05)])
    assert (first.n, first.right) == (2, 0.5)


def test_the_risk_curve_counts_a_routed_stranger_as_wrong_and_ties_together():
    """At full coverage the risk is the share of all messages that are wrong; equal confidences make one point."""
    answers = [answer("bus", "bus", 0.9)] * 12 + [answer("bus", "lunch", 0.5)] * 3 + [answer(OUT_OF_SCOPE, "bus", 0.4)]
    curve = numbers.risk_curve(answers)
    assert [(each.coverage, each.wrong) for each in curve] == [(12 / 16, 0.0), (15 / 16, 3 / 15), (1.0, 4 / 16)]
    assert all(each.low <= each.wrong <= each.high for each in curve)


def test_the_operating_point_is_what_was_routed():
    """Coverage is over all messages, risk over the routed ones; None where nothing is routed."""
    point = numbers.operating_point(ANSWERS)
    assert (point.coverage, point.wrong) == (5 / 7, 2 / 5)
    assert numbers.operating_point([answer("bus", "bus", routed=False)]) is None


def test_what_becomes_of_the_messages_adds_up():
    """Routed rightly, routed wrongly and left to people are all there are."""
    assert numbers.fate(ANSWERS) == numbers.Fate(right=3, wrong=2, kept=2, kept_strangers=1)


def test_the_page_needs_nothing_beside_itself_and_runs_nothing(tmp_path):
    """No script, no address but the name space of SVG, and a policy that forbids both; every plot is in it."""
    page = write(report(ANSWERS, points=[Point(10, 0.5, (0.4, 0.6)), Point(20, 0.7, (0.6, 0.8))]), tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert page.name == "index.html"
    assert set(re.findall(r"https?://[^\"' <]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<script|<link|<img|@import|url\(|\son\w+=", text)
    assert "default-src 'none'" in text
    names = {"messages", "risk-coverage", "reliability", "departments", "confusion", "learning"}
    assert {file.stem for file in (tmp_path / "out").glob("*.svg")} == names
    assert text.count("<svg ") == len(names)


def test_every_plot_is_an_svg_file_of_its_own(tmp_path):
    """Each is well-formed, has a title and a description for those who can't see it, and brings its own colours."""
    write(report(ANSWERS, points=[Point(10, 0.5, (0.4, 0.6))]), tmp_path)
    for file in tmp_path.glob("*.svg"):
        root = ET.fromstring(file.read_text(encoding="utf-8"))
        assert root.find(f"{SVG}title").text
        assert root.find(f"{SVG}desc").text
        assert "prefers-color-scheme: dark" in root.find(f"{SVG}style").text


def test_a_department_whose_name_is_markup_stays_text(tmp_path):
    """Labels come from a file: they are shown, never obeyed."""
    hostile = '<script>alert("x")</script>&'
    answers = [answer(hostile, hostile), answer(hostile, "bus"), answer("bus", "bus")]
    page = write(report(answers, organization=hostile, data=[hostile]), tmp_path)
    assert "<script" not in page.read_text(encoding="utf-8")
    for file in tmp_path.glob("*.svg"):
        ET.fromstring(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "answers",
    [
        [answer("bus", "bus", routed=False)],
        [answer(OUT_OF_SCOPE, "bus")],
        [answer(f"d{n}", f"d{n + n % 2}", n / 150) for n in range(150)],
    ],
    ids=["one message", "strangers only", "many departments"],
)
def test_odd_data_still_make_a_page(answers, tmp_path):
    """One message, no department's message at all, 150 departments: everything is drawn, nothing fails."""
    page = write(report(answers), tmp_path)
    assert "nan" not in re.sub(r"<style>.*?</style>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for file in tmp_path.glob("*.svg"):
        ET.fromstring(file.read_text(encoding="utf-8"))


def test_a_model_that_routes_nothing_is_told_so():
    """Without an operating point the page says that everything is left to people."""
    silent = report([answer("bus", "bus", routed=False)])
    assert "everything is left to people" in html(silent, silent.drawings())


def test_a_folder_that_cant_be_written_is_told_in_a_sentence(tmp_path):
    """A file in the folder's place."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(SignpostError, match="the report can't be written"):
        write(report(ANSWERS), tmp_path / "taken")
