"""The data set: what becomes a label, what is left out, and which rows no model ever trains on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers._corpus import OUT_OF_SCOPE, Corpus
from router.errors import SignpostError
from router.interfaces import Example, ModelInput
from router.learning.dataset import build, fingerprint, is_held_out, split
from router.learning.duplicates import grouped
from router.learning.files import FileRow
from router.learning.lessons import CORRECTION_WEIGHT, SILENCE, TACIT
from router.records import Department, Prediction

DEPARTMENTS = (
    Department(id="office", name="Office"),
    Department(id="buses", name="Buses", covers=("buses",)),
    Department(id="care", name="Care", covers=("meals", "nurse")),
    Department(id="lost-property", name="Lost property"),
)


def nurse_first(inputs):
    return [Prediction(ranking=(("buses", 0.5), ("nurse", 0.3), ("meals", 0.2)), score=1.0) for _ in inputs]


def learn(lessons=(), **more):
    return build(lessons=lessons, departments=DEPARTMENTS, fallback="office", **more)


def row(body: str, department: str = "buses", **more) -> Example:
    return Example(input=ModelInput(subject="", body=body), department=department, **more)


def file_row(department: str, body: str = "where is it") -> FileRow:
    return FileRow(where="rows.jsonl:1", department=department, input=ModelInput(subject="", body=body))


def test_a_confirmed_correction_weighs_more_and_goes_through_the_models_text_preparation(store_row):
    """What counts is what the family wrote, not the quote below it."""
    text = "The bus never came today\n\nOn Mon, Jan 5, 2026 at 9:00 AM Ana <ana@example.org> wrote:\n> lunch menu"
    (example,) = learn([store_row("M1", "buses", text, language="en")]).examples
    assert (example.department, example.weight, example.source) == ("buses", CORRECTION_WEIGHT, "correction")
    assert (example.input.body, example.input.language, example.input.medium) == (
        "The bus never came today",
        "en",
        "sms",
    )


@pytest.mark.parametrize(("department", "counts"), [("buses", True), ("care", False)])
def test_silence_of_which_no_model_was_sure_needs_the_model_that_serves_to_say_the_same(store_row, department, counts):
    """It must choose that label, and be at least as sure of it as of all others together."""
    silence = {"source": SILENCE, "weight": 0.2, "unsure": True}
    lesson = store_row("M1", department, "what is for lunch", silence)
    assert len(learn([lesson], rank=nurse_first).examples) == counts
    assert learn([lesson]).examples == ()


def test_a_department_of_several_labels_teaches_the_one_the_champion_ranks_first(store_row):
    """Only covered labels count, whatever else the champion thinks."""
    (example,) = learn([store_row("M1", "care", "he feels sick")], rank=nurse_first).examples
    assert example.department == "nurse"


@pytest.mark.parametrize(
    ("to", "text", "why"),
    [
        ("care", "he feels sick", "covers several labels"),
        ("closed", "where is it", "no longer in the configuration"),
        ("buses", "  ", "holds no text"),
    ],
)
def test_a_correction_that_teaches_nothing_is_counted(store_row, to, text, why):
    """Left out, with the reason, instead of guessed."""
    dataset = learn([store_row("M1", to, text)])
    assert not dataset.examples
    assert [why in reason for reason in dataset.left_out] == [True]


@pytest.mark.parametrize("to", ["office", "lost-property"])
def test_a_correction_to_the_fallback_says_that_no_label_fits(store_row, to):
    """The same for a department that covers nothing."""
    dataset = learn([store_row("M1", to, "may I rent the moon")])
    assert not dataset.examples
    assert [example.department for example in dataset.out_of_scope] == [OUT_OF_SCOPE]


@pytest.mark.parametrize("source", [TACIT, SILENCE])
def test_a_weak_label_is_no_examination(store_row, about, source):
    """What the model itself put there is trained on or left out, but never held out, nor does it move thresholds."""
    weak = {"source": source, "weight": 0.2, "key": ""}
    lessons = [store_row(f"M{n}", "buses", f"{about('buses', n)} {about('meals', n)}", weak) for n in range(200)]
    examples = learn(lessons).examples
    training, held_out = split(examples)
    assert len(examples) == 200
    assert len(training) == 200 - sum(map(is_held_out, examples)) < 200
    assert held_out == []
    assert {example.typical for example in training} == {0.001}


def test_a_weak_label_overrules_nothing(store_row):
    """The corpus stands where only silence says otherwise, and a person's word is kept instead of the same by time."""
    corpus = Corpus(({"department": "meals", "body": "it was cold again"},), "f")
    weak = {"source": TACIT, "weight": 0.3}
    by_time = [store_row("M1", "buses", "it was cold again", weak), store_row("M2", "buses", "no seat", weak)]
    dataset = learn([*by_time, store_row("M2", "buses", "no seat")], corpus=corpus)
    kept = {(e.department, e.input.body, e.weight) for e in dataset.examples}
    assert kept == {("meals", "it was cold again", 1.0), ("buses", "no seat", CORRECTION_WEIGHT)}


def test_silence_teaches_the_label_that_the_model_gave(store_row):
    """Of a department with several labels the model's own stands."""
    silence = {"source": SILENCE, "label": "meals", "weight": 0.2}
    (example,) = learn([store_row("M1", "care", "what is for lunch", silence)]).examples
    assert (example.department, example.weight) == ("meals", 0.2)


