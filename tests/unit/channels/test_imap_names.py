"""Names of mailboxes in a LIST, back as people write them."""

from __future__ import annotations

import pytest

from channels._imap_words import listed, mailbox_name, plain_name


@pytest.mark.parametrize("name", ["INBOX", "Familias/Otoño", "R&D", "日本語", "a b", "&-", "Entwürfe & Co"])
def test_a_name_survives_both_ways(name):
    """What a command takes is what a reply gives (modified UTF-7, RFC 3501 section 5.1.3)."""
    assert plain_name(mailbox_name(name)[1:-1].encode()) == name


def test_a_name_that_is_no_utf7_stays():
    """Servers with names in UTF-8, or broken ones, are shown as they are."""
    assert plain_name("Otoño".encode()) == "Otoño"
    assert plain_name(b"&!!!-") == "&!!!-"


def test_a_list():
    """Quoted names, atoms and literals are read; what can't be opened is left out, and nonsense too."""
    replies = [
        (b'* LIST (\\HasNoChildren) "/" "Routed mail"',),
        (b"* LIST () NIL INBOX",),
        (b'* LIST (\\Noselect \\HasChildren) "." Public',),
        (b'* LIST () "/" ', b'a"b\\c&', b""),
        (b'* LIST () "/" "no end',),
        (b"* OK done",),
    ]
    assert listed(replies) == ["Routed mail", "INBOX", 'a"b\\c&']
