"""One line of text for a header or a fact, the short way and the long way."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from channels._wording import clean


@given(st.text(max_size=60))
@example("two  spaces  and one at the end ")
@example("a\u00a0hard space, a\ttab, a\rreturn, a\x7fdelete and an \u202einverted word")
def test_every_line_is_clean(text: str) -> None:
    """What can be shown stays, blanks and controls become one blank, and what can't be seen goes."""
    kept = [char if char.isprintable() else " " if char.isspace() or char < " " else "" for char in text]
    assert clean(text) == " ".join("".join(kept).split())


def test_an_endless_line_is_cut() -> None:
    """Five thousand characters are looked at, whatever they are."""
    assert clean("a" * 6000) == "a" * 5000
    assert clean("\t" + "a" * 6000) == "a" * 4999
