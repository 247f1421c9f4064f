"""Commands about models, with one that is learnt in a moment: classify, explain, train, evaluate, models."""

from __future__ import annotations

import asyncio
import json

import pytest

from router.cli import run
from tests.unit.router.commandline import WORDS, make_store, saying, train_outside, write_district, write_rows


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of three labels that stands outside any configuration."""
    return train_outside(tmp_path_factory.mktemp("model"))


@pytest.fixture
def district(tmp_path, monkeypatch):
    """The working directory, with a small district's configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNPOST_CONFIG", str(write_district(tmp_path)))
    return tmp_path


@pytest.fixture
def champion(district):
    """The version of a registered champion that knows the three labels."""
    asyncio.run(make_store(district))
    rows = write_rows(district / "rows.jsonl")
    assert run(["train", "--no-corpus", "--data", str(rows)]) == 0
    return "champion"


def _out(capsys, *arguments, status=0):
    capsys.readouterr()
    assert run(list(arguments)) == status
    return capsys.readouterr().out


def _json(capsys, *arguments, status=0):
    return json.loads(_out(capsys, *arguments, status=status))


def _rows(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_rows_are_classified_in_order(model, tmp_path, monkeypatch, capsys, rng):
    """Each row comes back with its own id, the department and the model's whole ranking, without a configuration."""
    monkeypatch.chdir(tmp_path)
    rows = [{"id": n, "channel": "sms", "subject": "", "body": saying("buses", rng)} for n in range(600)]
    out = _out(capsys, "classify", "--jsonl", "--model", str(model), _rows(tmp_path / "in.jsonl", *rows))
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["id"] for answer in answers] == list(range(600))
    assert {answer["ranking"][0][0] for answer in answers} == {"buses"}
    assert {len(answer["ranking"]) for answer in answers} == {3}
    wanted = {"department", "confidence", "abstained", "reason", "urgent", "school", "language", "ranking", "id"}
    assert wanted <= answers[0].keys()


def test_a_bad_row_is_named_and_the_rows_before_it_are_answered(model, tmp_path, capsys):
    """The sentence has the file and the line; what was read before isn't lost."""
    path = tmp_path / "in.jsonl"
    path.write_text('{"body": "the bus was late"}\n\n{"body": 7}\n{"body": "x"}\n')
    assert run(["classify", "--jsonl", "--model", str(model), str(path)]) == 1
    captured = capsys.readouterr()
    assert [json.loads(line)["id"] for line in captured.out.splitlines()] == [1]
    assert captured.err == f"signpost: {path}:3: body must be a text\n"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"{", "this line isn't JSON"),
        (b"[]", "must be a JSON object"),
        (b"\xff", "isn't UTF-8"),
        (b'{"id": 1}', "neither a subject nor a body"),
        (b'{"body": "x", "channel": "fax"}', "channel must be one of email, sms, web_form"),
    ],
)
def test_what_is_no_row_is_told(line, what, model, tmp_path, capsys):
    """Whatever a line holds, the answer is a sentence with its number."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(line + b"\n")
    assert run(["classify", "--jsonl", "--model", str(model), str(path)]) == 1
    assert f"{path}:1: " in (said := capsys.readouterr().err)
    assert what in said


def test_a_blank_message_is_classified(model, tmp_path, monkeypatch, capsys):
    """A message without a word is a message: somebody did send it."""
    monkeypatch.chdir(tmp_path)
    path = _rows(tmp_path / "in.jsonl", {"id": "b", "channel": "email", "subject": "", "body": ""})
    assert _json(capsys, "classify", "--jsonl", "--model", str(model), path)["id"] == "b"


def test_outside_a_configuration_abstaining_names_no_department(model, tmp_path, monkeypatch, capsys):
    """A model alone has no fallback: `department` is null; with a configuration it is that one's fallback."""
    monkeypatch.chdir(tmp_path)
    path = _rows(tmp_path / "in.jsonl", {"body": "zzz qqq"})
    alone = _json(capsys, "classify", "--jsonl", "--model", str(model), path)
    assert (alone["department"], alone["abstained"]) == (None, True)
    write_district(tmp_path)
    known = _json(capsys, "classify", "--jsonl", "--model", str(model), path, "--config", "district.yaml")
    assert (known["department"], known["abstained"]) == ("office", True)


def test_the_configuration_decides_with_its_champion(champion, district, capsys, rng):
    """Rules come first, schools are recognised, covered labels add up, urgent words are marked."""
    path = _rows(
        district / "in.jsonl",
        {"body": "may I have my W-2 form"},
        {"body": saying("rooms", rng), "channel": "web_form"},
        {"body": "LES: the school bus was late at our stop. She never came home and we can't find her"},
    )
    rule, room, urgent = map(json.loads, _out(capsys, "classify", "--jsonl", path).splitlines())
    assert (rule["department"], rule["reason"], rule["confidence"]) == ("office", "rule", None)
    assert rule["ranking"]
    assert (room["department"], room["ranking"][0][0], room["abstained"]) == ("meals-and-rooms", "rooms", False)
    assert room["confidence"] > 0.9
    assert (urgent["urgent"], urgent["school"]) == (True, "lincoln")
    assert not rule["urgent"]