def test_a_correction_overrules_the_same_text_elsewhere_and_contradictions_teach_nothing(store_row):
    """People who looked at the message know better than the corpus; two who disagree don't."""
    corpus = Corpus(({"department": "meals", "body": "it was cold again"}, {"department": "meals", "body": "yum"}), "f")
    dataset = learn(
        [
            store_row("M1", "buses", "It was cold again"),
            store_row("M2", "buses", "help"),
            store_row("M3", "office", "help"),
        ],
        corpus=corpus,
    )
    assert sorted((e.department, e.input.body) for e in dataset.examples) == [
        ("buses", "It was cold again"),
        ("meals", "yum"),
    ]
    assert sum(dataset.left_out.values()) == 3


def test_a_hundred_copies_of_one_text_count_once(store_row, about):
    """A mass mailing that people corrected a hundred times is still one lesson."""
    dataset = learn([store_row(f"M{n}", "buses", about("buses")) for n in range(100)])
    assert len(dataset.examples) == 1
    assert dataset.left_out == {"the same text is there already": 99}


def test_urgency_was_forgotten_with_a_copy(store_row):
    """Of two copies one is kept, with what was said of either."""
    copies = [store_row("M1", "buses", "help"), store_row("M2", "buses", "help", {"urgent": True, "alarmed": True})]
    (example,) = learn(copies).examples
    assert (example.urgent, example.alarmed) == (True, True)
    (example,) = learn([store_row("M1", "buses", "help", {"alarmed": True}), copies[0]]).examples
    assert (example.urgent, example.alarmed) == (None, True)


def test_files_may_name_a_label_or_a_department():
    """A covered label stands for itself, the fallback for no label, and the corpus's labels are known, too."""
    corpus = Corpus(({"department": "sports", "body": "who won"},), "f")
    names = ["meals", "office", "sports", "out_of_scope"]
    dataset = learn(files=[file_row(name, f"text {name}") for name in names], corpus=corpus)
    assert [example.department for example in dataset.examples] == ["sports", "meals", "sports"]
    assert len(dataset.out_of_scope) == 2
    assert dataset.counts == {"corpus": 1, "file": 4}


def test_a_name_that_is_neither_is_refused_with_a_suggestion():
    """A typing error in a file doesn't become a label."""
    with pytest.raises(
        SignpostError, match=r"rows.jsonl:1: there is no department or label 'busses'; did you mean buses\?"
    ):
        learn(files=[file_row("busses")])
    assert build(files=[file_row("busses")], any_label=True).examples[0].department == "busses"


def test_near_duplicates_share_a_group():
    """Punctuation, case and digits don't matter, nor what follows the first two hundred characters."""
    letter = "this is the form letter that every family of the second grade sends to the office in spring " * 3
    rows = grouped(
        [row("Bus 12 was late!"), row("bus 47 was LATE"), row(letter + "Ana"), row(letter + "Bo"), row("else")]
    )
    groups = [example.group for example in rows]
    assert groups[0] == groups[1]
    assert groups[2] == groups[3]
    assert len(set(groups)) == 3


def test_rows_that_name_one_group_share_it_and_draw_their_near_duplicates_in():
    """Named groups and equal texts join into one."""
    rows = grouped([row("one", group="g"), row("two", group="g"), row("two", department="meals"), row("three")])
    assert len({example.group for example in rows[:3]}) == 1
    assert rows[3].group != rows[0].group


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=30), st.text(min_size=1))
def test_a_row_stays_on_its_side_whatever_else_is_in_the_set(texts, body):
    """The split is a property of the text: what was held out once is held out for good."""
    alone = is_held_out(grouped([row(body)])[0])
    among = grouped([*map(row, texts), row(body, department="meals")])
    assert is_held_out(among[-1]) is alone


def test_about_fifteen_percent_are_held_out_and_no_group_is_on_both_sides(about):
    """2,000 different texts: 11 to 19 % on the side that nobody trains on."""
    rows = grouped([row(f"{about('buses', n)} {about('meals', n)}") for n in range(2000)])
    training, held_out = split(rows)
    assert len(training) + len(held_out) == 2000
    assert 0.11 < len(held_out) / 2000 < 0.19
    assert not {example.group for example in training} & {example.group for example in held_out}


def test_the_fingerprint_names_the_content_and_not_its_order():
    """The same rows give the same fingerprint; another label, weight or word another one."""
    rows = [row("one"), row("two", "meals")]
    assert fingerprint(rows) == fingerprint(rows[::-1])
    others = [replace(rows[0], department="nurse"), replace(rows[0], weight=2.0), row("One")]
    assert len({fingerprint(rows), *(fingerprint([other, rows[1]]) for other in others)}) == 4


def test_new_rows_come_after_the_corpus_and_leave_its_order(store_row, corpus):
    """What a classifier draws by chance for the corpus's rows stays the same when a correction is added."""
    before = build(corpus=corpus).examples
    after = learn([store_row("M1", "buses", "a new message about something")], corpus=corpus).examples
    assert after[: len(before)] == before
    assert after[-1].source == "correction"
