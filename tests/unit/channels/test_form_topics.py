"""Topics in plain words: their answers, and the search over them."""

from __future__ import annotations

import pytest

from channels._form_settings import TopicSettings
from channels._form_topics import found, render, topics_of, words
from router.records import Department
from router.testing_sinks import sample_context

TOPICS = [
    TopicSettings(
        name={"en": "The school bus", "es": "El autobús escolar"},
        department="transportation",
        words=("late", "parada"),
        answer={"en": "See the *bus finder*.", "es": "Vea el buscador."},
    ),
    TopicSettings(name="Meals and lunch money", department="food-services", answer="Menus are posted each month."),
    TopicSettings(name={"es": "Matrícula"}, department="enrollment", words=("register", "kindergarten")),
]
DEPARTMENTS = tuple(
    Department(id=each, name=name, description=about)
    for each, name, about in [
        ("office", "Front Office", "Everything else"),
        ("transportation", "Transportation", "Buses"),
        ("finance", "Finance", "Fees, payments, refunds"),
        ("business", "Business", "Vendors"),
    ]
)


def topics(*, others=True):
    """Return the topics of a small district."""
    return topics_of(TOPICS, sample_context(departments=DEPARTMENTS, fallback="office"), others=others)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("bus", "The school bus"),
        ("Where are the BUSES?", "The school bus"),
        ("¿dónde está el autobus", "The school bus"),
        ("my child's lunch", "Meals and lunch money"),
        ("matricula", "Matrícula"),
        ("registering for kindergarten", "Matrícula"),
        ("posted", "Meals and lunch money"),
        ("trans", None),
        ("refund", "finance"),
        ("vend", "business"),
    ],
)
def test_topics_are_found_by_any_of_their_words(query, first):
    """Accents, capitals, endings and the language of the question don't matter; answers are searched, too."""
    assert next((topic.key for topic in found(topics(), query)), None) == first


@pytest.mark.parametrize("query", ["", "   ", "the of and", "zebra", "?!*%", "b", "x" * 5000, "\0\ud800"])
def test_what_says_nothing_finds_nothing(query):
    """An empty question, or one of words that stand in every question, has no answer."""
    assert found(topics(), query) == []


def test_three_letters_find_no_other_word_that_begins_so():
    """`bus` isn't `business`."""
    assert [topic.key for topic in found(topics(), "bus")] == ["The school bus"]


def test_departments_without_a_topic_of_their_own_are_shown_last():
    """By name and description; the fallback is no topic, and a district may do without the others."""
    assert [topic.key for topic in topics()][3:] == ["finance", "business"]
    assert len(topics(others=False)) == 3


def test_texts_come_in_the_page_s_language_or_in_what_there_is():
    """A missing translation is shown in the language there is, and is said to be in it."""
    bus, meals, enrollment = topics(others=False)
    assert (bus.name("es"), bus.name("so")) == ("El autobús escolar", "The school bus")
    assert (bus.answer("es"), meals.answer("es")) == (
        "<p>Vea el buscador.</p>\n",
        "<p>Menus are posted each month.</p>\n",
    )
    assert [each.language_of(each.names, "en", "en") for each in (bus, meals, enrollment)] == ["en", "en", "es"]
    assert enrollment.answer("en") == ""


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&#58;alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![x](https://evil.example/pixel.png)",
        '<a onmouseover="alert(1)">x</a>',
        '[x](https://a.example" onclick="alert(1))',
        "<javascript:alert(1)>",
        "[x]: javascript:alert(1)\n\n[x]",
        "# Heading",
    ],
)
def test_answers_hold_no_script_no_picture_and_no_heading(hostile):
    """HTML is shown as text; a link leads to no script; a page keeps its own headings."""
    html = render(hostile)
    tags = html.replace("&lt;", "").split("<")[1:]
    assert {tag.split(">")[0].split()[0].strip("/") for tag in tags} <= {"p", "a"}
    assert not [tag for tag in tags if "javascript:" in tag.lower().split(">")[0] or "data:" in tag.split(">")[0]]
    assert not [tag for tag in tags if tag.startswith("a ") and "onclick=" in tag and 'onclick="' in tag]


def test_links_leave_a_frame():
    """On the district's own site the page stands in a frame, which isn't where the rest of that site belongs."""
    assert '<a href="https://www.example.org/bus" target="_top">' in render("[Bus](https://www.example.org/bus)")


def test_words_are_folded():
    """Small letters without accents, and without those that say nothing."""
    assert words("¿Dónde ESTÁ la Matrícula?") == ["matricula"]