def test_a_text_and_a_mail_are_classified(champion, district, capsys, rng):
    """A text is a text, a mail an `.eml` file."""
    text = saying("buses", rng)
    (district / "mail.eml").write_bytes(
        b"From: ana@home.example\r\nSubject: our bus\r\nContent-Type: text/html\r\n\r\n<p>" + text.encode() + b"</p>"
    )
    assert _json(capsys, "classify", "--json", "mail.eml")["department"] == "buses"
    (district / "text").write_text(text)
    assert "department  buses" in _out(capsys, "classify", "text")


def test_an_explanation_names_words_thresholds_and_what_would_change_it(champion, district, capsys, rng):
    """Everything a person asks about a decision is said, for people and as JSON."""
    (district / "text.txt").write_text(saying("buses", rng))
    view = _json(capsys, "explain", "text.txt", "--json")
    assert (view["department"], view["step"]) == ("buses", "model")
    words = dict(view["model"]["words"]["buses"])
    assert max(words.values()) > 0
    assert view["model"]["min_confidence"] <= view["confidence"]
    assert any(sentence.startswith("Below ") and "office" in sentence for sentence in view["would_change"])
    assert any(sentence.startswith("Without “") for sentence in view["would_change"])
    out = _out(capsys, "explain", "text.txt")
    assert "What would change it:" in out


def test_training_registers_and_shows_what_it_measured(champion, district, capsys):
    """`train` ends with a table per department, the gate's sentence, and the new champion; `models` remembers all."""
    rows = write_rows(district / "more.jsonl", count=60)
    out = _out(capsys, "train", "--no-corpus", "--data", str(rows))
    assert "precision" in out
    assert "the champion on" in out
    assert "is the champion now" in out
    listed = _json(capsys, "models", "list", "--json")
    assert sorted(row["state"] for row in listed) == ["champion", "retired"]
    shown = _json(capsys, "models", "show", "--json")
    assert shown["metrics"]["held_out"]["accuracy"] is not None
    assert shown["parent"] in {row["version"] for row in listed}
    assert not list((district / "var").glob(".trained-*"))


def test_the_gate_refuses_a_model_that_is_worse(champion, district, capsys):
    """A challenger that learnt labels drawn by lot ends with status 1; the champion goes on serving."""
    before = _json(capsys, "models", "show", "--json")["version"]
    noise = write_rows(district / "noise.jsonl", count=120, seed=2, label_of=lambda _label, rng: rng.choice([*WORDS]))
    right = write_rows(district / "right.jsonl")
    out = _out(capsys, "train", "--no-corpus", "--data", str(noise), "--data", str(right), status=1)
    assert "refused" in out
    assert _json(capsys, "models", "show", "--json")["version"] == before


def test_promote_and_roll_back(champion, district, capsys):
    """A rollback is one command; a person may promote whatever is registered."""
    assert run(["models", "rollback"]) == 1
    first = _json(capsys, "models", "show", "--json")["version"]
    rows = write_rows(district / "more.jsonl", count=60)
    second = _json(capsys, "train", "--no-corpus", "--data", str(rows), "--json")["version"]
    assert _json(capsys, "models", "rollback", "--json")["version"] == first
    assert _json(capsys, "models", "promote", second[:8], "--json")["version"] == second
    assert run(["models", "promote", second]) == 1
    assert "serves already" in capsys.readouterr().err


def test_evaluation_counts_departments_and_abstaining(champion, district, capsys, rng):
    """Rows may name labels or departments, other acceptable ones, and be out of scope (a blank message, too)."""
    data = _rows(
        district / "rows.jsonl",
        {"body": saying("rooms", rng), "department": "rooms"},
        {"body": saying("meals", rng), "department": "meals-and-rooms"},
        {"body": saying("buses", rng), "department": "meals", "also_acceptable": ["buses"]},
        {"body": "", "department": "out_of_scope"},
    )
    figures = _json(capsys, "evaluate", "--data", data)
    assert (figures["n"], figures["accuracy"]) == (4, 1.0)
    assert set(figures["per_department"]) == {"meals-and-rooms"}
    wanted = {
        "macro_f1",
        "coverage",
        "selective_accuracy",
        "ece",
        "out_of_scope",
        "per_language",
        "urgent",
        "intervals",
    }
    assert wanted <= figures.keys()


def test_a_model_outside_is_evaluated_on_its_own_labels(model, tmp_path, monkeypatch, capsys):
    """With --model no configuration is asked, whatever the labels are called."""
    monkeypatch.chdir(tmp_path)
    data = write_rows(tmp_path / "rows.jsonl", count=5)
    figures = _json(capsys, "evaluate", "--data", str(data), "--model", str(model))
    assert figures["accuracy"] == 1.0
    assert set(figures["per_department"]) == set(WORDS)


