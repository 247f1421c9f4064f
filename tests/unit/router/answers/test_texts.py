"""What automatic answers say."""

from __future__ import annotations

import re

import pytest

from config._acknowledge import AnswerTexts
from router.answers.texts import TEXTS, Wording

DISTRICT = "Maple Valley School District"
EMERGENCY = {"en": "If this is an emergency, call 911.", "es": "Si es una emergencia, llame al 911."}


def told(language="en", department="Transportation", *, own=None, languages=("en", "es"), urgent=False, sms=False):
    """Return the notice of an acknowledgement."""
    wording = Wording(DISTRICT, languages, own or {})
    return wording.acknowledgement(language, "0WE28VGDH208", department, urgent=urgent, sms=sms)


@pytest.mark.parametrize("sms", [False, True])
@pytest.mark.parametrize("language", ["en", "es"])
def test_it_names_the_reference_and_the_department_in_the_writers_language(language, sms):
    """English and Spanish are complete, and every answer says whom to call in an emergency."""
    notice = told(language, sms=sms)

    for piece in (DISTRICT, "0WE28VGDH208", "Transportation", EMERGENCY[language]):
        assert piece in notice.text
    assert "{" not in notice.text + notice.subject
    assert ("Hemos" in notice.subject) == (language == "es")


def test_both_languages_have_the_same_texts():
    """No text is missing in one of them, and the placeholders agree."""
    braces = [{name: set(re.findall(r"\{\w+\}", text)) for name, text in texts.items()} for texts in TEXTS.values()]
    assert braces[0] == braces[1]
    assert set(AnswerTexts.model_fields) <= set(TEXTS["en"])


def test_other_languages_get_the_districts_first():
    """What it has no words in is answered in the first language of the organization that it has words in."""
    assert "mensaje" in told("vi", languages=("es", "en")).text
    assert "message" in told("", languages=("so", "en")).text
    assert "message" in told("so", languages=("so",)).text


def test_an_urgent_message_is_promised_nothing():
    """The first sentence says whom to call; no text says that somebody reads it, or when."""
    assert told(urgent=True).text.startswith(EMERGENCY["en"])
    assert told("es", urgent=True, sms=True).text.startswith(EMERGENCY["es"])
    everything = " ".join(text for texts in TEXTS.values() for text in texts.values()).lower()
    assert not re.search(r"\bwill\b|soon|shortly|within|pronto|responderemos|en breve", everything)


def test_no_department_is_named_where_none_has_it():
    """The line goes, the rest stays."""
    assert "passed to" not in told(department="").text
    assert "0WE28VGDH208" in told(department="").text


def test_a_district_says_it_in_its_own_words():
    """One text may be its own and the others ours; a language of its own is complete with what it lacks in English."""
    own = {"en": {"sms": "Got it: {reference}"}, "so": {"mail": "Waan helnay. {reference}", "emergency": "Wac 911."}}

    assert told(own=own, sms=True).text == f"Got it: 0WE28VGDH208\n{EMERGENCY['en']}"
    assert "passed to" in told(own=own).text
    assert told("so", own=own).text == "Waan helnay. 0WE28VGDH208\n\nWac 911."
    assert told("so", own=own).subject == "We have received your message (0WE28VGDH208)"


@pytest.mark.parametrize(
    ("address", "instead", "piece"),
    [
        ("ana@home.example", "none", "ana@home.example"),
        ("", "look", "take the address"),
        ("", "call", "has their number"),
        ("", "none", "No address of theirs"),
    ],
)
def test_staff_are_told_where_their_reply_is_and_how_to_reach_the_family(address, instead, piece):
    """The family's address if there is one to tell, else what else there is; never a number."""
    notice = Wording(DISTRICT, ("en",), {}).unheard("0WE28VGDH208", "0WE28VGDH209", address, instead)

    assert piece in notice.text
    assert "0WE28VGDH208" in notice.text
    assert "0WE28VGDH209" in notice.text
    assert "did not reach the family" in notice.subject
    assert len(re.findall("directly|known", notice.text)) == 1
