"""What a newcomer stumbled over around training: other folders, going back, stand-ins, figures without their terms."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from classifiers._artifact import Artifact
from classifiers._corpus import Corpus, load_corpus
from classifiers.linear import CLASSIFIER, LinearSettings
from router.cli import run
from router.learning import registry, turn
from router.learning.bundled import bundled
from router.learning.train import trained
from router.learning.verdicts import Verdict
from router.store.engine import open_store
from tests.unit.router.commandline import WORDS, make_store, saying, write_district, write_rows


@pytest.fixture
def district(tmp_path, monkeypatch):
    """The working directory, with a small district's configuration and no store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNPOST_CONFIG", str(write_district(tmp_path)))
    return tmp_path


@pytest.fixture
def store(district):
    """The district's empty store."""
    asyncio.run(make_store(district))


@pytest.fixture
def bundled_model(tmp_path_factory, monkeypatch, rng):
    """A bundled model that is learnt in a moment, kept where the real one would be."""
    cache = tmp_path_factory.mktemp("cache")
    rows = tuple({"department": label, "subject": "", "body": saying(label, rng)} for label in WORDS for _ in range(20))
    small = Corpus(rows, load_corpus().fingerprint)
    bundled(CLASSIFIER, LinearSettings(), lambda _what, _share: None, cache_dir=cache, corpus=small)
    monkeypatch.setenv("SIGNPOST_CACHE", str(cache))


@pytest.fixture
def train(capsys, district):
    """Train on so many rows about each label and return what is printed: `train(count, *options)`."""

    def trained(count, *options, status=0):
        rows = write_rows(district / "rows.jsonl", count=count)
        capsys.readouterr()
        assert run(["train", "--no-corpus", "--data", str(rows), *options]) == status
        return capsys.readouterr()

    return trained


def _json(capsys, *arguments):
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_training_without_a_store_made_a_second_one(train, district, tmp_path_factory, monkeypatch):
    """From another folder `train` says, before it learns, where it looked for the store; it makes none."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    said = train(40, status=1).err
    assert said == (
        f"signpost: there is no store yet at {elsewhere / 'var' / 'signpost.db'}: start `signpost run` first, "
        "or train into a folder with --out\n"
    )
    assert list(elsewhere.iterdir()) == []


def test_training_into_a_folder_missed_the_corrections_without_a_word(train, district, capsys):
    """With --out it needs no store, and remarks that no correction is learnt, unless only files were asked for."""
    assert "there is no store" not in train(40, "--out", "model").err
    assert run(["train", "--data", "nowhere.jsonl", "--out", "model"]) == 1
    remark, error = (line for line in capsys.readouterr().err.splitlines() if not line.startswith("Training: "))
    assert remark.startswith("remark: no correction is learnt: there is no store at ")
    assert error.startswith("signpost: nowhere.jsonl")


def test_a_command_trained_beside_another_training(train, store, district):
    """One at a time, daemon or not: the second says so and registers nothing."""

    async def begin():
        opened = open_store(f"sqlite:///{district}/var/signpost.db")
        await opened.open()
        await turn.say_in(opened)(turn.BEGIN)
        await opened.close()

    asyncio.run(begin())
    said = train(40, status=1).err.splitlines()
    assert said[-1] == f"signpost: {turn._BUSY}"


def test_a_command_trained_without_limits(train, store, district):
    """The daemon's limits hold for a command too; what was ended leaves the way free for the next one."""
    config = district / "district.yaml"
    whole = config.read_text()
    config.write_text(f"{whole}learning: {{retrain_within: 1ms}}\n")
    said = train(40, status=1).err.splitlines()
    assert said[-1] == "signpost: it took longer than the 0 minutes of learning.retrain_within"
    config.write_text(whole)
    train(40)


def test_a_training_into_a_folder_had_no_limits(train, district):
    """Those of any other training; what was ended leaves nothing there."""
    config = district / "district.yaml"
    whole = config.read_text()
    config.write_text(f"{whole}learning: {{retrain_within: 1ms}}\n")
    said = train(40, "--out", "model", status=1).err.splitlines()
    assert said[-1] == "signpost: it took longer than the 0 minutes of learning.retrain_within"
    assert not (district / "model").exists()
    config.write_text(whole)
    train(40, "--out", "model")


def test_a_champion_of_former_bundled_messages_was_not_pointed_out(store, district, capsys):
    """`models list` says that a newer bundled model exists, unless the champion has nothing to do with it."""

    async def serve(counts):
        opened = open_store(f"sqlite:///{district}/var/signpost.db")
        await opened.open()
        meta = {"counts": counts, "basis": "of a former version"}
        made = trained(Artifact("linear", {}, meta), Verdict(passed=True, sentence="It is as it is."))
        await opened.write(lambda c: registry.put(c, made, opened.clock.now()))
        await opened.write(lambda c: registry.make_champion(c, made.version, opened.clock.now()))
        await opened.close()

    for counts, said in (({"corpus": 9, "correction": 1}, True), ({"file": 9}, False)):
        asyncio.run(serve(counts))
        capsys.readouterr()
        assert run(["models", "list"]) == 0
        assert ("A newer bundled model exists" in capsys.readouterr().out) == said


def test_training_says_whose_registry_it_went_into(train, store, district):
    """The last line has the store's absolute path, so that nobody wonders which one it was."""
    assert train(40).out.endswith(
        f"It is registered in the store {district / 'var' / 'signpost.db'} (no daemon is running).\n"
    )


