"""The learning curve: growing parts of a corpus, each measured alike."""

from __future__ import annotations

from collections import Counter

from classifiers._corpus import Corpus
from classifiers.linear import CLASSIFIER, LinearSettings
from router.learning.curve import learning_curve, some_of
from tests.unit.router.commandline import WORDS, saying


def corpus(rng, count=40):
    """Return a corpus with so many messages about each label, two of a group."""
    rows = (
        {"department": label, "subject": "", "body": saying(label, rng), "group": f"{label}{n // 2}"}
        for label in WORDS
        for n in range(count)
    )
    return Corpus(tuple(rows), "fingerprint")


def test_a_larger_part_holds_the_smaller_one_and_keeps_groups_together(rng):
    """Each department gives its share, and near-duplicates stay on one side."""
    whole = corpus(rng)
    small, large = some_of(whole, 0.25, 0), some_of(whole, 0.5, 0)
    assert Counter(row["department"] for row in small.rows) == dict.fromkeys(WORDS, 10)
    assert {row["body"] for row in small.rows} <= {row["body"] for row in large.rows}
    assert set(Counter(row["group"] for row in large.rows).values()) == {2}
    assert sorted(row["body"] for row in some_of(whole, 1.0, 0).rows) == sorted(row["body"] for row in whole.rows)


def test_every_point_is_a_model_that_learnt_from_so_many_messages(rng):
    """The points say how many messages there were; progress goes up and ends with done."""
    told = []
    asked = corpus(rng, 10)

    def right(classifier):
        inputs = [example.input for example in asked.examples()]
        wanted = [example.department for example in asked.examples()]
        answers = [prediction.ranking[0][0] for prediction in classifier.predict(inputs)]
        return sum(map(str.__eq__, wanted, answers)), len(wanted)

    points = learning_curve(
        CLASSIFIER,
        LinearSettings(augment=False),
        corpus(rng),
        right,
        lambda *said: told.append(said),
        shares=(0.2, 1.0),
    )
    assert [point.messages for point in points] == [24, 120]
    assert points[-1].accuracy > 0.9
    assert all(point.interval[0] <= point.accuracy <= point.interval[1] for point in points)
    assert [share for _what, share in told] == sorted(share for _what, share in told)
    assert told[-1] == ("done", 1.0)
