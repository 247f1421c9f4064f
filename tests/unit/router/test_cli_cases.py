"""`signpost test`: cases that go where they should, those that don't, and what is wrong with a file of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import config
from config.cases import load_cases
from config.load import load
from router.cli import run
from router.commandline import cases as command
from router.errors import ConfigError
from router.interfaces import SystemClock
from router.records import Prediction, Reason
from router.routing.policy import Thresholds
from router.trial import Trial
from tests.unit.router.commandline import train_outside, write_district

FOLDER = Path(config.__file__).parent
RULES = """\
  - {name: night, when: {time: "20:00-06:00", medium: sms}, to: buses}
  - {name: invoices, when: {attachment: pdf, sender_in: vendor.example}, to: meals-and-rooms}
"""


@pytest.fixture
def district(tmp_path, monkeypatch):
    """A small district in the working directory, with a model that learnt its three subjects."""
    monkeypatch.chdir(tmp_path)
    path = write_district(tmp_path)
    path.write_text(path.read_text() + RULES)
    train_outside(tmp_path)
    return tmp_path


def outcome(capsys, text, *options, status):
    """Run the cases and return what is printed."""
    Path("cases.yaml").write_text(text)
    capsys.readouterr()
    arguments = ["test", "cases.yaml", "--model", "model", "--config", "district.yaml", *options]
    assert run(arguments) == status, capsys.readouterr()
    return capsys.readouterr().out


GOOD = """\
cases:
  - {text: "hello, about the bus driver route stop late seat", expect: {department: buses, reason: model}}
  - {from: a@x.example, text: my w2 form, expect: {department: [office, buses], reason: rule, held: false}}
  - {from: "+15555550111", text: hello, at: 2026-03-02 21:30, expect: {department: buses, reason: rule}}
  - {from: "+15555550111", text: hello, expect: {reason: [abstained, model]}}
  - {from: x@mail.vendor.example, text: hi, files: [Invoice.PDF], expect: {department: meals-and-rooms}}
  - {from: x@vendor.example, text: hi there you, files: [invoice.docx], expect: {reason: [abstained, model]}}
  - {text: my son at LES never came home, expect: {urgent: true, school: lincoln, language: en}}
  - {medium: web_form, school: lincoln, text: hi, expect: {school: lincoln, urgent: false}}
  - {from: "+15555550111", text: STOP, expect: {filed: true}}
  - {from: buses, automatic: true, text: I am away, expect: {held: true, urgent: false}}
  - {mail: mail.eml, expect: {school: lincoln, held: false}}
  - {mail: round.eml, expect: {held: true}}