def test_departments_that_no_answer_can_be_are_named(champion, district, rng, capsys):
    """Rows of the fallback, or with a slip of the pen, count as wrong: the figures alone wouldn't say why."""
    rows = [
        {"body": saying("buses", rng), "department": name} for name in ("buses", "front-office", "busses", "busses")
    ]
    assert run(["evaluate", "--data", _rows(district / "rows.jsonl", *rows)]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["accuracy"] == 0.25
    assert "no answer can be 'busses', 'front-office', so 3 of 4 messages count as wrong" in said.err


def test_a_damaged_model_is_told(model, tmp_path, capsys):
    """A model whose bytes were changed isn't used."""
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "manifest.json").write_bytes((model / "manifest.json").read_bytes())
    (copy / "model.bin").write_bytes((model / "model.bin").read_bytes()[:-1] + b"\0")
    path = _rows(tmp_path / "in.jsonl", {"body": "x"})
    assert run(["classify", "--jsonl", "--model", str(copy), path]) == 1
    assert "damaged" in capsys.readouterr().err


def test_what_happened_to_a_model_is_shown_with_who_said_so(champion, district, capsys):
    """`models show` ends with its history; `rollback` takes a name and a reason."""
    rows = write_rows(district / "more.jsonl", count=60)
    second = _json(capsys, "train", "--no-corpus", "--data", str(rows), "--json")["version"]
    _out(capsys, "models", "rollback", "--by", "ana@maple.example", "--why", "it sends buses to meals")
    history = _json(capsys, "models", "show", second, "--json")["history"]
    assert [(each["what"], each["by"]) for each in history] == [
        ("rolled_back", "ana@maple.example"), ("promoted", ""), ("registered", ""), ("training", "")
    ]  # fmt: skip
    assert "it sends buses to meals" in _out(capsys, "models", "show", second)


def test_a_model_card_named_the_staff_who_decided(champion, district, capsys):
    """It may be shown around: it says that people decided, one person or several, and not who they are."""
    rows = write_rows(district / "more.jsonl", count=60)
    second = _json(capsys, "train", "--no-corpus", "--data", str(rows), "--json")["version"]
    _out(capsys, "models", "rollback", "--by", "ana@maple.example")
    _out(capsys, "models", "promote", second, "--by", "bo@maple.example")
    card = _out(capsys, "models", "show", second, "--card")
    assert "@" not in card
    assert "rolled back by person 2" in card
    assert "promoted by person 1" in card


def test_a_model_card_says_what_it_was_made_of_and_how_good_it_is(champion, district, capsys):
    """Markdown, of the champion if none is named: data, parameters, libraries, figures, the gate, what became of it."""
    out = _out(capsys, "models", "show", "--card")
    version = _json(capsys, "models", "show", "--json")["version"]
    assert out.startswith(f"# Model {version}\n")
    for title in ("What it is for", "What it was made of", "How good it is", "The gate", "What became of it"):
        assert f"\n## {title}\n" in out
    assert "- Fingerprint of the data: `" in out
    assert "- Parameter folds: 3" in out
    assert "- sklearn " in out
    assert "| buses | " in out
    assert "This is the first model" in out
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)


def test_a_shadow_is_asked_for_and_shown(champion, district, capsys):
    """`train --shadow` doesn't promote; `models shadow` says how the two compare, or that none is tried."""
    assert run(["models", "shadow"]) == 1
    assert "no challenger is being tried now" in capsys.readouterr().err
    before = _json(capsys, "models", "show", "--json")["version"]
    rows = write_rows(district / "more.jsonl", count=60)
    second = _json(capsys, "train", "--no-corpus", "--data", str(rows), "--shadow", "--json")
    assert second["state"] == "shadow"
    view = _json(capsys, "models", "shadow", "--json")
    assert (view["version"], view["champion"], view["n"], view["differences"]) == (second["version"], before, 0, [])
    assert "0 messages compared" in _out(capsys, "models", "shadow")
    assert _json(capsys, "models", "show", "--json")["version"] == before


def test_a_model_is_pinned_and_let_go(champion, district, capsys):
    """It is listed as such."""
    assert "is kept for good" in _out(capsys, "models", "pin", _json(capsys, "models", "list", "--json")[0]["version"])
    [row] = _json(capsys, "models", "list", "--json")
    assert row["pinned"]
    assert "may be dropped again" in _out(capsys, "models", "pin", row["version"], "--off")


def test_what_the_configuration_names_is_learnt_from_by_every_training(district, capsys):
    """`learning.data` and `learning.corpus: false`: `train` needs no options."""
    asyncio.run(make_store(district))
    write_rows(district / "rows.jsonl")
    path = district / "district.yaml"
    path.write_text(path.read_text() + "learning: {data: [rows.jsonl], corpus: false}\n")
    made = _json(capsys, "train", "--json")
    assert made["metrics"]["counts"] == {"file": 120}
