"""Signed links: what we signed comes back, everything else is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from itsdangerous.encoding import base64_encode

from router.errors import NotAuthentic
from router.interfaces import mail_domain
from router.signing import KeyRing

OLD = KeyRing([("k1", "a" * 64)], "m" * 64)
RING = KeyRing([("k1", "a" * 64), ("k2", "b" * 64)], "m" * 64)


def test_a_token_of_a_given_time_is_always_the_same():
    """So the link of a delivery is the same at every attempt; its age counts from that time."""
    token = RING.sign("7", "misroute", at=datetime(2026, 9, 1, tzinfo=UTC))
    assert token == RING.sign("7", "misroute", at=datetime(2026, 9, 1, 0, 0, 0, 999, tzinfo=UTC))
    assert RING.unsign(token, "misroute") == "7"
    with pytest.raises(NotAuthentic):
        RING.unsign(RING.sign("7", "misroute", at=datetime(2020, 1, 1, tzinfo=UTC)), "misroute", max_age_s=3600)


@given(st.text(max_size=200))
def test_what_was_signed_comes_back(text):
    """Any text survives, and the token is safe in a URL."""
    token = RING.sign(text, "misroute")

    assert RING.unsign(token, "misroute") == text
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_an_earlier_key_still_verifies():
    """After a rotation old links keep working, and new ones are signed by the new key."""
    assert RING.unsign(OLD.sign("7", "misroute"), "misroute") == "7"
    assert RING.sign("7", "misroute").startswith("k2.")


def test_a_retired_key_does_not():
    """A key that has left the ring opens nothing."""
    with pytest.raises(NotAuthentic):
        OLD.unsign(RING.sign("7", "misroute"), "misroute")


def test_a_purpose_is_bound():
    """A link made for one use can't be replayed for another."""
    with pytest.raises(NotAuthentic):
        RING.unsign(RING.sign("7", "misroute"), "undo")


def test_a_token_of_the_future_is_none_the_worse(monkeypatch):
    """A machine whose clock was ahead when it signed has sent out links that work."""
    later = time.time() + 3600
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: later)
    token = RING.sign("7", "misroute")
    monkeypatch.undo()

    assert RING.unsign(token, "misroute", max_age_s=60) == "7"


def test_an_old_token_expires():
    """With a greatest age of less than nothing, every token is too old."""
    with pytest.raises(NotAuthentic):
        RING.unsign(RING.sign("7", "form"), "form", max_age_s=-1)


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_one_changed_character_is_noticed(place, char):
    """Bit flips and insertions are refused, never an unexpected exception."""
    token = RING.sign("12345", "misroute")
    place %= len(token)
    forged = token[:place] + char + token[place + 1 :]
    if forged == token:
        return
    try:
        assert RING.unsign(forged, "misroute") == "12345"  # base64 has spare bits at its end
        assert place == len(token) - 1
    except NotAuthentic:
        pass


@given(st.text(max_size=300))
def test_rubbish_is_refused(token):
    """Whatever stands in a URL, the answer is one exception."""
    with pytest.raises(NotAuthentic):
        RING.unsign(token, "misroute")


def test_a_message_id_is_a_pure_function_of_the_delivery():
    """A retry carries the same Message-ID, also after a rotation, and it is recognised as ours."""
    mail_id = RING.mail_id(42, "d.example")

    assert mail_id == OLD.mail_id(42, "d.example")
    assert RING.delivery_of(mail_id, "d.example") == 42
    assert RING.delivery_of(mail_id.replace("42", "43"), "d.example") is None
    assert RING.delivery_of(mail_id, "other.example") is None


@given(st.text(max_size=100))
def test_a_stranger_cannot_guess_a_delivery(mail_id):
    """Any other Message-ID belongs to no delivery."""
    assert RING.delivery_of(mail_id, "d.example") is None
    assert RING.delivery_of(f"<signpost.1.{mail_id}@d.example>", "d.example") is None


def test_an_ipv6_address_is_a_domain_literal():
    """A bare colon isn't allowed behind the @ of a Message-ID."""
    domain = mail_domain("http://[::1]:8080")

    assert domain == "[IPv6:::1]"
    assert RING.delivery_of(RING.mail_id(42, domain), domain) == 42
    assert mail_domain("https://contact.d.example/signpost") == "contact.d.example"


@given(st.text(max_size=40), st.sampled_from(["misroute", "receipt:contact"]))
def test_a_token_is_itsdangerous_own(text, purpose):
    """Tokens are those of a `TimestampSigner`, so that those sent out by earlier versions work, and the other way."""
    signer = TimestampSigner("b" * 64, salt=purpose, digest_method=sha256)

    key_id, _, signed = RING.sign(text, purpose).partition(".")
    assert (key_id, signer.unsign(signed)) == ("k2", base64_encode(text))
    assert RING.unsign(f"k2.{signer.sign(base64_encode(text)).decode()}", purpose) == text
