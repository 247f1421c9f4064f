"""The urgent step: what is an alarm, what only sounds like one, and what hostile text costs."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.interfaces import MarkUrgent
from router.records import Content, Medium, Message
from router.routing.urgent import MAX_TEXT, Phrases, Urgent, urgent_reason

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
