"""A setting that does nothing yet says so where it is set."""

from __future__ import annotations

from config.load import load

FILE = """\
organization: {name: A District, public_url: "http://127.0.0.1:1", timezone: America/Chicago}
operations: {alerts: [{via: box, to: it}]}
routing:
  fallback: office
  urgent: {notify: [{via: box, to: safety}]}
learning: {audit_rate: 0.5}
channels:
  contact: {type: web_form}
  box: {type: maildir, path: out}
departments:
  office: {name: Office, deliver: [{via: box, to: office}]}
"""


def test_what_nothing_acts_on_is_a_warning(tmp_path):
    """The file loads, and `check` tells which settings have no effect, each with its line."""
    path = tmp_path / "x.yaml"
    path.write_text(FILE)

    warned = {(problem.line, problem.path) for problem in load(path).warnings if "act on it" in problem.what}

    assert warned == {(6, "learning.audit_rate")}
