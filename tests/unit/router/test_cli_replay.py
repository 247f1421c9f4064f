"""`replay`: past messages decided again, on a store that no daemon holds; nothing of it is changed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from router.cli import run
from router.store.engine import open_store
from tests.unit.router.commandline import saying, train_outside, write_district, write_rows
from tests.unit.router.past import Past, keep

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
COUNT = 300  # more than one batch


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of three labels that stands outside any configuration."""
    return train_outside(tmp_path_factory.mktemp("model"))


@pytest.fixture
def past(tmp_path, monkeypatch, rng):
    """Messages about buses and meals, a day apart, of which every third was sent to the wrong desk."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNPOST_CONFIG", str(write_district(tmp_path)))
    desks = {"buses": "buses", "meals": "meals-and-rooms"}
    rows = []
    for number in range(COUNT):
        label = ("buses", "meals")[number % 2]
        other = "buses" if label == "meals" else "meals"
        wrong = number % 3 == 0
        desk = desks[other if wrong else label]
        belongs = desks[label] if wrong and number % 2 else ""
        at = NOW - timedelta(days=number)
        rows.append(Past(text=saying(label, rng), at=at, department=desk, label=label, belongs=belongs))
    asyncio.run(_keep(tmp_path, rows))
    return rows


async def _keep(folder, rows):
    store = open_store(f"sqlite:///{folder}/var/signpost.db")
    await store.open()
    await keep(store, rows)
    await store.close()


@pytest.fixture
def replayed(capsys):
    """Run the command and return its answer."""

    def ran(*arguments):
        capsys.readouterr()
        assert run(["replay", *map(str, arguments), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return ran


def test_what_would_change_is_counted_by_where_from_and_where_to(past, model, replayed):
    """Every third message would go elsewhere; a few of each kind are named, the newest first."""
    view = replayed("--model", model)
    assert (view["messages"], view["changed"], view["same"]) == (COUNT, COUNT // 3, COUNT - COUNT // 3)
    changes = {(each["from"], each["to"]): each for each in view["changes"]}
    assert set(changes) == {("meals-and-rooms", "buses"), ("buses", "meals-and-rooms")}
    assert sum(each["n"] for each in changes.values()) == COUNT // 3
    wrong = [each for each in past if each.department == "meals-and-rooms" and each.label == "buses"]
    assert changes["meals-and-rooms", "buses"]["examples"] == [each.id for each in wrong[:5]]
    by_name = {each["department"]: each for each in view["departments"]}
    assert by_name["buses"]["before"] == sum(each.department == "buses" for each in past)
    assert by_name["buses"]["after"] == COUNT // 2


def test_confirmed_corrections_are_what_it_is_judged_by(past, model, replayed):
    """Of those that people said belong elsewhere it counts how many it would get right, and how many were."""
    said = sum(bool(each.belongs) for each in past)
    assert said
    assert replayed("--model", model)["corrections"] == {"n": said, "before": 0, "after": said}


def test_since_and_limit_choose_the_newest(past, model, replayed):
    """A day in the district's time zone; the newest so many."""
    assert replayed("--model", model, "--since", "2026-03-01")["messages"] == 10
    assert replayed("--model", model, "--limit", 7)["messages"] == 7


def test_another_configuration_on_the_same_store(past, model, replayed, tmp_path):
    """A copy of the file with a rule more; whoever takes over a removed department's label is right for it, too."""
    text = (tmp_path / "district.yaml").read_text()
    text = text.replace("  buses: {name: Buses,", "  yellow: {name: Buses, covers: [buses],")
    text += "  - {name: pizza, when: {text: 'pizza'}, to: office}\n"
    (tmp_path / "other.yaml").write_text(text)
    view = replayed("--model", model, "--config", tmp_path / "other.yaml")
    about_pizza = sum("pizza" in each.text for each in past)
    assert sum(each["n"] for each in view["changes"] if each["to"] == "office") == about_pizza
    assert {"from": "buses", "to": "yellow"}.items() <= view["changes"][0].items()
    said = [each for each in past if each.belongs and "pizza" not in each.text]
    assert view["corrections"]["after"] == len(said)