"""


def test_cases_that_go_where_they_should_end_well(district, capsys):
    """By rules, model, time of day, files, school, danger; texts that say STOP and loops; whole mails."""
    mail = b"From: ana@home.example\nSubject: Linclon Elementary\n\nhe is sick\n"
    Path("mail.eml").write_bytes(mail)
    Path("round.eml").write_bytes(b"Received: from a by b; Mon, 2 Mar 2026 14:00:00 +0000\n" * 30 + mail)

    assert "12 cases, 12 as expected, 0 not." in outcome(capsys, GOOD, status=0)
    assert json.loads(outcome(capsys, GOOD, "--json", status=0)) == {"cases": 12, "as_expected": 12, "differences": []}


def test_what_differs_is_shown_with_its_line_and_reason(district, capsys):
    """A table for people, rows for programs, and status 1."""
    text = (
        "cases:\n  - name: forms\n    text: my w2 form\n"
        "    expect: {department: buses, urgent: true, school: lincoln}\n"
        "  - {from: '+15555550111', text: stop, expect: {department: buses}}\n"
    )
    out = outcome(capsys, text, status=1)
    assert "forms (line 2)" in out
    assert "payroll" in out
    assert "2 cases, 0 as expected, 2 not." in out

    found = json.loads(outcome(capsys, text, "--json", status=1))
    rows = [(row["case"], row["line"], row["what"], row["expected"], row["found"]) for row in found["differences"]]
    assert rows == [
        ("forms", 2, "department", "buses", "office"),
        ("forms", 2, "urgent", "yes", "no"),
        ("forms", 2, "school", "lincoln", "none"),
        ("case 2", 5, "department", "buses", "filed"),
    ]
    assert (found["cases"], found["as_expected"]) == (2, 0)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "must begin with `cases:`"),
        ("- {text: x}\n", 1, "must begin with `cases:`"),
        ("cases: []\n", 1, "cases: must not be empty"),
        ("cases:\n  - {text: x, expect: {department: busses}}\n", 2, "did you mean 'buses'"),
        ("cases:\n  - {text: x, expect: {}}\n", 2, "must say what is expected"),
        ("cases:\n  - {text: x}\n", 2, "cases[0].expect: is missing"),
        ("cases:\n  - {expect: {urgent: true}}\n", 2, "must have a subject, a text, files or a mail"),
        ("cases:\n  - text: x\n    at: noon\n    expect: {urgent: true}\n", 3, "must be a day and time such as"),
        ("cases:\n  - {text: x, medium: fax, expect: {urgent: true}}\n", 2, "cases[0].medium"),
        ("cases:\n  - {text: x, chanel: contact, expect: {urgent: true}}\n", 2, "did you mean 'channel'"),
        ("cases:\n  - {text: x, expect: {school: lincon}}\n", 2, "there is no school 'lincon'"),
        ("cases:\n  - {text: x, expect: {reason: luck}}\n", 2, "cases[0].expect.reason: must be one of rule"),
        ("cases:\n  - {mail: nothing.eml, expect: {urgent: true}}\n", 2, "the mail can't be read: No such file"),
        ("cases:\n  - {mail: a.eml, text: x, expect: {urgent: true}}\n", 2, "has a mail, and a subject or text"),
        ("cases:\n  - {text: x, text: y, expect: {urgent: true}}\n", 2, "is there twice"),
        ("cases:\n  - {text: [x\n", 2, "isn't YAML"),
    ],
)
def test_what_is_wrong_with_the_file_is_said_at_its_line(district, capsys, text, line, words):
    """As with a configuration: file, line, place and what to do; status 78."""
    Path("cases.yaml").write_text(text)

    assert run(["test", "cases.yaml", "--model", "model", "--config", "district.yaml"]) == 78

    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"cases.yaml:{line}: ")
    assert words in said


class Unsure:
    """A classifier that knows nothing."""

    version = "unsure"
    labels = ("transportation", "attendance")

    def predict(self, inputs):
        """Give both labels half."""
        return [Prediction(ranking=tuple((label, 0.5) for label in self.labels), score=0.0) for _ in inputs]

    def explain(self, model_input, label, most=12):
        """Have no words."""
        return []


def test_the_cases_that_ship_hold_whatever_the_model_thinks(log):
    """What `config/examples/cases.yaml` expects follows from rules, schools, danger and language alone."""
    configuration = load(FOLDER / "signpost.yaml", env={})
    path = FOLDER / "examples" / "cases.yaml"
    located = load_cases(path, configuration)
    trial = Trial(Unsure(), Thresholds(min_confidence=0.9), clock=SystemClock(), log=log, configuration=configuration)

    verdicts = trial.verdicts(command._messages(path, located, configuration))

    found = [each for pair in zip(located, verdicts, strict=True) for each in command._differences(*pair)]
    assert found == []
    assert len(located) >= 10
    assert any(verdict.decision and verdict.decision.reason is Reason.RULE for verdict in verdicts)


def test_cases_speak_of_one_configuration(tmp_path):
    """A department of another district is a fault of the cases."""
    configuration = load(write_district(tmp_path))
    with pytest.raises(ConfigError, match="there is no department 'human-resources' in this file"):
        load_cases(FOLDER / "examples" / "cases.yaml", configuration)
