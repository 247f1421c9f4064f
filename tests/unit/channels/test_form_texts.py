"""A district's own texts, topics and frames: what may be set, and what is told when it can't be used."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from channels._form_settings import WebFormSettings
from channels._form_texts import SHIPPED, TextsFault, all_texts, read_texts
from tests.unit.channels.family import serving

SOMALI = "so: {language_name: Soomaali, title: Nala soo xiriir, direction: ltr}\nen: {title: Write to the district}\n"


def test_a_file_adds_a_language_and_other_words(tmp_path):
    """What it leaves out is said as it ships, in a new language in English."""
    (tmp_path / "texts.yaml").write_text(SOMALI)
    texts = all_texts(tmp_path / "texts.yaml")
    assert (texts["so"]["title"], texts["so"]["send"]) == ("Nala soo xiriir", "Send")
    assert (texts["en"]["title"], texts["es"]["title"]) == ("Write to the district", "Contáctenos")
    assert all_texts(None)["en"]["title"] == "Contact us"


def test_the_texts_that_ship_keep_the_rules():
    """They could stand in a district's own file."""
    assert set(read_texts(SHIPPED)) == {"en", "es"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("so: {title: x}", "no language_name"),
        ("so: {language_name: x, tittle: y}", "'tittle' that no page has"),
        ("es: {title: ''}", "'es.title' must be a text"),
        ("es: {title: 7}", "'es.title' must be a text"),
        ("es: {files_hint: 'at most {counts}'}", "words in {braces}"),
        ("es: {files_hint: 'at most {'}", "words in {braces}"),
        ("es: {title: '{0.__class__}'}", "words in {braces}"),
        ("Spanish: {title: x}", "no language code"),
        ("es: {direction: up}", "ltr or rtl"),
        ("- x", "a block of texts"),
        ("es: [", "no YAML"),
        ("", "a block of texts"),
    ],
)
def test_a_fault_of_the_file_is_told(tmp_path, text, why):
    """Before a page is shown, in a sentence."""
    (tmp_path / "texts.yaml").write_text(text)
    with pytest.raises(TextsFault) as caught:
        read_texts(tmp_path / "texts.yaml")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"embed_on": ["www.example.org"]}, "must be a site"),
        ({"embed_on": ["https://www.example.org/page"]}, "must be a site"),
        ({"embed_on": ["https://a.example; script-src *"]}, "must be a site"),
        ({"topics": [{"name": "", "department": "x"}]}, "one line"),
        ({"topics": [{"name": {"English": "Bus"}, "department": "x"}]}, "language code"),
        ({"topics": [{"name": "Bus", "department": "x", "answer": "x" * 2001}]}, "longer than"),
        ({"topics": [{"name": "Bus", "department": each} for each in "xy"]}, "two topics"),
    ],
)
def test_settings_that_can_not_work_are_told(settings, why):
    """Each in a sentence."""
    with pytest.raises(ValidationError, match=why):
        WebFormSettings.model_validate(settings)


async def test_a_page_in_a_language_of_the_district_s_own(tmp_path):
    """It is offered where the organization names it, and read from right to left where it is written so."""
    (tmp_path / "texts.yaml").write_text("es: {direction: rtl, title: Escríbanos ya}\n")
    async with serving(texts_file=str(tmp_path / "texts.yaml")) as family:
        page = await family.page("?lang=es")
    assert '<html lang="es" dir="rtl">' in page
    assert "Escríbanos ya" in page
