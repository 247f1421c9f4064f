"""The contact list: columns by header, addresses however they are written, nothing personal in an error."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from router.contacts import Contacts, fault_of, key_of, read
from router.errors import SignpostError
from router.records import Content, Medium, Message, School

SCHOOLS = (School(id="lincoln", name="Lincoln Elementary", aliases=("LES",)), School(id="north", name="Northside"))


def school_of(contacts, **content):
    """Ask for the school of who wrote."""
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return contacts.school_of(
        Message(id="1", channel="c", medium=Medium.EMAIL, received_at=at, content=Content(**content))
    )


def written(tmp_path, text, encoding="utf-8"):
    """Write a list and return its path."""
    path = tmp_path / "contacts.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("email,phone,school\nana@home.example,555-555-0111,Lincoln Elementary\n", "utf-8"),
        ("School;Parent E-mail;Home Phone\r\nLES;ana@home.example;+1 555 555 0111\r\n", "utf-8-sig"),
        ("mobile\tname\tbuilding\tmail\n(555) 555-0111\tAna\tlincoln\tANA@home.example\n", "utf-8"),
        ("email,school phone,school,cell\nana@home.example,555-555-9999,LES,15555550111\n", "utf-16"),
        ('email,phone,school\n"ana@home.example","5555550111","Lincoln  elementary"\n', "utf-8"),
        ("school,email 1,email 2,phone\nLES,,ana@home.example,555.555.0111\n", "utf-8"),
    ],
)
def test_columns_are_known_by_their_header(tmp_path, text, encoding):
    """In any order, from any export: with commas, semicolons or tabs, several columns of a kind."""
    contacts = read(written(tmp_path, text, encoding), SCHOOLS)

    assert school_of(contacts, sender="ana@home.example") == "lincoln"
    assert school_of(contacts, sender="+15555550111") == "lincoln"
    assert school_of(contacts, sender="+15555559999") == ""
    assert (contacts.rows, contacts.unknown) == (1, 0)


def test_rows_of_no_school_of_ours_are_counted_and_left_out(tmp_path):
    """So are short rows; a family with children at two schools has none."""
    rows = "a@x.example,Elsewhere\nb@x.example\nc@x.example,LES\nc@x.example,north\nd@x.example,north\n"
    contacts = read(written(tmp_path, f"email,school\n{rows}"), SCHOOLS)

    assert (contacts.rows, contacts.unknown, len(contacts)) == (5, 2, 2)
    assert [school_of(contacts, sender=f"{who}@x.example") for who in "abcd"] == ["", "", "", "north"]


def test_signs_of_two_families_are_none(tmp_path):
    """Who writes with one family's address and another one's phone isn't guessed at."""
    contacts = read(written(tmp_path, "email,school\na@x.example,LES\nb@x.example,north\n"), SCHOOLS)

    assert school_of(contacts, sender="a@x.example", reply_to="b@x.example") == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no column for the school"),
        ("email,phone\n", "names no column for the school"),
        ("name,school\n", "names no column for an email address or a phone"),
    ],
)
def test_a_header_that_names_too_little_is_told(tmp_path, text, why):
    """Both when the configuration is read and when the list is."""
    path = written(tmp_path, text)

    assert why in fault_of(path)
    with pytest.raises(SignpostError, match=why):
        read(path, SCHOOLS)


def test_an_error_repeats_nothing_of_the_list(tmp_path):
    """Neither the sentence nor what caused it holds a row."""
    path = tmp_path / "contacts.csv"
    path.write_bytes(b"email,school\nana@home.example,LES\n\xff\xfe\xfa@home.example,LES\n")

    with pytest.raises(SignpostError, match="isn't UTF-8 text") as caught:
        read(path, SCHOOLS)
    assert caught.value.__cause__ is None
    assert "home" not in str(caught.value)
    assert "No such file" in fault_of(tmp_path / "nothing.csv")


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("Ana+x@Home.example", "ana@home.example"),
        ("+1 (555) 555-0111", "15555550111"),
        ("555.555.0111", "15555550111"),
        ("1-555-555-0111", "15555550111"),
        ("+49 30 901820", "4930901820"),
        ("whatsapp:+15555550111", "15555550111"),
        ("0111", ""),
        ("call me", ""),
        ("", ""),
    ],
)
def test_all_spellings_of_an_address_are_one(address, key):
    """Case and +tags of a mail address, punctuation and the country code of a number."""
    assert key_of(address) == key


def test_a_hundred_thousand_contacts_take_little_memory(tmp_path):
    """Ten bytes for each address or number, and none of them in the clear."""
    rows = "".join(f"parent{n}@home.example,+1555{n:07},LES\n" for n in range(100_000))
    contacts = read(written(tmp_path, f"email,phone,school\n{rows}"), SCHOOLS)

    assert len(contacts) == 200_000
    assert sum(part.itemsize * len(part) for part in (contacts._keys, contacts._numbers)) == 2_000_000
    assert school_of(contacts, sender="parent99999@home.example") == "lincoln"
    assert school_of(Contacts({}, ()), sender="parent99999@home.example") == ""
