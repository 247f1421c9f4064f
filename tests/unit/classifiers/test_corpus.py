"""Reading the corpus: rows, fingerprint, and faults named by file and line."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

import pytest

from classifiers._augment import in_text_style, with_typos
from classifiers._corpus import HARD_WEIGHT, OUT_OF_SCOPE, example, load_corpus
from router.errors import SignpostError
from router.interfaces import ModelInput

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, name: str, *rows: object) -> None:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / name).write_text("\n".join(lines) + "\n")


def test_rows_become_examples_and_out_of_scope_inputs(tmp_path: Path) -> None:
    """Labelled rows are examples; rows of no department are inputs that should be abstained on."""
    write(tmp_path, "bus.jsonl", {"department": "bus", "subject": None, "body": "Where\u2028is it?", "group": "g"}, "")
    write(tmp_path, "out_of_scope_a.jsonl", {"department": OUT_OF_SCOPE, "subject": "Buy", "body": "now"})
    corpus = load_corpus(tmp_path)
    (example,) = corpus.examples()
    assert (example.department, example.input.body, example.group) == ("bus", "Where\nis it?", "g")
    assert [(row.subject, row.body) for row in corpus.out_of_scope()] == [("Buy", "now")]


def test_plain_rows_are_as_typical_as_most_mail(tmp_path: Path) -> None:
    """However many there are, they make up two thirds of what thresholds are found on; hard rows hardly count."""
    tags = [["plain"], [], [], ["hard"], ["hard", "two_topics"]]
    write(tmp_path, "bus.jsonl", *({"department": "bus", "body": str(n), "tags": each} for n, each in enumerate(tags)))
    write(tmp_path, "other.jsonl", {"department": OUT_OF_SCOPE, "body": "buy", "tags": ["hard"]})
    corpus = load_corpus(tmp_path)
    plain, *others = [row.typical for row in corpus.examples()]
    assert plain / (plain + sum(others)) == pytest.approx(2 / 3)
    assert others == [1.0, 1.0, HARD_WEIGHT, HARD_WEIGHT]
    assert {row.weight for row in corpus.examples()} == {1.0}  # all are learnt from alike
    assert example(corpus.rows[-1]).typical == HARD_WEIGHT


def test_the_fingerprint_names_the_content(tmp_path: Path) -> None:
    """The same rows have the same fingerprint, and one more letter another one."""
    write(tmp_path, "a.jsonl", {"department": "bus", "body": "one"})
    first = load_corpus(tmp_path).fingerprint
    assert load_corpus(tmp_path).fingerprint == first
    assert len(first) == 64
    write(tmp_path, "a.jsonl", {"department": "bus", "body": "ones"})
    assert load_corpus(tmp_path).fingerprint != first


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", r"x\.jsonl:2: this line isn't JSON"),
        ("[]", r"x\.jsonl:2: a row needs a department"),
        ('{"body": "x"}', r"x\.jsonl:2: a row needs a department"),
        ('{"department": "", "body": "x"}', r"x\.jsonl:2: a row needs a department"),
    ],
)
def test_a_faulty_row_is_named_by_file_and_line(tmp_path: Path, line: str, reason: str) -> None:
    """What can't be read says where it stands."""
    write(tmp_path, "x.jsonl", {"department": "bus", "body": "fine"}, line)
    with pytest.raises(SignpostError, match=reason):
        load_corpus(tmp_path)


def test_the_bundled_corpus_can_be_read() -> None:
    """Every bundled row has a department and words."""
    rows = load_corpus().rows
    assert rows
    assert all(row["body"].strip() or row["subject"] for row in rows)


def copied(copy: object, seed: int) -> ModelInput:
    text = "Please tell the teacher that my daughter will be absent tomorrow because of an appointment. " * 3
    return copy(ModelInput(subject="Absent tomorrow", body=text, language="en"), Random(seed))  # type: ignore[operator] either copier


@pytest.mark.parametrize("copy", [with_typos, in_text_style])
def test_noisy_copies_differ_and_repeat_by_seed(copy: object) -> None:
    """A copy is another text of about the same length, the same for the same seed, and keeps the other fields."""
    one = copied(copy, 1)
    assert one == copied(copy, 1) != copied(copy, 2)
    assert 150 < len(one.body) < 300
    assert one.language == "en"


def test_text_style_abbreviates() -> None:
    """Words that people shorten are shortened, in English and Spanish."""
    style = in_text_style(ModelInput(subject="", body="Thanks, you are great! ¿Por favor?"), Random(0))
    assert style.body == "thx u r gr8 x fa"
