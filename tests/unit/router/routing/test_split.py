"""Messages with two matters: where they are cut, which parts count, and where they go."""

from __future__ import annotations

import pytest

from router.interfaces import ModelInput
from router.records import Department, Prediction
from router.routing.policy import Choice, Thresholds, choose
from router.routing.split import RECOGNISED, Matter, matters, parts, settle

DESKS = tuple(Department(id=name, name=name, covers=(name,)) for name in ("buses", "meals", "nurse"))
LIMITS = Thresholds(min_confidence=0.9)


def said(body: str) -> list[str]:
    return [part.body for part in parts(ModelInput(subject="Two things", body=body))]


def predicted(label: str, confidence: float | None) -> Prediction:
    others = [name for name in ("buses", "meals", "nurse") if name != label]
    return Prediction(ranking=((label, 0.8), (others[0], 0.15), (others[1], 0.05)), score=1.0, confidence=confidence)


@pytest.mark.parametrize(
    "body",
    [
        "The bus was late again. Also, her lunch account was charged twice.",
        "1) the bus was late again 2) her lunch account was charged twice",
        "The bus was late again.\nSecondly her lunch account was charged twice.",
        "the bus was late again. while i have you, her lunch account was charged twice",
        "The bus was late again. One more thing: her lunch account was charged twice.",
        "The bus was late again (unrelated, her lunch account was charged twice)",
        "El bus llegó tarde. Además le cobraron dos veces el almuerzo.",
        "El bus llegó tarde otra vez. Y ya de paso, le cobraron dos veces el almuerzo.",
        "El bus llegó tarde otra vez; otra cosa, le cobraron dos veces el almuerzo",
        "Primero, el bus llegó tarde. Segundo, le cobraron dos veces el almuerzo.",
    ],
)
def test_a_writer_who_turns_to_something_else_says_so(body: str) -> None:
    """Numbers and words that begin anew cut a message in two, in English and Spanish."""
    found = said(body)
    assert len(found) == 2
    assert ("bus" in found[0], "bus" in found[1]) == (True, False)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Also, thanks.",
        "The bus was late, so she missed breakfast and the nurse sent her home. Please excuse her.",
        "She was also late on Monday because the second bus didn't come.",
        "We moved to 2. Street, apartment 1, and the other school said you would know.",
        "También vino su hermano.",
    ],
)
def test_a_story_is_not_a_second_matter(body: str) -> None:
    """Other departments' words, and such words in the middle of a sentence, cut nothing."""
    assert said(body) == []


def test_what_the_writer_calls_the_main_matter_comes_first() -> None:
    """Wherever it stands; without such a word the order is the text's."""
    small_first = (
        "Small: could the snack be another one? Other thing, and the more urgent one: the bus left without her."
    )
    assert said(small_first)[0].startswith("Other thing")
    assert said("The bus was late again. Also, the snack was cold.")[0].startswith("The bus")


def test_time_is_bounded_whatever_comes() -> None:
    """Only the beginning is cut, into four parts at most."""
    assert len(said("Also one two three. " * 50_000)) == 4


def test_two_departments_make_two_matters() -> None:
    """Each with its own confidence, once; one that isn't recognised doesn't count."""
    answers = [predicted("buses", 0.95), predicted("meals", 0.8), predicted("buses", 0.75), predicted("nurse", 0.5)]
    found = matters(answers, DESKS, LIMITS)
    assert [(each.department, each.confidence, each.sure) for each in found] == [
        ("buses", 0.95, True),
        ("meals", 0.8, False),
    ]
    assert matters([predicted("buses", 0.95), predicted("buses", 0.9)], DESKS, LIMITS) == ()
    assert matters([predicted("buses", 0.95), predicted("meals", RECOGNISED - 0.01)], DESKS, LIMITS) == ()


