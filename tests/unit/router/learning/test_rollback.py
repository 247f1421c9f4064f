"""What people went back from doesn't come back by itself; but what they have mended does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from router.learning.rollback import FIRM, was_left
from router.learning.train import Trained
from router.learning.verdicts import Verdict
from router.store.models import ROLLED_BACK, ModelRow

SERVES = [f"correction {number}" for number in range(10)]
LEFT = [*SERVES, *(f"correction {number}" for number in range(10, 60))]


def model(words, fingerprint="new", firm="new"):
    return Trained(
        artifact=b"",
        sha256="",
        version="v",
        type="linear",
        fingerprint=fingerprint,
        metrics={"learnt": words, FIRM: firm},
        verdict=Verdict(passed=True, sentence=""),
    )


def row(words=tuple(LEFT), **more):
    return ModelRow(
        version="left",
        type="linear",
        state=ROLLED_BACK,
        created_at=datetime(2026, 3, 2, tzinfo=UTC),
        sha256="",
        **{"fingerprint": "old", "metrics": {"learnt": [*words], FIRM: "old"}, **more},
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (LEFT, True),
        ([*LEFT, "correction 60"], True),
        ([*LEFT, *(f"correction {number}" for number in range(60, 111))], False),
        (LEFT[:-1], False),
        (SERVES, False),
        ([*SERVES, "correction 60"], False),
    ],
    ids=["the same", "one more", "twice as many", "one withdrawn", "none of them", "only others"],
)
def test_a_model_of_mostly_the_same_words_is_the_one_that_was_left(words, expected):
    """A word more makes no other model of it; half of them new, or one of them withdrawn, may."""
    assert was_left(model(words), {"learnt": SERVES}, [row()]) is expected


def test_the_same_data_are_the_same_whatever_words_there_were():
    """With all there is, or but for what nobody flagged."""
    assert was_left(model(SERVES, fingerprint="old"), {"learnt": SERVES}, [row(SERVES)])
    assert was_left(model(SERVES, firm="old"), {"learnt": SERVES}, [row(SERVES)])
    assert not was_left(model(SERVES), {"learnt": SERVES}, [row(SERVES)])


def test_models_of_former_programs_dont_name_their_words():
    """Without that figure only the whole fingerprint tells."""
    former = row(metrics={})
    assert not was_left(model(LEFT), {}, [former])
    assert was_left(model(LEFT, fingerprint="old"), {}, [former])
