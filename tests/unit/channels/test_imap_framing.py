"""From bytes to replies, and what replies say: nothing depends on how the bytes were cut, and nothing is altered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import _imap_words as words
from channels._imap_framing import Framer, Garbled

TRANSCRIPT = (
    b"* OK ready {3}\r\n"
    b"* 1 FETCH (UID 5 BODY[] {14}\r\n* SALE *\r\nA1 OK FLAGS (\\Seen))\r\n"
    b'* 2 FETCH (UID 6 BODY[] "short")\r\n'
    b"* 3 FETCH (UID 7 BODY[] {0}\r\n)\r\n"
    b"+ go on\r\n"
    b"A1 OK done {9}\r\n"
)
REPLIES = [
    (b"* OK ready {3}",),
    (b"* 1 FETCH (UID 5 BODY[] ", b"* SALE *\r\nA1 O", b"K FLAGS (\\Seen))"),
    (b'* 2 FETCH (UID 6 BODY[] "short")',),
    (b"* 3 FETCH (UID 7 BODY[] ", b"", b")"),
    (b"+ go on",),
    (b"A1 OK done {9}",),
]


@given(st.lists(st.integers(0, len(TRANSCRIPT)), max_size=30))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts):
    """Whatever segments TCP makes of a conversation, the replies are the same."""
    framer, ends = Framer(1000), sorted({*cuts, len(TRANSCRIPT)})
    pieces = [TRANSCRIPT[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    assert [reply for piece in pieces for reply in framer.feed(piece)] == REPLIES
    assert framer.empty


def test_three_thousand_lines_in_one_segment():
    """A reply of many lines neither recurses nor is lost (aioimaplib #118)."""
    lines = b"".join(b"* %d FETCH (UID %d FLAGS ())\r\n" % (n, n) for n in range(1, 3001))
    found, senseless = words.fetched(Framer(10).feed(lines))
    assert (len(found), senseless) == (3000, 0)


def test_a_literal_that_is_too_long_is_cut_not_kept():
    """Of a huge literal only so much is kept in memory, and what follows is read correctly."""
    replies = Framer(10).feed(b"* 1 FETCH (UID 5 BODY[] {1000}\r\n" + b"x" * 1000 + b")\r\nA1 OK\r\n")
    assert replies == [(b"* 1 FETCH (UID 5 BODY[] ", b"x" * 10, b")"), (b"A1 OK",)]


def test_a_line_without_an_end_is_given_up():
    """A server that never ends its line can't fill the memory."""
    framer = Framer(10)
    for _ in range(16):
        framer.feed(b"x" * 1_048_576)
    with pytest.raises(Garbled):
        framer.feed(b"x")


def test_brackets_and_stars_in_strings_are_just_text():
    """Unbalanced brackets and `* ` in strings and literals stay where they are, each with its own UID."""
    replies = [
        (b'* 1 FETCH (UID 5 X "a ( \\" * b" BODY[] ', b"))) * 2 FETCH (UID 9)", b" FLAGS (\\Seen $x))"),
        (b"* 2 FETCH (BODY[] ", b"second", b" UID 6)"),
    ]
    found, senseless = words.fetched(replies)
    assert senseless == 0
    assert found[5]["X"] == b'a ( " * b'
    assert found[5]["BODY[]"] == b"))) * 2 FETCH (UID 9)"
    assert found[5]["FLAGS"] == [b"\\Seen", b"$x"]
    assert found[6]["BODY[]"] == b"second"


@pytest.mark.parametrize(
    "text", [b"* 1 FETCH (UID", b"* 1 FETCH (UID x)", b"* 1 FETCH UID 5", b'* 1 FETCH (UID 5 X "a)', b"* 1 FETCH (1)"]
)
def test_a_reply_without_sense_is_counted(text):
    """A reply that can't be read is one reply that can't be read, whatever else came."""
    found, senseless = words.fetched([(text,), (b"* 2 FETCH (UID 6 FLAGS ())",), (b"* 3 FETCH (FLAGS (\\Seen))",)])
    assert (list(found), senseless) == ([6], 1)


def test_searches_may_come_in_several_replies():
    """UIDs of every SEARCH reply count, sorted and once; an empty one says nothing."""
    assert words.searched([(b"* SEARCH 3 1",), (b"* 4 EXISTS",), (b"* SEARCH",), (b"* search 2 3",)]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX", '"INBOX"'),
        ('a "b" \\c', '"a \\"b\\" \\\\c"'),
        ("Büro & Co", '"B&APw-ro &- Co"'),
        ("台北/日本語", '"&U,BTFw-/&ZeVnLIqe-"'),
    ],
)
def test_names_are_quoted_and_in_modified_utf7(name, wire):
    """Mailbox names may have blanks, quotes and any letter (the last is RFC 3501's own example)."""
    assert words.mailbox_name(name) == wire


def test_sets_of_uids_are_short():
    """Neighbours become ranges."""
    assert words.uid_set([9, 3, 4, 5, 7, 4]) == "3:5,7,9"


def test_what_a_server_says_is_fit_for_a_log():
    """A code is told apart from the text, which is one line without addresses."""
    text = b"[AUTHENTICATIONFAILED] Bad  login for ana@example.org\x07."
    assert words.code_of(text) == ("AUTHENTICATIONFAILED", "")
    assert words.for_people(text) == "Bad login for …"
    assert words.codes([(b"* OK [UIDVALIDITY 12] x",), (b"* OK [UIDNEXT 4]",), (b"* OK hello",)]) == {
        "UIDVALIDITY": "12",
        "UIDNEXT": "4",
    }
