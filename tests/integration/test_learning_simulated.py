"""The simulation of learning runs the real store, steps, training and registry; here on a stream of a few messages."""

from __future__ import annotations

import json
import re
from dataclasses import replace as altered
from random import Random
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from benchmarks.figures import Figure
from benchmarks.learning import measure, pair, plot, poison
from benchmarks.learning.replay import POISONER, Course, Point, Staff, replay
from benchmarks.learning.simulated import FALLBACK, Mechanisms, Routed, simulated
from benchmarks.learning.streams import Said, Stream

KNOWN = {"buses": "bus route stop driver", "meals": "lunch menu tray milk", "nurse": "fever rash cough clinic"}
NEW = {"buses": "van shuttle bay curb", "meals": "soup salad bagel fruit", "nurse": "lice nits itch scalp"}
FILLER = "please my child the school today we about could you need thanks tomorrow morning question again"
QUICKLY = {"augment": False, "folds": 2, "c": 1.0, "bayes": 0.0}
EAGER = {"retrain_after": 1}


def said(words, label, random):
    """Return a made-up message about a label, different each time."""
    chosen = random.sample(words[label].split(), 3) + random.sample(FILLER.split(), 6)
    return Said("", " ".join(chosen), label)


@pytest.fixture
def stream(rng):
    """A district that knows some words for each department, and whose families use others."""
    start = [said(KNOWN, label, rng) for label in KNOWN for _ in range(25)]
    messages = [said(NEW, label, rng) for _ in range(24) for label in NEW]
    return Stream("small", start, messages, [said(NEW, label, rng) for label in NEW for _ in range(20)])


def mechanisms(**more):
    return Mechanisms(classifier=QUICKLY, settings=EAGER, gate=False, **more)


async def test_what_staff_correct_is_learnt_and_less_goes_wrong(stream):
    """Corrections go through the store into a model that serves from the next batch on."""
    course = await replay("small", stream, 36, Staff(fixes=1.0), mechanisms())
    first, _, last = course.points
    assert first.model != last.model
    assert last.accuracy > first.accuracy + 0.2
    assert last.misrouted < course.points[1].misrouted
    assert course.verdicts[-1]["counts"]["correction"] > 0
    assert last.corrections > 10


async def test_without_learning_the_first_model_stays(stream):
    """Nobody corrects, nothing is trained."""
    course = await replay("small", stream.first(36), 36, Staff(fixes=1.0), mechanisms(learning=False))
    assert {point.model for point in course.points} == {course.points[0].model}
    assert (len(course.verdicts), course.points[-1].corrections) == (1, 0)


@pytest.mark.parametrize(
    ("switches", "rehearsed", "serves"),
    [({}, True, False), ({"rehearsals": False}, False, False), ({"gate": False}, False, True)],
    ids=["everything", "no rehearsals", "no gate"],
)
async def test_a_bad_model_serves_only_without_the_gate(stream, switches, rehearsed, serves):
    """One person passes nearly all messages on wrongly; what the gate says of that model is told in any case."""
    come = [said(KNOWN, label, Random(n)) for n in range(24) for label in KNOWN]
    known = Stream("known", stream.start, come, stream.asked)
    everything = Mechanisms(classifier=QUICKLY, settings=EAGER, caps=False)
    course = await replay("small", known, 72, Staff(poison=0.9, poison_to="nurse"), altered(everything, **switches))
    verdict = course.verdicts[-1]
    assert not verdict["passed"]
    assert ("in a rehearsal" in verdict["sentence"]) == rehearsed
    assert (course.points[1].model != course.points[0].model) == serves


async def test_every_message_of_a_batch_goes_somewhere(stream, tmp_path):
    """To a department or to the fallback, each once; a person's word moves it."""
    async with simulated(tmp_path, stream, mechanisms()) as district:
        routed = await district.route(stream.messages[:12])
        assert {each.department for each in routed} <= {*KNOWN, FALLBACK}
        assert len({each.id for each in routed}) == 12
        other = next(label for label in KNOWN if label != routed[0].department)
        assert await district.correct([(routed[0].id, other, POISONER)]) == 1


def course(*accuracies, per_label=()):
    """Return a run in which each model is right so often, of each label so often."""
    shares = per_label or [{"buses": each} for each in accuracies]
    points = [
        Point(messages=n, misrouted=0.1 if n else None, accuracy=each, per_label=of, model=str(n))
        for n, (each, of) in enumerate(zip(accuracies, shares, strict=True))
    ]
    return Course(name="made up", points=points)


def test_the_worst_loss_of_any_exchange_counts():
    """What is won later doesn't make up for it; a department may lose while the whole wins."""
    of = [{"buses": 0.9, "meals": 0.5}, {"buses": 0.7, "meals": 0.9}, {"buses": 0.9, "meals": 0.9}]
    overall, department, which = poison.losses(course(0.7, 0.8, 0.9, per_label=of))
    assert (overall, round(department, 4), which) == (0.0, 0.2, "buses")
    overall, department, which = poison.losses(course(0.8, 0.75, 0.9))
    assert (round(overall, 4), round(department, 4), which) == (0.05, 0.05, "buses")


def answered(*right):
    """Return a point at which messages about buses and meals in turns were answered so."""
    return Point(messages=1, misrouted=0.1, accuracy=0.5, per_label={"buses": 0.5}, model="m", right=right)


