"""The model's step: one question for a batch, parts included, and what becomes of spam and of two matters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import structlog

from classifiers._text import prepare
from router.interfaces import SystemClock
from router.records import Content, Department, Medium, Message, Prediction, Reason, State
from router.routing.answer import Hold, MarkUrgent, Route
from router.routing.model import Model
from router.routing.policy import Thresholds
from router.routing.route import Router
from router.routing.schools import Schools
from router.routing.spam import Spam, signs, suspicion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.interfaces import ModelInput

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
DESKS = (
    Department(id="office", name="Office"),
    Department(id="buses", name="Buses", covers=("buses",)),
    Department(id="meals", name="Meals", covers=("meals",)),
)
LIMITS = Thresholds(min_confidence=0.9, stranger_score=-1.0)
TWO = "The bus was late. Also, lunch was cold today."


class Keyed:
    """A model that knows two words, and is sure of whatever has one of them alone."""

    version = "keyed"
    labels = ("buses", "meals")

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict(self, inputs: Sequence[ModelInput]) -> list[Prediction]:
        self.asked.append(len(inputs))
        return [self._one(model_input.body.lower()) for model_input in inputs]

    def _one(self, text: str) -> Prediction:
        bus, lunch = "bus" in text, "lunch" in text
        score = -2.0 if "casino" in text else -0.5 if not (bus or lunch) else 1.0
        first, second = ("buses", "meals") if bus or not lunch else ("meals", "buses")
        sure = 0.95 if bus != lunch else 0.6 if bus else 0.1
        return Prediction(ranking=((first, 0.7), (second, 0.3)), score=score, model="keyed", confidence=sure)

    def explain(self, model_input: ModelInput, label: str, most: int = 12) -> list[tuple[str, float]]:
        return []


def message(text: str, number: int = 1, **more: object) -> Message:
    plain = Message(id=f"M{number}", channel="c", medium=Medium.EMAIL, received_at=NOW, content=Content(text=text))
    return replace(plain, **more)


def step(model: Keyed, split: str = "first", spam: str = "fallback") -> Model:
    where = Spam(fallback="office", where=spam)
    return Model(lambda: (model, LIMITS), prepare, DESKS, where, structlog.get_logger(), split=split)  # type: ignore[arg-type]


async def decided(text: str, **settings: str) -> Route | Hold:
    [answer] = await step(Keyed(), **settings).decide([message(text)])
    assert isinstance(answer, Route | Hold)
    return answer


async def test_messages_and_their_parts_are_one_question() -> None:
    """A batch with a message in two parts is asked about at once, and every message gets its own answer."""
    model = Keyed()
    texts = ("the bus is late", TWO, "lunch money")
    answers = await step(model).decide([message(text, number) for number, text in enumerate(texts)])
    assert model.asked == [5]
    assert [answer.department for answer in answers if isinstance(answer, Route)] == ["buses", "buses", "meals"]


@pytest.mark.parametrize(
    ("mode", "department", "also"), [("first", "buses", ()), ("both", "buses", ("meals",)), ("fallback", "office", ())]
)
async def test_two_matters_go_where_the_setting_says(mode: str, department: str, also: tuple[str, ...]) -> None:
    """To the first one's department, to both, or to the fallback; as a whole the model wouldn't have been sure."""
    route = await decided(TWO, split=mode)
    assert isinstance(route, Route)
    assert (route.department, route.also) == (department, also)
    assert route.suggestions[:2] == ("buses", "meals")
    assert route.reason == (Reason.ABSTAINED if mode == "fallback" else Reason.MODEL)


@pytest.mark.parametrize(("spam", "department"), [("fallback", "office"), ("meals", "meals")])
async def test_what_the_model_takes_for_spam_goes_where_it_should(spam: str, department: str) -> None:
    """Marked, with its reason; never nowhere."""
    route = await decided("win a lot at our casino", spam=spam)
    assert isinstance(route, Route)
    assert (route.department, route.reason) == (department, Reason.ABSTAINED)
    assert route.detail == "suspicious: it is unlike anything that a department deals with"
    assert route.prediction is not None
    assert route.suggestions == ("buses", "meals")  # it may be a family's all the same


async def test_spam_in_parts_is_spam() -> None:
    """An advertisement that names two departments' things and says "also" is looked at as a whole first."""
    route = await decided("Our casino has a bus for your guests. Also, lunch is free on the house today.")
    assert isinstance(route, Route)
    assert (route.department, route.reason) == ("office", Reason.ABSTAINED)
    assert route.detail == "suspicious: it is unlike anything that a department deals with"


