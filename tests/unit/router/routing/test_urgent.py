"""The urgent step: what is an alarm, what only sounds like one, and what hostile text costs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.records import Content, Medium, Message
from router.routing.answer import MarkUrgent
from router.routing.phrases import MAX_TEXT, Phrases
from router.routing.urgent import Urgent, urgent_reason

if TYPE_CHECKING:
    import random

ALARMS = {
    "child missing": [
        "its 430 and my son hasnt come home from school",
        "Bus 12 came and went, she never got off the bus. She is 6.",
        "My daughter did not come home today and is not answering",
        "WHERE IS MY SON",
        "nobody knows where he is, the aftercare lady says he was signed out",
        "You dropped my kindergartner off at the wrong stop and she is alone",
        "the driver left my 5 year old asleep on the bus",
        "I can't find my daughter anywhere on the playground",
        "a student ran out of the building toward the road",
        "somebody picked up my son and it was not me",
        "We have lost a student on the museum trip",
        "he should have been home an hour ago",
        "no ha llegado a casa y ya son las 6",
        "no llego mi niña en el camion",
        "mi hijo no se bajó del autobús",
        "dónde está mi hijo, nadie me contesta",
        "no encuentran a mi hijo en la escuela",
        "se llevaron a mi niña, no sé quién la recogió",
        "dejaron a mi hija sola en la parada",
        "mi nieto desapareció a la salida",
    ],
    "self-harm": [
        "my daughter says she wants to die",
        "she has been cutting herself in the bathroom",
        "he posted that he is going to kill himself tonight",
        "I just don't want to be here anymore",
        "We found a suicide note in her backpack",
        "my friend took a bunch of pills",
        "He keeps saying everyone would be better off without him",
        "she said she wishes she was dead",
        "i keep thinking about ending it all",
        "mi hijo dice que quiere matarse",
        "mi hija ya no quiere vivir",
        "se corta los brazos con una navaja",
        "encontré una carta de despedida",
        "se quiere quitar la vida",
        "se tomó un frasco de pastillas",
    ],
    "abuse": [
        "the bus aide touched me",
        "my stepdad hit me with a belt",
        "Coach grabbed my son by the neck and shoved him",
        "The teacher slapped my daughter",
        "my son has bruises all over his arms from the aide",
        "she is afraid to go home because of her father",
        "mr dale keeps asking girls to send him pics in a bikini",
        "an assistant locked him in the closet for an hour",
        "I think a child in my class is being abused",
        "A man on staff put his hand up her shirt",
        "el maestro le pegó a mi hijo",
        "mi padrastro me pega con el cinto",
        "un señor manoseó a mi niña en el baño",
        "la ayudante encerró a mi hijo en un cuarto oscuro",
        "tiene moretones en los brazos",
    ],
    "weapon": [
        "a kid brought a knife to school",
        "theres a boy with a gun in the parking lot",
        "he showed my son a picture of a pistol in his backpack",
        "We found a loaded gun in the bathroom",
        "someone has a machete by the gym",
        "un muchacho trae una pistola",
        "mi hijo vio un cuchillo en la mochila de otro niño",
        "un hombre armado afuera de la escuela",
    ],
    "threat": [
        "he said he is going to shoot up the school on friday",
        "another student threatened to kill my daughter",
        "There is a bomb in the gym",
        "i'm gonna kill you all",
        "He has a hit list with names",
        "A man in a white van tried to get my daughter into his car",
        "they are going to jump my son after school",
        "my ex threatened to take the kids and burn the house down",
        "the bus driver smells like alcohol",
        "amenazó con balacear la escuela",
        "dijo que va a matar a mi hijo",
        "un hombre trató de llevarse a una niña en su camioneta",
        "hay una amenaza de bomba",
    ],
    "medical emergency": [
        "a student is not breathing in room 12",
        "she had an allergic reaction and the EpiPen was used just now",
        "he is having a seizure in the gym",
        "Staff member collapsed, need an AED",
        "my son can't breathe and the nurse is not there",
        "someone call an ambulance to the field",
        "kid choking in the lunchroom",
        "we called 911, she is unconscious",
        "her lips are turning blue",
        "he hit his head at recess and is throwing up",
        "un niño está convulsionando en el salón",
        "no respira, manden ayuda",
        "se desmayó en el patio",
        "tiene una reacción alérgica, se le hinchó la garganta",
        "ya llamé al 911",
    ],
}

INNOCENT = [
    "this homework is killing me",
    "We are dying to know who made the team",
    "My son plays shooting guard",
    "shoot me an email when you can",
    "When is the photo shoot for the yearbook?",
    "The knife skills unit in culinary needs cutting boards",
    "There is a lockdown drill next week, right?",
    "Will the bomb cyclone close school?",
    "She killed it at the concert",
    "me muero de risa con el video",
    "solo para matar el tiempo",
    "Custodian needs a nail gun",
    "I burned my finger on the glue gun in art",
    "fundraiser: bath bomb and candle kits",
    "Hang in there, you are doing great",
    "Is the suicide squad film shown at movie night?",
    "The coach made them run suicides for an hour",
    "no weapon was found",
    "She is safe now, thank you for finding her",
    "nobody was hurt in the fender bender",
    "My son is missing an assignment in math",
    "The permission slip never came home",
    "My phone died, sorry for the late pickup",
    "I need the seizure action plan form",
    "What happens if he has an allergic reaction on the trip?",
    "We found him, he was at his friend's house. He never came home on the bus but all is fine.",
    "CPR certification class on Saturday",
    "the tuna melt was to die for",
    "the principal hit a home run with that speech",
    "If this is an emergency, hang up and call 911.",
    "Please update the emergency contact card",
    "He lost his jacket on the bus",
    "I can't find her grades in the portal",
    "the drama club needs a fake knife and a toy gun for the play",
    "gun violence assembly on Tuesday",
    "child abuse prevention training for volunteers",
    "me duele la cabeza de tanto tramite, me muero de hambre",
    "pistola de silicón para la clase de arte",
    "la bomba de agua del edificio no sirve",
    "no llegó el camión y mi hijo llegó tarde",
    "se le perdió la chamarra en el camión",
    "mi hijo no va a ir hoy, tiene fiebre",
    "a mi hija le toca la vacuna en marzo",
    "prevención del suicidio: ¿a qué hora es la plática?",
    "por poco me da un infarto con la factura",
    "he is out sick today with a fever",
    "Bus 9 was 20 minutes late again",
    "His shot records are attached",
    "",
]


@pytest.mark.parametrize(("category", "text"), [(name, text) for name, texts in ALARMS.items() for text in texts])
def test_an_alarm_is_marked_with_its_category(category: str, text: str) -> None:
    """Phrases families and staff use for each kind of danger are recognised, and the remark names the kind."""
    reason = urgent_reason("", text)
    assert reason
    if category not in {"threat", "weapon"}:  # the two shade into each other: either brings the same people
        assert reason.startswith(category)


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_use_is_not_an_alarm(text: str) -> None:
    """Idioms, school vocabulary, denied and settled dangers raise nothing."""
    assert urgent_reason("", text) == ""


@pytest.mark.parametrize(
    ("subject", "text", "html"),
    [
        ("he has a gun", "see subject", ""),
        ("hello", "he has a gun", ""),
        ("hello", "Your newsletter", "Your newsletter. he has a gun"),
    ],
)
def test_subject_text_and_html_are_all_looked_at(subject: str, text: str, html: str) -> None:
    """The parts of a mail may disagree; an alarm in any of them counts."""
    assert urgent_reason(subject, text, html).startswith("weapon")


@pytest.mark.parametrize(
    "text",
    [
        "he never came home",
        "HE NEVER CAME HOME",
        "he né\u200bver\ncame  home",
        "So, he NEVER came home?!",
        "(he never came home)",
    ],
)
def test_writing_does_not_matter(text: str) -> None:
    """Case, accents, zero-width characters, line ends and punctuation around a phrase change nothing."""
    assert urgent_reason("", text) == "child missing (he never came home)"


@pytest.mark.parametrize(
    ("denied", "stated"),
    [
        ("he does not have a gun", "he does have a gun"),
        ("no tiene pistola", "tiene una pistola"),
        ("There was never a bomb threat", "There was a bomb threat"),
        ("if he has an allergic reaction now, who calls?", "he has an allergic reaction now, who calls?"),
    ],
)
def test_a_denial_or_supposition_right_before_a_phrase_takes_it_back(denied: str, stated: str) -> None:
    """A "no", "never" or "if" directly before a phrase silences it; without them it is an alarm."""
    assert urgent_reason("", denied) == ""
    assert urgent_reason("", stated)


@pytest.mark.parametrize(
    "text",
    [
        "No, he has a gun",
        "I am not kidding. He has a gun.",
        "There is a lockdown drill next week, but today he brought a knife",
        "this homework is killing me and my friend says she wants to die",
        "She never came home. Have you found her?",
        "my son never made it home",
    ],
)
def test_a_denial_elsewhere_does_not_silence_an_alarm(text: str) -> None:
    """A "no" of another clause, an idiom beside the alarm, and a question that sounds settled leave it standing."""
    assert urgent_reason("", text)


def test_a_child_who_turned_up_is_no_alarm_any_more() -> None:
    """A settled search silences its own category, and no other."""
    assert urgent_reason("", "He never came home. Update: he is home now.") == ""
    assert urgent_reason("", "He is home now. He has a gun.").startswith("weapon")


async def test_the_step_marks_and_never_ends_the_list() -> None:
    """The step answers MarkUrgent or nothing, one answer per message, in order."""
    batch = [message("1", "when is picture day?"), message("2", "my son never got off the bus")]
    answers = await Urgent().decide(batch)
    assert answers == [None, MarkUrgent("child missing (son never got off)")]


def test_text_beyond_the_cap_is_not_looked_at() -> None:
    """The work is bounded: only the first MAX_TEXT characters count."""
    assert urgent_reason("", "a " * (MAX_TEXT // 2) + "he has a gun") == ""
    assert urgent_reason("", "a " * (MAX_TEXT // 2 - 20) + "he has a gun")


def test_text_made_of_the_word_list_itself_is_digested(rng: random.Random) -> None:
    """Text built to keep every phrase half matched is answered like any other (linear-time expressions)."""
    source = files("router.routing").joinpath("urgent_words.yaml").read_text(encoding="utf-8")
    words = sorted(set(re.findall("[a-z]+", source)))
    for _ in range(3):
        text = " ".join(rng.choices(words, k=4_000))
        assert urgent_reason(text, text[::-1], text.upper())


@given(st.text(max_size=300))
def test_any_text_has_an_answer_that_case_does_not_change(text: str) -> None:
    """No text raises, and shouting an ASCII text changes nothing."""
    plain = text.encode("ascii", "ignore").decode()
    assert isinstance(urgent_reason(text, text), str)
    assert urgent_reason("", plain.upper()) == urgent_reason("", plain)


def test_a_district_can_write_its_own_list() -> None:
    """Alternatives, optional words, endings, gaps, joined words, groups and sentence ends mean what the file says."""
    phrases = Phrases(own_list("{pet} is|was very? ... gone_wild|loose .", "barked*"))
    hits = ["the dog is loose.", "a cat was very sadly gone wild, help", "barking at us"]
    assert [bool(phrases.find(text)) for text in hits] == [True, True, False]
    assert str(phrases.find("he barkeded")) == "pets (barkeded)"
    assert phrases.find("the dog is. loose.") is None
    assert phrases.find("the dog is loose now") is None


def test_a_phrase_with_foreign_signs_is_refused() -> None:
    """A phrase that isn't in the file's small language is an error, not a silent miss."""
    with pytest.raises(ValueError, match="is not a word"):
        Phrases(own_list("dog.+"))


def own_list(*phrases: str) -> dict[str, object]:
    """A word list with one category."""
    return {
        "spelling": {},
        "groups": {"pet": "dog|cat"},
        "negation": {"en": ["no"]},
        "doubt": {},
        "innocent": {},
        "settled": {},
        "unless": {},
        "wanted": {"pets": {"en": list(phrases)}},
    }


def message(name: str, text: str) -> Message:
    """A text message."""
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    return Message(id=name, channel="text-line", medium=Medium.SMS, received_at=now, content=Content(text=text))
