"""Makes the table of docs/reliability.md from the record of a run: a row per case, the rows of other cases stay."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict

from tests.torture.cases import CASES

BEGIN, END = "<!-- cases: written by make torture -->", "<!-- end of cases -->"
_HEADS = ("case", "what is done", "what has to come of it", "in numbers", "outcome")
_ROW = re.compile(r"^\| ([A-Z]\d\d) \|.*$", re.MULTILINE)
_ORDER = ("messages", "faults", "ambiguous", "lost", "unexpected", "corrupt", "copies")
_NOT_RUN = "not run yet"


def read(record):
    """Return the lines of a record by case; of a test that ran twice, the last."""
    lines = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
    by_case = defaultdict(dict)
    for line in lines:
        by_case[line["case"]][line["test"]] = line
    return {case: list(tests.values()) for case, tests in by_case.items()}


def rewrite(page, record, today):
    """Return the page with the rows of the cases in the record made anew."""
    head, _, rest = page.partition(BEGIN)
    before, _, tail = rest.partition(END)
    if not tail:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    kept = {match[1]: match[0] for match in _ROW.finditer(before)}
    rows = [row(case, record[case]) if case in record else kept.get(case) or unrun(case) for case in CASES]
    said = summary(record, today) if record else _summary_of(before)
    table = [said, "", _line(_HEADS), _line(["---"] * len(_HEADS)), *rows]
    return f"{head}{BEGIN}\n\n" + "\n".join(table) + f"\n\n{END}{tail}"


def row(case, tests):
    """Return the row of a case that was run."""
    counts = sum((Counter(test["counts"]) for test in tests), Counter())
    names = {name for test in tests for name in test["counts"]}
    return _line([case, CASES[case].what, CASES[case].expected, _numbers(counts, names), _outcome(tests)])


def unrun(case):
    """Return the row of a case that no test has been run for."""
    return _line([case, CASES[case].what, CASES[case].expected, "", CASES[case].unrun or _NOT_RUN])


def _numbers(counts, names):
    ordered = [*(name for name in _ORDER if name in names), *sorted(names - set(_ORDER))]
    said = [f"{name} {counts[name]:,}" for name in ordered]
    if counts["messages"] and "lost" in names and not counts["lost"]:
        said.append(f"at most {bound(counts['messages'])} lost (95 %)")
    return "; ".join(said)


def bound(messages):
    """Return the upper bound of a rate of which none was seen in so many, at 95 % (the rule of three)."""
    return f"{min(1.0, 3 / messages):.2%}".replace("%", " %")


def _outcome(tests):
    outcomes = Counter(test["outcome"] for test in tests)
    said = []
    if outcomes["passed"]:
        said.append(f"held ({_tests(outcomes['passed'])})")
    said += [f"**failed**: {test['fact']}" for test in tests if test["outcome"] == "failed"]
    said += sorted({f"not run here: {test['why']}" for test in tests if test["outcome"] == "skipped"})
    return "; ".join(said)


def _tests(number):
    return f"{number} test{'s' * (number != 1)}"


def summary(record, today):
    """Return a sentence about the whole run."""
    tests = {test["test"]: test for tests in record.values() for test in tests}.values()
    counts = sum((Counter(test["counts"]) for test in tests), Counter())
    seeds = ", ".join(sorted({str(test["seed"]) for test in tests}))
    hours = sum(test["seconds"] for test in tests) / 3600
    share = min(test["share"] for test in tests)
    cut = f", {share:.0%} of the rounds".replace("%", " %") if share < 1 else ""
    said = f"Last run: {today:%Y-%m-%d}, seed {seeds}{cut}, {_tests(len(tests))} in {hours:.1f} hours."
    said += f" Of {counts['messages']:,} messages {counts['lost']:,} were lost,"
    said += f" {counts['unexpected']:,} came where they don't belong, {counts['corrupt']:,} were altered;"
    said += f" {counts['copies']:,} copies after {counts['ambiguous']:,} faults"
    said += " that may make one."
    if failed := sum(test["outcome"] == "failed" for test in tests):
        said += f" **{_tests(failed)} failed**: not all of their messages are counted."
    elif counts["messages"] and not counts["lost"]:
        said += f" So at most {bound(counts['messages'])} are lost under such faults (95 %)."
    return said


def _summary_of(before):
    return next((line for line in before.splitlines() if line and not line.startswith("|")), "It has not been run yet.")


def _line(cells):
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
