"""A rehearsal: where few messages are held out, what is known is asked, of models that didn't see it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from classifiers._artifact import unpack
from router.interfaces import Example, ModelInput
from router.learning.dataset import build, is_held_out
from router.learning.gate import FEW, Answered, compare, is_open
from router.learning.lessons import CORRECTION, SILENCE, TACIT
from router.learning.rehearsal import PARTS, Rehearsed, as_before, rehearse
from router.learning.train import _known_before, train
from router.learning.verdicts import FAILED, PASSED
from router.records import Department, Prediction
from tests.unit.router.learning.conftest import WORDS

DEPARTMENTS = tuple(Department(id=label, name=label, covers=(label,)) for label in WORDS)


def answers(held_out, wrong=()):
    said = [
        Prediction(ranking=(("other" if number in set(wrong) else row.department, 0.9), ("rest", 0.1)), score=1.0)
        for number, row in enumerate(held_out)
    ]
    return Answered(held_out=said)


def rows(n):
    return [Example(input=ModelInput(subject="", body=""), department=f"d{number % 20}") for number in range(n)]


def rehearsed(n, better=0, worse=0):
    """Return what so many messages said: most are right before and now."""
    before, after = np.ones(n, dtype=bool), np.ones(n, dtype=bool)
    before[:better], after[better : better + worse] = False, False
    return Rehearsed(right=(before, after), not_misrouted=(before, after))


HELD_OUT = rows(200)
CHAMPION, CHALLENGER = answers(HELD_OUT, wrong=range(30)), answers(HELD_OUT, wrong=range(6, 36))
"""As good: six messages better, six worse, which may be chance, of a loss of two points, too."""


def test_few_held_out_messages_refused_models_that_are_as_good():
    """Only the bound speaks against it: that is worth a rehearsal, and one that agrees lets it pass."""
    alone = compare(CHAMPION, CHALLENGER, HELD_OUT)
    assert not alone.passed
    assert is_open(alone)
    judged = compare(CHAMPION, CHALLENGER, HELD_OUT, rehearsed=rehearsed(1000, better=8, worse=6))
    assert judged.passed
    assert "of 1200 messages (200 held out, the others in a rehearsal)" in judged.sentence
    assert judged.checks[0].n == 1200


def test_a_rehearsal_that_went_worse_is_no_help():
    """The bound is that of all messages together."""
    judged = compare(CHAMPION, CHALLENGER, HELD_OUT, rehearsed=rehearsed(1000, better=6, worse=30))
    assert [check.what for check in judged.checks if check.outcome == FAILED] == [
        "accuracy",
        "messages sent to the wrong department",
    ]


def test_a_rehearsal_cannot_outvote_what_is_held_out():
    """However well it went: these are the two models themselves."""
    worse = answers(HELD_OUT, wrong=range(4, 38))
    judged = compare(CHAMPION, worse, HELD_OUT, rehearsed=rehearsed(1000, better=100))
    failed = [check for check in judged.checks if check.outcome == FAILED]
    assert [check.what for check in failed] == [
        "accuracy, of what is held out",
        "messages sent to the wrong department, of what is held out",
    ]
    assert "accuracy, of what is held out falls from 85.0% to 83.0%" in judged.sentence
    assert not is_open(compare(CHAMPION, worse, HELD_OUT))


def test_enough_held_out_messages_need_no_rehearsal():
    """What they say is said."""
    held_out = rows(FEW)
    champion, challenger = answers(held_out, wrong=range(90)), answers(held_out, wrong=range(40, 130))
    verdict = compare(champion, challenger, held_out)
    assert verdict.checks[0].outcome == FAILED
    assert not is_open(verdict)


def test_a_model_that_passes_needs_none():
    """Nor does one that is refused for something else."""
    same = compare(CHAMPION, CHAMPION, HELD_OUT)
    assert same.checks[0].outcome == PASSED
    assert not is_open(same)


@pytest.fixture
def datasets(corpus, store_row, about):
    """What was known before and what is known now, with a correction and a message that nobody flagged."""
    silent = store_row("S", "buses", about("buses", 900), {"source": SILENCE, "weight": 0.2, "key": ""})
    new = [store_row(f"N{n}", "nurse", about("nurse", 800 + n), {"key": f"correction {n}"}) for n in range(9)]
    put = partial(build, corpus=corpus, departments=DEPARTMENTS, fallback="office")
    return put(lessons=[silent]), put(lessons=[silent, *new])


def test_each_message_that_both_know_is_asked_once_of_models_that_did_not_see_it(datasets):
    """Neither what is held out, nor what is new, nor what only silence says."""
    trained, asked = [], []

    def ask(examples, _strangers, about_):
        trained.append({row.input.body for row in examples})
        asked.append([row.input.body for row in about_])
        assert not trained[-1] & set(asked[-1])
        return answers(about_)

    told = rehearse(*datasets, ask, lambda *_: None)
    assert len(asked) == 2 * PARTS
    once = [body for part in asked[::2] for body in part]
    assert asked[::2] == asked[1::2]
    known = [row for row in datasets[0].examples if not is_held_out(row) and row.source != SILENCE]
    assert sorted(once) == sorted(row.input.body for row in known)
    assert [len(each) for each in (*told.right, *told.not_misrouted)] == [len(known)] * 4


class Differing:
    """A model that answers like another, but for some texts."""

    def __init__(self, model, instead):
        self._model, self._instead = model, instead

    def __getattr__(self, name):
        return getattr(self._model, name)

    def predict(self, inputs):
        return [
            replace(said, ranking=((self._instead[row.body], 0.9), ("rest", 0.1)))
            if row.body in self._instead
            else said
            for row, said in zip(inputs, self._model.predict(inputs), strict=True)
        ]


def test_training_rehearses_where_the_gate_lacks_messages(linear, settings, large_corpus, steps):
    """The real training: of the few held-out messages five got worse and five better."""
    held_out = [row.input.body for row in build(corpus=large_corpus).examples if is_held_out(row)]
    odd, common = set(held_out[:5]), set(held_out[-5:])
    wrongly = {"buses": "meals", "meals": "nurse", "nurse": "buses"}
    mislabelled = (
        row | {"department": wrongly[row["department"]]} if row["body"] in odd else row for row in large_corpus.rows
    )
    corpus = replace(large_corpus, rows=tuple(mislabelled))
    put = partial(train, linear, settings, DEPARTMENTS, "office", corpus=corpus, target_error=0.5)
    artifact = unpack(put(progress=steps).artifact)
    known = {row.input.body: row.department for row in build(corpus=corpus).examples}
    instead = {text: known[text] for text in odd} | {text: wrongly[known[text]] for text in common}
    champion = Differing(linear.load(artifact), instead), artifact.meta
    made = put(champion=champion, progress=steps)
    assert any("rehearsing" in what for what, _share in steps.told)
    assert made.verdict.passed
    assert made.verdict.checks[0].n > made.verdict.checks[1].n == len(held_out)


def test_silence_that_the_champion_had_not_learnt_from_is_new(datasets):
    """Of messages that nobody flagged the champion knew so many as it counted: the oldest."""
    before, _now = datasets
    assert as_before(before, 1) == before
    assert [row.source for row in as_before(before, 0).examples].count(SILENCE) == 0


@pytest.mark.parametrize("how", [{"key": "tacit 7"}, {"key": ""}], ids=["with its key", "without one"])
def test_what_only_time_confirmed_since_counted_as_known(corpus, store_row, about, how):
    """A tacit correction that the champion hasn't learnt is new, as a person's is; of silence it has learnt so much."""
    put = partial(build, corpus=corpus, departments=DEPARTMENTS, fallback="office")
    tacit = store_row("T", "nurse", about("nurse", 700), {"source": TACIT, "weight": 0.3, **how})
    old = store_row("O", "nurse", about("nurse", 701), {"source": CORRECTION, "key": "correction 3"})
    silent = store_row("S", "buses", about("buses", 702), {"source": SILENCE, "weight": 0.2, "key": ""})
    meta = {"learnt": ["correction 3"], "counts": {SILENCE: 1}}
    before = _known_before((None, meta), [tacit, old, silent], put)
    assert {row.source for row in before.examples} == {"corpus", CORRECTION, SILENCE}
