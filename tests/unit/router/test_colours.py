"""Colours of the district: contrast as WCAG computes it, and a like that can be read in the dark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import colours

HEX = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


@pytest.mark.parametrize(("one", "other", "ratio"), [("#000000", "#ffffff", 21.0), ("#777777", "#ffffff", 4.48)])
def test_contrast_is_that_of_wcag(one, other, ratio):
    """Known pairs, either way round."""
    assert colours.contrast(one, other) == pytest.approx(ratio, abs=0.01)
    assert colours.contrast(other, one) == colours.contrast(one, other)


@given(HEX)
def test_in_the_dark_it_can_always_be_read(colour):
    """Whatever the district's colour is, its lighter like stands out from dark paper."""
    assert colours.contrast(colours.lightened(colour), colours.DARK_PAPER) >= 4.5


@pytest.mark.parametrize(("colour", "fine"), [("#1d5fa8", True), ("#ffd700", False), ("#b3261e", True)])
def test_yellow_is_too_light(colour, fine):
    """White text must be readable on it."""
    assert colours.is_readable(colour) is fine


@pytest.mark.parametrize("text", ["red", "#fff", "#1d5fa8;}", "url(x)", ""])
def test_only_colours_are_colours(text):
    """What goes into a style sheet is nothing but a colour."""
    assert not colours.is_colour(text)
