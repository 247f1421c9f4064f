"""What is left of a stranger's HTML: its words and its look, and nothing that acts."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.console.markup import Outlandish, harmless
from tests.browser import vectors

KNOWN = frozenset(
    "align alt bgcolor border cellpadding cellspacing class color colspan dir face height lang rowspan size src style "  # noqa: SIM905 -- words
    "title valign width".split()
)
PIECES = st.sampled_from(
    [*vectors.ALL, "<p>", "</p>", "<!--", "-->", "<a href='https://a.example/'>", "</a>", '"', "'", ">", "<", "text"]
)


class Elements(HTMLParser):
    """Notes every tag and attribute."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.words.append(data)


def elements(html):
    """Return the tags and attributes of well-formed HTML."""
    parser = Elements()
    parser.feed(html)
    parser.close()
    return parser


def cleaned(markup, **pictures):
    """Return what is left of it."""
    return harmless(markup, pictures).html


def check(html):
    """Fail if anything in it could act, load or lead away."""
    found = elements(html)
    assert not {"a", "form", "iframe", "link", "meta", "object", "script", "style", "svg"} & set(found.tags)
    for name, value in found.attributes:
        assert name in KNOWN
        assert name != "src" or value.startswith("data:image/")
        assert name != "style" or not {"(", "\\"} & set(value.replace("rgb(", ""))


@pytest.mark.parametrize("vector", vectors.ALL)
def test_no_vector_leaves_an_element_or_attribute_that_acts(vector):
    """Only known attributes stay, no address but of a picture that lies in the mail, no style that loads or covers."""
    check(cleaned(vectors.armed(vector, "https://evil.example/x", "alert(1)")))


@given(st.lists(PIECES, max_size=12))
@settings(max_examples=300)
def test_no_mixture_of_vectors_does_either(pieces):
    """Put together, cut open and nested in one another."""
    check(cleaned("".join(pieces)))


def test_words_and_look_stay():
    """Bold words, a table, colours and the direction of Arabic are as they were."""
    html = cleaned('<p dir="rtl" style="color:#a00;font-weight:bold">مرحبا <b>باص</b></p><table border="1"><td>7:40')
    assert '<p dir="rtl" style="color:#a00;font-weight:bold">مرحبا <b>باص</b></p>' in html
    assert '<table border="1">' in html


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        ("color:rgb(1, 2, 3)", "color:rgb(1, 2, 3)"),
        ("COLOR : red", "color:red"),
        ("position:fixed;color:red", "color:red"),
        ("color:url(https://evil.example/)", ""),
        ("color:var(--x)", ""),
        ("color:r\\65 d", ""),
        ("display:none", ""),
        ("color:red/*", ""),
    ],
)
def test_of_a_style_only_declarations_of_looks_stay(declared, kept):
    """None that could load, move, cover or hide anything; whatever isn't plain goes."""
    assert dict(elements(cleaned(f'<p style="{declared}">x')).attributes).get("style", "") == kept


def test_a_link_is_text_with_its_true_address_behind_it():
    """What it says and where it would lead both stand there, and neither can be clicked."""
    html = cleaned('<a href="https://evil.example/?a=1&amp;b=%22" title="t">your bank</a>')
    assert "a" not in elements(html).tags
    assert "".join(elements(html).words) == "your bank [https://evil.example/?a=1&b=%22]"


def test_a_picture_in_the_mail_is_shown_and_one_elsewhere_is_counted():
    """By its Content-ID, or as a data: address of a plain picture; everything else is left out."""
    shown = harmless(
        '<img src="cid:one"><img src="CID:two"><img src="https://x.example/p.png">',
        {"one": "data:image/png;base64,QQ=="},
    )
    assert dict(elements(shown.html).attributes) == {"src": "data:image/png;base64,QQ=="}
    assert shown.left_out == 2


@pytest.mark.parametrize("markup", ["<div>" * 5_000, "<b>x</b>" * 40_000, "x" * 1_000_001, "<table>" * 300])
def test_what_would_take_for_ever_is_given_up_at_once(markup):
    """Deep, endless and huge HTML isn't even tried."""
    with pytest.raises(Outlandish):
        harmless(markup, {})