def test_what_stands_beside_an_unknown_main_matter_does_not_decide() -> None:
    """The first part isn't recognised: a person decides unless the whole is sure, and the others are suggested."""
    answers = [predicted("nurse", RECOGNISED - 0.06), predicted("buses", 0.95), predicted("meals", 0.95)]
    found = matters(answers, DESKS, LIMITS)
    assert [(each.department, each.sure) for each in found] == [("buses", False), ("meals", False)]
    settled = settle(whole("nurse", 0.64), found, "first")
    assert (settled.department, settled.suggestions) == (None, ("buses", "meals", "nurse"))
    assert settle(whole("nurse", 0.95), found, "first").department == "nurse"


@pytest.mark.parametrize(
    "body",
    [
        "Hi, I have two questions: 1) the bus was late again 2) her lunch account was charged twice",
        "Buenas tardes, tengo dos preguntas.\n1. El bus llegó tarde otra vez.\n2. Le cobraron dos veces el almuerzo.",
    ],
)
def test_the_announcement_of_several_matters_is_none(body: str) -> None:
    """The first of them is the main one then; a sentence that says more than that stays a part."""
    assert ["bus" in part for part in said(body)] == [True, False]
    more = "He is treated badly by the aide, in two matters. 1) the bus was late 2) lunch was charged twice"
    assert len(said(f"{more}.")) == 3


def test_a_model_that_does_not_know_how_sure_it_is_splits_nothing() -> None:
    """A share among labels isn't a confidence: of a few words it says nothing."""
    assert matters([predicted("buses", None), predicted("meals", None)], DESKS, Thresholds()) == ()


MAIN, SECOND = (
    Matter(department="buses", confidence=0.95, sure=True),
    Matter(department="meals", confidence=0.8, sure=False),
)


def whole(label: str, confidence: float) -> Choice:
    return choose(predicted(label, confidence), DESKS, LIMITS)


def test_first_sends_it_to_the_main_matter_and_names_the_other() -> None:
    """Also where the message as a whole speaks for the other, or isn't sure."""
    for choice in (whole("buses", 0.99), whole("meals", 0.99), whole("nurse", 0.4)):
        settled = settle(choice, (MAIN, SECOND), "first")
        assert (settled.department, settled.also, settled.confidence) == ("buses", (), 0.95)
        assert settled.suggestions[:2] == ("buses", "meals")
        assert "also about meals" in settled.why


def test_both_sends_it_to_each() -> None:
    """The second department gets it too."""
    settled = settle(whole("buses", 0.99), (MAIN, SECOND), "both")
    assert (settled.department, settled.also) == ("buses", ("meals",))
    other = settle(whole("meals", 0.99), (Matter(department="buses", confidence=0.8, sure=False), SECOND), "both")
    assert (other.department, other.also) == ("meals", ("buses",))


def test_fallback_leaves_it_to_a_person() -> None:
    """Both departments are one click away."""
    settled = settle(whole("buses", 0.99), (MAIN, SECOND), "fallback")
    assert (settled.department, settled.also, settled.suggestions[:2]) == (None, (), ("buses", "meals"))
    assert settled.why == "it has two matters: buses and meals"


@pytest.mark.parametrize("mode", ["both", "first"])
def test_what_is_not_sure_enough_alone_does_not_become_so_in_pieces(mode: str) -> None:
    """Neither the main part nor the whole is sure: a person decides, and both are suggested."""
    unsure = (Matter(department="buses", confidence=0.8, sure=False), SECOND)
    settled = settle(whole("buses", 0.6), unsure, mode)  # type: ignore[arg-type]
    assert (settled.department, settled.also, settled.suggestions[:2]) == (None, (), ("buses", "meals"))


def test_a_whole_that_speaks_for_a_third_department_stands() -> None:
    """What its parts say isn't trusted then."""
    unsure = (Matter(department="buses", confidence=0.8, sure=False), SECOND)
    assert settle(whole("nurse", 0.99), unsure, "both") == whole("nurse", 0.99)