async def test_a_handful_of_words_is_nobodys_spam() -> None:
    """A stray "hello" is left to a person without a warning, and is never held; a sign of spam counts all the same."""
    said = Prediction(ranking=(("buses", 0.7), ("meals", 0.3)), score=-5.0, confidence=0.1)
    assert suspicion(Content(text="hello? ok thanks"), said, -1.0) == ""
    assert suspicion(Content(subject="hello there", text="are you in today"), said, -1.0)
    assert suspicion(Content(text="cheap backlinks"), said, -1.0) == "it says “backlinks”"


async def test_spam_may_be_held_for_a_person() -> None:
    """Unless a person let it go already."""
    assert await decided("win a lot at our casino", spam="hold") == Hold(
        "suspicious: it is unlike anything that a department deals with", unless_urgent=True
    )
    [released] = await step(Keyed(), spam="hold").decide([message("win a lot at our casino", released=True)])
    assert isinstance(released, Route)
    assert released.department == "office"


async def test_a_sign_of_spam_counts_only_where_the_model_doubts() -> None:
    """A link alone proves nothing: families send them, too."""
    doubted = await decided("look https://bit.ly/abc")
    assert isinstance(doubted, Route)
    assert doubted.detail == "suspicious: it has a link that hides where it leads"
    known = await decided("the bus map is at https://bit.ly/abc")
    assert isinstance(known, Route)
    assert known.department == "buses"
    plain = await decided("hello there")
    assert isinstance(plain, Route)
    assert not plain.detail.startswith("suspicious")


class Alarm:
    """A step that takes everything for urgent."""

    name = "urgent"

    async def decide(self, batch: Sequence[Message]) -> list[MarkUrgent]:
        return [MarkUrgent("a gun") for _ in batch]


@pytest.mark.parametrize("urgent", [True, False])
async def test_an_urgent_message_is_never_held_as_spam(urgent: bool) -> None:
    """It goes to the fallback, marked, and people are told of it; only what isn't urgent waits."""
    steps = (*((Alarm(),) if urgent else ()), step(Keyed(), spam="hold"))
    router = Router(
        steps, fallback="office", schools=Schools(()), observe=False, clock=SystemClock(), log=structlog.get_logger()
    )
    [verdict] = await router.decide([message("win a lot at our casino")])
    if not urgent:
        assert (verdict.state, verdict.decision) == (State.HELD, None)
        return
    assert verdict.decision is not None
    assert (verdict.state, verdict.decision.department, verdict.urgent) == (State.ROUTED, "office", "a gun")
    assert verdict.decision.suspicion == "it is unlike anything that a department deals with"


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("https://a.example/1 https://a.example/2", "it is mostly links"),
        ("see http://203.0.113.9/login", "it has a link that hides where it leads"),
        ("Grow your traffic with BACKLINKS", "it says “backlinks”"),
        ("Your mailbox has been suspended", "it says “your mailbox has been suspended”"),
        ("Haz clic para darte de baja", "it offers to unsubscribe"),
        ("reply STOP to end", "it offers to unsubscribe"),
    ],
)
def test_signs_of_spam(text: str, sign: str) -> None:
    """Each with its reason in words."""
    assert sign in signs(Content(text=text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The bus stop on Oak Street is icy, please look: https://photos.example/1",
        "He was selected for the team and won the first game",
        "Can he be escorted to the nurse? The W-9 is at https://forms.example/w9 for the office, thank you very much",
        "¿Cómo me doy de alta en el portal?",
    ],
)
def test_families_words_are_no_signs(text: str) -> None:
    """A link, a win, an account: ordinary."""
    assert list(signs(Content(text=text))) == []
