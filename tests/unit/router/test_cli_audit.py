"""The commands about audits and about people who disagree, on a store that no daemon holds."""

from __future__ import annotations

import asyncio
import json

import pytest

from router.cli import run
from router.learning.audit import Audit
from tests.unit.router.commandline import routed, write_district, write_rows

TEXT = "buses want their lunch back, says Ana of Elm Street"
TEXTS = (f"{TEXT} 12", f"{TEXT} 34", "buses are late again")


@pytest.fixture
def ids(tmp_path, monkeypatch, rng, log):
    """The ids of three messages that the buses got, and that chance has chosen; the first two are almost the same."""
    monkeypatch.chdir(tmp_path)
    write_district(tmp_path)
    return asyncio.run(routed(log, rng, *TEXTS, audit=Audit(1.0)))


@pytest.fixture
def say(capsys):
    """Run a command and return what it prints; or, with `json=True`, its answer."""

    def ran(*arguments, status=0, as_json=False):
        capsys.readouterr()
        assert run([*arguments, *(["--json"] if as_json else []), "--config", "district.yaml"]) == status
        printed = capsys.readouterr()
        return json.loads(printed.out) if as_json else printed.out + printed.err

    return ran


def test_a_message_is_labelled_without_knowing_where_it_went(ids, say):
    """List and page show what was written; only the answer tells where it had been sent, and how to send it on."""
    shown = say("audit", "list") + say("audit", "show", ids[0].lower())
    assert all(message_id in shown for message_id in ids)
    assert "signpost audit answer" in shown
    assert "routed" not in shown
    told = say("audit", "answer", ids[0], "meals-and-rooms", "--by", "jo@d.example", "--urgent")
    assert told == (
        f"Message {ids[0]} belongs to meals-and-rooms; it was sent to buses, wrongly.\n"
        "It wasn't taken for urgent, so nobody was alerted.\n"
        f"To send it on:  signpost misroute {ids[0]} --to meals-and-rooms\n"
    )
    assert say("audit", "answer", ids[1], "buses", "--by", "jo@d.example") == (
        f"Message {ids[1]} belongs to buses; it was sent to buses, too.\n"
    )
    assert [row["id"] for row in say("audit", "list", as_json=True)] == [ids[2]]
    [_second, first] = say("audit", "list", "--answered", as_json=True)
    assert (first["id"], first["by"], first["routed_to"], first["misrouted"]) == (
        ids[0],
        "jo@d.example",
        "buses",
        True,
    )


def test_nobody_labels_without_a_name_or_a_department(ids, say):
    """Wrong usage and an answer of no, each with a sentence."""
    assert "say who it is" in say("audit", "answer", ids[0], "buses", "--by", " ", status=2)
    assert "no department 'busses'" in say("audit", "answer", ids[0], "busses", status=1)
    assert "wasn't chosen" in say("audit", "answer", "ZZZZZZZZZZZZ", "buses", status=1)


def test_the_rates_stand_side_by_side(ids, say):
    """Of three labelled messages one went wrong, and one other was flagged; status says the same in short."""
    for message_id, department in zip(ids, ("meals-and-rooms", "buses", "buses"), strict=True):
        say("audit", "answer", message_id, department)
    say("misroute", ids[1], "--to", "office")
    told = say("audit", "rate", as_json=True)
    assert (told["audited"]["n"], told["audited"]["misrouted"], told["audited"]["rate"]) == (3, 1, 0.3333)
    assert (told["flagged"]["routed"], told["flagged"]["flagged"]) == (3, 1)
    table = say("audit", "rate")
    assert "to 79.2%" in table
    assert "department" in table
    assert "unbiased" not in table
    status = say("status")
    assert "% to 79.2%) by audit of 3; 1 of 3 flagged by people in 30 days" in status
    assert say("status", as_json=True)["misroutes"]["flagged"] == {"routed": 3, "flagged": 1, "rate": 0.3333}
    assert say("audit", "rate", "--since", "tomorrow", status=2)


def test_unlabelled_audits_are_no_estimate(ids, say):
    """As long as some of those that were chosen wait, the rate comes with a warning."""
    say("audit", "answer", ids[0], "buses")
    assert "unbiased only once all that were chosen are labelled" in say("audit", "rate")
    assert "2 to audit: signpost audit list" in say("status")


def test_where_people_disagree_nothing_is_learnt_and_a_person_looks(ids, say, tmp_path):
    """Both sides are listed with each other, the training says that it left them out; withdrawing one ends it."""
    say("misroute", ids[0], "--to", "office", "--by", "jo@d.example")
    say("corrections", "confirm", "1", "--by", "jo@d.example")
    say("misroute", ids[1], "--to", "meals-and-rooms", "--by", "kim@d.example")
    say("corrections", "confirm", "2", "--by", "kim@d.example")
    rows = say("corrections", "list", "--conflicts", as_json=True)
    assert {row["id"]: row["conflicts_with"] for row in rows} == {1: ["correction 2"], 2: ["correction 1"]}
    assert "correction 2" in say("corrections", "list", "--conflicts")
    data = write_rows(tmp_path / "rows.jsonl")
    told = say("train", "--no-corpus", "--data", str(data))
    assert "Left out: 2 (people disagree about the message" in told
    assert "correction" not in next(line for line in told.splitlines() if line.startswith("Messages by"))
    say("corrections", "withdraw", "1")
    assert say("corrections", "list", "--conflicts") == "Nobody contradicts anybody.\n"
    told = say("train", "--no-corpus", "--data", str(data))
    assert "Left out" not in told


def test_a_model_remembers_whose_words_it_has_learnt(ids, say, tmp_path):
    """So that the caps count only what is new in the next training."""
    say("misroute", ids[0], "--to", "office", "--by", "jo@d.example")
    say("corrections", "confirm", "1", "--by", "jo@d.example")
    say("audit", "answer", ids[2], "buses", "--by", "jo@d.example")
    say("train", "--no-corpus", "--data", str(write_rows(tmp_path / "rows.jsonl")))
    say("corrections", "withdraw", "1")
    assert say("models", "show", as_json=True)["metrics"]["learnt"] == [f"audit {ids[2]} buses", "correction 1"]