def test_only_the_limits_share_of_poison_with_every_safeguard_is_judged():
    """The other runs show what the safeguards are for; beside a run without poison each tells what the poison cost."""
    points = [altered(answered(True, right), messages=n, model=str(n)) for n, right in enumerate((True, False))]
    asked = [Said("", "where", "buses"), Said("", "what", "meals")]
    made = Course(name="made up", points=points)
    runs = [(share, name, made) for share, name in ((0.0, ""), (0.05, ""), (0.1, ""), (0.05, "without the gate"))]
    figures = list(poison.figures(runs, asked))
    assert [figure.limit is not None for figure in figures] == [False] * 2 + [True] * 2 + [False] * 4
    assert figures[2].detail["lost_by_poison"]["overall"] == [0.0, 0.0, 0.0]
    assert figures[2].detail["lost_on_the_first"]["meals"][0] == 1.0


def test_a_loss_is_counted_on_the_same_messages_with_its_interval():
    """Of 100 messages five are newly wrong and one is newly right: four points, give or take what chance does."""
    labels = np.array(["buses", "meals"] * 50)
    before = answered(*[True] * 99, False)
    after = answered(*[False] * 5, *[True] * 95)
    losses = poison.lost(before, after, labels)
    assert losses["overall"] == [0.04, pytest.approx(-0.007, abs=1e-3), pytest.approx(0.087, abs=1e-3)]
    assert losses["buses"][0] == pytest.approx(3 / 50)
    assert losses["meals"][0] == pytest.approx(1 / 50)


async def test_the_first_messages_may_come_in_halves(stream):
    """Where a model knows little, it is trained more often."""
    course = await replay("small", stream, 36, Staff(), mechanisms(learning=False), halved=36)
    assert [point.messages for point in course.points] == [0, 18, 36, 72]
    assert len(course.points[-1].right) == len(stream.asked)


PAIR = ("buses", "meals")


def sent(label, department, name="M1"):
    """Return a message of one label, and that it went to a department."""
    return Said("", "where is it", label), Routed(name, department)


def test_the_pair_is_the_one_confused_most_often_in_either_direction():
    """What is right doesn't count, nor in which direction a message went wrong."""
    routed = [sent("nurse", "buses"), sent("meals", "buses"), sent("buses", "meals"), *[sent("nurse", "nurse")] * 5]
    assert pair.commonest(routed) == PAIR


def test_only_what_went_to_the_other_of_the_pair_is_corrected():
    """By two people in turns, so that no cap for one holds."""
    routed = [sent("buses", "meals", "M1"), sent("buses", "nurse", "M2"), sent("meals", "buses", "M3")]
    (one, other) = pair.flags(routed, PAIR)
    assert (one[:2], other[:2]) == (("M1", "buses"), ("M3", "meals"))
    assert one[2] != other[2]


def test_what_is_asked_is_never_what_comes(stream):
    """The pair is chosen by what comes, and by nothing else."""
    halves = pair.confused(stream)
    assert len(halves.messages) + len(halves.asked) == len(stream.messages) + len(stream.asked)
    known = pair.else_known(stream, PAIR)
    assert {row.label for row in known.messages} == {*PAIR}
    assert not {id(row) for row in known.asked} & {id(row) for row in (*known.messages, *known.start)}


def test_a_topic_that_moved_is_known_as_it_was(stream):
    """What comes, and what is asked, belongs elsewhere from the first message on."""
    topic = re.compile("soup|salad|bagel|fruit")
    elsewhere = pair.moved(stream, ("nurse", "meals"), topic)
    assert elsewhere.start == stream.start
    labels = {row.label for row in (*elsewhere.messages, *elsewhere.asked) if topic.search(row.text)}
    assert labels == {"nurse"}


def test_the_plot_has_a_panel_for_every_run_beside_the_first(rng):
    """As a file of its own that any browser shows; each panel has its run's line and the first one's."""
    runs = [Course(name=f"run {n}", points=course(*[rng.random() for _ in range(5)]).points) for n in range(5)]
    root = ET.fromstring(plot.misrouted(runs[0], runs[1:], "Misroutes").alone())
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert all(any(text.startswith(f"run {n}: 10.0%") for text in texts) for n in range(5))
    lines = [path.get("class") for path in root.iter("{http://www.w3.org/2000/svg}path")]
    assert (lines.count("series"), lines.count("target")) == (5, 5)


async def test_absent_sets_are_said_to_be_skipped(monkeypatch, tmp_path):
    """A figure without a value, with the reason."""
    monkeypatch.setattr(measure, "DATA", tmp_path)
    [figure] = await measure.few_shots()
    assert isinstance(figure, Figure)
    assert (figure.value, figure.note.startswith("skipped because")) == (None, True)


def test_plots_and_points_are_kept_where_a_folder_is_named(monkeypatch, tmp_path):
    """And nowhere without one."""
    measure._keep("nowhere", [course(0.5, 0.6)], "Misroutes")
    monkeypatch.setenv(measure.OUT, str(tmp_path / "kept"))
    measure._keep("small", [course(0.5, 0.6)], "Misroutes")
    assert sorted(file.name for file in tmp_path.glob("kept/*")) == ["small.json", "small.svg"]
    assert json.loads((tmp_path / "kept" / "small.json").read_text())[0]["points"][1]["accuracy"] == 0.6
