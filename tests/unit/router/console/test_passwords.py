"""Which passwords will do, how they are kept, and how long a guesser waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.console import passwords

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
ABOUT = ("sam.rivera@maple.example", "Maple Valley School District")


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "passwordpassword",
        "Password1234!",
        "P a s s w o r d 1 2",
        "qwertyuiop12",
        "qwertyuiopqw",
        "123456789012",
        "987654321098",
        "abcdefghijkl",
        "aaaaaaaaaaaaaaaa",
        "ababababababab",
        "maplemaple2026",
        "MapleValley2026!",
        "rivera-rivera-1",
        "letmein-letmein",
        "x" * 257,
    ],
)
def test_what_is_guessed_first_is_refused(password):
    """Common words, rows of keys, repetitions, and one's own name or the district's."""
    assert passwords.fault(password, *ABOUT)


@pytest.mark.parametrize(
    "password", ["correct horse battery", "kX9#vQ2m!pLz", "Straßenbahn um sechs", "ねこがすきですよとても1"]
)
def test_what_is_long_and_nobodys_name_will_do(password):
    """No rule about digits or signs: length counts, in any script."""
    assert passwords.fault(password, *ABOUT) == ""


async def test_a_password_is_kept_as_argon2id_and_found_again():
    """The hash names its algorithm, differs each time, and fits its own password alone."""
    hasher = passwords.Hasher()
    one, other = passwords.hashed("correct horse battery"), await hasher.hash("correct horse battery")
    assert one.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    assert one != other
    assert await hasher.fits("correct horse battery", one)
    assert not await hasher.fits("correct horse batterz", one)
    assert not await hasher.fits("nobody's password", None)
    assert not await hasher.fits("anything at all", "no hash")
    assert not hasher.is_weak(one)


@given(times=st.integers(0, 500), kind=st.sampled_from([*passwords.FREE]))
def test_the_wait_grows_up_to_a_quarter_of_an_hour(times, kind):
    """The first slips are free; no account is shut for ever by somebody who guesses."""
    keys = {kind: "key"}
    wait = passwords.wait_s(keys, {"key": (times, NOW)}, NOW)
    assert (wait > 0) == (times >= passwords.FREE[kind])
    assert wait <= 900
    assert wait <= passwords.wait_s(keys, {"key": (times + 1, NOW)}, NOW)
    assert passwords.wait_s(keys, {"key": (times, NOW)}, NOW + timedelta(seconds=900)) == 0


def test_a_school_is_one_address():
    """What waits after five slips is one person at one address; an address alone has two hundred."""
    assert passwords.FREE["both"] < passwords.FREE["account"] < passwords.FREE["address"]


def test_keys_name_nobody():
    """What is counted by holds no address, and the same account whatever its capitals."""
    keys = passwords.keys_of("Sam@Maple.example", "10.0.0.7")
    assert keys["account"] == passwords.keys_of(" sam@maple.EXAMPLE", "10.0.0.8")["account"]
    assert keys["both"] != passwords.keys_of("sam@maple.example", "10.0.0.8")["both"]
    assert not [key for key in keys.values() if "maple" in key or "10.0" in key or len(key) > 80]


def test_an_address_alone_never_waits_for_long():
    """A school is one address: whoever fails there again and again doesn't lock everybody else out."""
    keys = passwords.keys_of("kim@d.example", "192.0.2.7")
    failed = {keys["address"]: (10_000, NOW)}
    assert 0 < passwords.wait_s(keys, failed, NOW) <= 2
