"""JSON pointers as RFC 6901 has them, and the two things that go beyond."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels._webhook_pointer import as_text, resolve

RFC = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8,
}  # fmt: skip
LIST = [{"k": "a", "v": 1}, {"k": "b", "deep": {"er": 7}, "v": 2}, "text", {"k": True, "v": 3}]


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("", RFC), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/e^f", 3),
     ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8)],
)  # fmt: skip
def test_the_examples_of_rfc_6901(pointer, value):
    """Section 5."""
    assert resolve(RFC, pointer) == value


@pytest.mark.parametrize(
    "pointer", ["/nothing", "/foo/2", "/foo/-", "/foo/01", "/foo/bar", "/foo/0/x", "/a~1b/c", "/ /0"]
)
def test_what_is_not_there_is_none(pointer):
    """Also an index that is none, and a step into a number."""
    assert resolve(RFC, pointer) is None


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/{k=b}/v", 2),
        ("/{deep.er=7}/v", 2),
        ("/{k=c}/v", None),
        ("/{k=yes}/v", 3),
        ("/{k}/v", None),
        ("/{v=1}/k", "a"),
    ],
)
def test_a_member_of_a_list_is_chosen_by_what_it_holds(pointer, value):
    """Where RFC 6901 knows only an error."""
    assert resolve(LIST, pointer) == value
    assert resolve({"{k=b}": 1}, "/{k=b}") == 1


def test_a_text_that_holds_json_is_looked_into():
    """Some tools put a document into a field."""
    assert resolve({"raw": '{"a": ["b"]}'}, "/raw/a/0") == "b"
    assert resolve({"raw": "no JSON"}, "/raw/a") is None
    assert resolve({"raw": "[" * 100_000}, "/raw/0") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (None, ""), (True, "yes"), (False, "no"), (1, "1"), (1.5, "1.5"), (["a", "", None, "b"], "a, b"),
     ({"first": "Ana", "last": "Ruiz"}, "Ana Ruiz"), ([], ""), ([[[[[["too deep"]]]]]], "")],
)  # fmt: skip
def test_values_as_people_write_them(value, text):
    """Lists with commas, an object's values in order."""
    assert as_text(value) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(JSON, st.text(max_size=30))
def test_no_document_and_no_pointer_make_trouble(value, pointer):
    """Whatever is posted."""
    as_text(resolve(value, "/" + pointer))
