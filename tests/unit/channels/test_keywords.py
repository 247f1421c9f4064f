"""STOP, HELP and START: any reasonable wording counts, and no family's message is mistaken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels._keywords import keyword_of

LEAVING = [
    "STOP", "stop.", " Stop! ", "STOP 🛑", "stop please", "please stop", "Stop all", "STOPALL", "END", "quit", "cancel",
    "UNSUBSCRIBE", "unsubscribe me please", "Revoke", "opt out", "OPT-OUT", "optout", "I'd like to opt out",
    "I want to opt out of these texts", "please stop texting me", "Can you stop texting me?",
    "stop sending me messages",
    "don't text me again", "Do not contact me", "don’t contact this number again", "stop contacting me",
    "no more texts",
    "never text me again", "take me off your text list", "remove me from text alerts", "quit texting my phone",
    "I don't want to get texts from you", "ALTO", "Parar", "CANCELAR", "basta", "Dar de baja",
    "darme de baja por favor",
    "No más", "Por favor no me manden más mensajes", "ya no quiero recibir mensajes", "no quiero más mensajes",
    "quiero cancelar mis mensajes", "dejen de mandar mensajes", "no me escriban más", "paren de enviar mensajes",
]  # fmt: skip
MESSAGES = [
    "", "cancel my bus stop", "stop the bus", "the bus didn't stop", "bus stop", "can you stop the bus", "HELP me",
    "help my son is missing", "yes", "Sí", "no", "ok thanks", "I want to stop", "stop bullying my son", "stop it",
    "do not stop the texts", "please don't unsubscribe me", "I do not get your messages", "no text message",
    "No recibo sus mensajes", "I can not text you from my phone", "can i text you", "please cancel my order",
    "remove me from the list", "remove my number from the contact list", "cancel lunch account for Mia",
    "stop by the office", "Stop sending Mia home without her coat", "quiero cancelar la cita", "el autobús no para",
    "no puedo mandar mensajes", "end of day pick up", "start date of school?", "resume attached",
    "no more homework please",
    "stop texting me he said and then he hit her", "The counselor should stop contacting my daughter",
]  # fmt: skip


@pytest.mark.parametrize("text", LEAVING)
def test_who_wants_no_more_texts_is_understood(text):
    """The words carriers know, the seven of the FCC, Spanish ones, and sentences that say the same."""
    assert keyword_of(text) == "stop"


@pytest.mark.parametrize("text", MESSAGES)
def test_a_message_stays_a_message(text):
    """The words occur in it, but it says something else, or more."""
    assert keyword_of(text) == ""


@pytest.mark.parametrize(
    ("text", "keyword"),
    [("HELP", "help"), ("Info?", "help"), ("ayuda", "help"), ("Información", "help"), ("START", "start"),
     ("unstop", "start"), ("Reanudar", "start"), ("opt in", "start")],
)  # fmt: skip
def test_help_and_start(text, keyword):
    """Single words, as carriers define them."""
    assert keyword_of(text) == keyword


def test_what_the_provider_made_of_it_counts():
    """A district's own keywords are known to Twilio alone; a plain yes is an answer all the same."""
    assert keyword_of("ADIOS MAPLE", "STOP") == "stop"
    assert keyword_of("MAPLE", "HELP") == "help"
    assert keyword_of("YES", "START") == ""
    assert keyword_of("hello", "SOMETHING NEW") == ""


def test_long_texts_are_messages():
    """However often they say stop."""
    assert keyword_of("stop " * 15) == ""
    assert keyword_of("x" * 100_000) == ""


@given(st.text(max_size=60), st.text(max_size=10))
def test_any_text_has_an_answer(text, kind):
    """Whatever comes in."""
    assert keyword_of(text, kind) in ("", "stop", "help", "start")


@given(
    st.sampled_from(["bus", "Mia", "lunch", "teacher", "escuela", "hija", "home"]),
    st.permutations(["stop", "texting", "me"]),
)
def test_one_word_about_anything_else_makes_it_a_message(word, words):
    """Every word has to speak of text messages."""
    assert keyword_of(" ".join([*words, word])) == ""