def test_training_again_undid_a_rollback(train, store, capsys):
    """The same data give the same version: a person went back from it, so it isn't promoted, and the way is told."""
    train(40)
    first = _json(capsys, "models", "show")["version"]
    train(60)
    second = _json(capsys, "models", "show")["version"]
    assert run(["models", "rollback"]) == 0
    out = train(60).out
    assert f"The model {second} isn't promoted: you went back from this version; to use it all the same:" in out
    assert f"signpost models promote {second}" in out
    states = {row["version"]: row["state"] for row in _json(capsys, "models", "list")}
    assert states == {first: "champion", second: "rolled_back"}
    assert run(["models", "promote", second]) == 0


def test_training_the_champion_again_announced_a_new_one(train, store):
    """Where nothing new was learnt, that is said; going back would go back too far."""
    train(40)
    out = train(40).out
    assert "serves already: there was nothing new to learn." in out
    assert "rollback" not in out


def test_training_ended_at_85_per_cent(train, store):
    """The last line of progress says that all is done, and no line before it says so."""
    lines = [line for line in train(40).err.splitlines() if line.startswith("Training: ")]
    assert lines[-1] == "Training: done (100%)"
    assert sum("done" in line for line in lines) == 1


def test_a_figure_of_coverage_hid_its_target_error(train, store, capsys):
    """Coverage means little without the share of wrong answers that it was measured at: it stands beside it."""
    assert re.search(r"coverage \d+\.\d% at 20% wrong", train(40).out)
    assert _json(capsys, "models", "list")[0]["target_error"] == 0.2
    assert _json(capsys, "models", "show")["metrics"]["held_out"]["target_error"] == 0.2
    for command in ("list", "show"):
        assert run(["models", command]) == 0
        assert "% at 20% wrong" in capsys.readouterr().out


def test_the_bundled_model_stood_in_without_a_word(bundled_model, district, capsys, rng):
    """Where no store is found, `classify`, `explain FILE` and `evaluate` say on standard error which model answers."""
    (district / "text.txt").write_text(saying("buses", rng))
    rows = write_rows(district / "rows.jsonl", count=2)
    remark = f"remark: the bundled model answers: the store {district / 'var' / 'signpost.db'} isn't there"
    for command in ("classify text.txt --json", "explain text.txt --json", f"evaluate --data {rows.name}"):
        assert run(command.split()) == 0
        captured = capsys.readouterr()
        json.loads(captured.out)
        assert captured.err.startswith(remark)
        assert len(captured.err.splitlines()) == 1


def test_an_empty_registry_is_told_apart_from_no_store(bundled_model, store, district, capsys, rng):
    """A store whose daemon hasn't got so far yet is named as such."""
    (district / "text.txt").write_text(saying("buses", rng))
    assert run(["classify", "text.txt"]) == 0
    assert "has no model yet" in capsys.readouterr().err


def test_evaluating_nothing_succeeded(district, capsys):
    """A file without a labelled row is an error, not a page of empty figures."""
    (district / "rows.jsonl").write_text("\n")
    assert run(["evaluate", "--data", "rows.jsonl"]) == 1
    assert capsys.readouterr().err == "signpost: there is no labelled message to measure by in rows.jsonl\n"


def test_evaluate_writes_a_report_beside_its_figures(train, district, capsys):
    """The figures stay alone on standard output; where the page is, is told on standard error."""
    train(20, "--out", "model")
    arguments = ["evaluate", "--data", "rows.jsonl", "--model", "model", "--report", "out"]
    assert run(arguments) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["n"] == 60
    assert said.err == "The report is out/index.html\n"
    assert "60 messages of 3 departments" in (district / "out" / "index.html").read_text()


def test_evaluate_overlooked_what_a_department_asks_for(store, district, capsys):
    """What falls short of a department's `min_confidence` doesn't count as routed to it, as it isn't."""
    doubtful = write_rows(district / "rows.jsonl", label_of=lambda label, rng: rng.choice([label] * 9 + [*WORDS]))
    assert run(["train", "--no-corpus", "--data", str(doubtful)]) == 0
    before = _json(capsys, "evaluate", "--data", "rows.jsonl")["per_department"]
    config = district / "district.yaml"
    config.write_text(config.read_text().replace("name: Buses", "name: Buses, min_confidence: 1.0"))
    after = _json(capsys, "evaluate", "--data", "rows.jsonl")["per_department"]
    assert before["buses"]["routed"] > after["buses"]["routed"] == 0
    assert before["meals-and-rooms"]["routed"] == after["meals-and-rooms"]["routed"] > 0


def test_a_learning_curve_without_a_report_is_wrong_usage(train, district, capsys):
    """It is a part of the page: without one there is nowhere to draw it."""
    train(20, "--out", "model")
    assert run(["evaluate", "--data", "rows.jsonl", "--model", "model", "--learning-curve"]) == 2
    assert "--report DIR" in capsys.readouterr().err


def test_train_prints_what_each_source_helped(district, capsys):
    """A table overall and one by department; both are in the JSON too."""
    rows = [json.loads(line) for line in write_rows(district / "all.jsonl", count=30).read_text().splitlines()]
    for name, labels in (("first", ("buses", "meals")), ("second", ("rooms", "meals"))):
        chosen = [row for number, row in enumerate(rows) if row["department"] in labels and number % 2 == len(name) % 2]
        (district / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen))
    arguments = ["train", "--no-corpus", "--data", "first.jsonl", "--data", "second.jsonl", "--out", "model"]
    assert run([*arguments, "--compare-sources"]) == 0
    out = capsys.readouterr().out
    assert "What each source helped" in out
    assert re.search(r"A +first\.jsonl", out)
    assert "without B" in out
    assert run([*arguments, "--compare-sources", "--json"]) == 0
    sources = json.loads(capsys.readouterr().out)["metrics"]["sources"]
    assert [each["source"] for each in sources] == ["file first.jsonl", "file second.jsonl"]