def test_a_correction_to_a_department_that_has_gone_counts_for_its_successor(past, model, replayed, tmp_path, rng):
    """People said "buses", which is "yellow" now."""
    row = Past(text=saying("buses", rng), at=NOW, department="office", label="meals", belongs="buses")
    asyncio.run(_keep(tmp_path, [row]))
    text = (tmp_path / "district.yaml").read_text()
    (tmp_path / "other.yaml").write_text(text.replace("  buses: {", "  yellow: {covers: [buses], "))
    view = replayed("--model", model, "--limit", 1, "--config", tmp_path / "other.yaml")
    assert view["corrections"] == {"n": 1, "before": 0, "after": 1}


def test_conversations_and_what_people_decided_are_left_out(past, model, replayed, tmp_path):
    """A reply stays with its conversation, and what a person released to a desk was never the router's."""
    more = [
        Past(text="and the bus?", at=NOW, department="office", reason="thread"),
        Past(text="the bus again", at=NOW, department="office", reason="correction"),
    ]
    asyncio.run(_keep(tmp_path, more))
    view = replayed("--model", model)
    assert view["messages"] == COUNT
    assert view["left_out"] == {"conversations": 1, "people": 1}


def test_alarms_that_would_be_gained_or_lost_are_named(past, model, replayed, tmp_path):
    """Words for danger ring now; a message that was urgent then and isn't any more is named likewise."""
    danger = Past(text="My daughter never came home from school.", at=NOW, department="buses", label="buses")
    calm = Past(text="lunch menu please", at=NOW, department="buses", label="buses", urgent="it was once")
    asyncio.run(_keep(tmp_path, [danger, calm]))
    urgent = replayed("--model", model)["urgent"]
    assert urgent == {"gained": {"n": 1, "examples": [danger.id]}, "lost": {"n": 1, "examples": [calm.id]}}


def test_what_was_only_observed_is_compared_with_what_it_would_have_been(past, model, replayed, tmp_path):
    """In observe mode everything went to the office; the decision says where it would have gone."""
    detail = "would go to buses (model: buses at 95%)"
    row = Past(text="bus stop late", at=NOW, department="office", reason="observe", detail=detail, label="buses")
    asyncio.run(_keep(tmp_path, [row]))
    [department] = replayed("--model", model, "--limit", 1)["departments"]
    assert department == {"department": "buses", "before": 1, "after": 1, "same": 1}


def test_people_read_a_table(past, model, capsys):
    """Sentences first, then then and now by department, then the changes with examples."""
    assert run(["replay", "--model", str(model)]) == 0
    out = capsys.readouterr().out
    assert f"{COUNT} messages decided again by the model" in out
    assert f"{COUNT // 3} would go elsewhere" in out
    assert ["meals-and-rooms", "buses", "50"] in [line.split()[:3] for line in out.splitlines()]
    assert past[0].id in out


def test_a_version_of_the_registry_and_the_champion(tmp_path, monkeypatch, past, replayed, capsys):
    """Without a name the champion decides; a version is named by its beginning; one that isn't there is said."""
    rows = write_rows(tmp_path / "rows.jsonl")
    assert run(["train", "--no-corpus", "--data", str(rows)]) == 0
    view = replayed()
    assert view["messages"] == COUNT
    assert replayed("--model", view["model"][:8]) == view
    assert run(["replay", "--model", "nobody"]) == 1
    assert "there is no model 'nobody'" in capsys.readouterr().err


def test_the_store_stays_as_it_is(past, model, replayed, tmp_path):
    """Nothing is written, and nothing is there to be sent."""
    before = _dump(tmp_path)
    replayed("--model", model)
    assert _dump(tmp_path) == before


def _dump(folder):
    with sqlite3.connect(f"file:{folder}/var/signpost.db?mode=ro", uri=True) as database:
        return list(database.iterdump())


def test_without_a_store_there_is_nothing_to_replay(tmp_path, monkeypatch, capsys):
    """It says so instead of making one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNPOST_CONFIG", str(write_district(tmp_path)))
    assert run(["replay"]) == 1
    assert "there is nothing to replay" in capsys.readouterr().err
    assert not (tmp_path / "var").exists()
