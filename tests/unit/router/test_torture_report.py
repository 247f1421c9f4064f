"""The report on reliability: a row per case from the record of a run, and the rows of other cases stay."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from tests.torture.cases import CASES
from tests.torture.report import BEGIN, END, bound, read, rewrite

EMPTY = f"# Page\n{BEGIN}\n{END}\nafter\n"
TODAY = date(2026, 11, 22)


def line(case, test="t::one", outcome="passed", why="", **counts):
    """Return a line of a record."""
    facts = {"case": case, "test": test, "fact": "It holds.", "outcome": outcome, "why": why}
    return facts | {"seed": 7, "share": 0.1, "seconds": 36.0, "counts": counts}


def row(page, case):
    """Return the cells of a case's row."""
    [found] = [line for line in page.splitlines() if line.startswith(f"| {case} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_a_page_that_was_never_filled_has_a_row_for_every_case():
    """A case that no test ran for says so, or why none will."""
    page = rewrite(EMPTY, {}, TODAY)
    assert [row(page, case)[4] for case in CASES] == [case.unrun or "not run yet" for case in CASES.values()]
    assert page.endswith("after\n")
    assert rewrite(page, {}, TODAY) == page


def test_counts_of_a_case_add_up_and_zeros_are_told(tmp_path):
    """A test that ran twice counts once, by its last line; nothing lost of N means at most 3/N."""
    lines = [line("D02", messages=1), line("D02", messages=100, lost=0), line("D02", "t::two", messages=200, lost=0)]
    (tmp_path / "record").write_text("".join(json.dumps(each) + "\n" for each in lines))
    page = rewrite(EMPTY, read(tmp_path / "record"), TODAY)
    assert row(page, "D02")[3:] == ["messages 300; lost 0; at most 1.00 % lost (95 %)", "held (2 tests)"]
    assert "seed 7, 10 % of the rounds, 2 tests in 0.0 hours. Of 300 messages 0 were lost" in page


def test_a_partial_run_leaves_the_other_rows_alone():
    """What was found out before stays until it is found out anew."""
    before = rewrite(EMPTY, {"D01": [line("D01", messages=5, lost=0)]}, TODAY)
    after = rewrite(before, {"D02": [line("D02", messages=6, lost=0)]}, TODAY)
    assert row(after, "D01") == row(before, "D01")
    assert row(after, "D02") != row(before, "D02")


def test_what_failed_and_what_could_not_be_run_is_told():
    """The fact that didn't hold, and the reason of a test that was skipped; no bound where something was lost."""
    record = {
        "D04": [line("D04", outcome="skipped", why="no loop devices")],
        "N01": [line("N01", "t::two", outcome="failed")],
    }
    page = rewrite(EMPTY, record | {"D01": [line("D01", "t::three", messages=9, lost=1)]}, TODAY)
    assert row(page, "D04")[4] == "not run here: no loop devices"
    assert row(page, "N01")[4] == "**failed**: It holds."
    assert row(page, "D01")[3] == "messages 9; lost 1"
    assert "**1 test failed**" in page
    assert "at most" not in page.partition("| case |")[0]


def test_the_rule_of_three():
    """None of N seen means at most 3/N, at 95 %."""
    assert [bound(n) for n in (1, 300, 30_000)] == ["100.00 %", "1.00 %", "0.01 %"]


def test_the_page_can_be_written():
    """The published page has its place for the table, and a row for every case."""
    page = (Path(__file__).parents[3] / "docs" / "reliability.md").read_text("utf-8")
    assert [row(page, case)[0] for case in CASES] == list(CASES)
    with pytest.raises(ValueError, match="has no"):
        rewrite("nothing", {}, TODAY)
