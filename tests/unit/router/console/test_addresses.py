"""What counts as one place where sign-ins come from."""

from __future__ import annotations

import pytest

from router.console.addresses import place
from router.console.passwords import keys_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:db8:1:2::1", "2001:DB8:1:2:0:0:0:9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_one_place(one, other):
    """An IPv6 network of 64 bits, and an IPv4 address however it is written."""
    assert place(one) == place(other)
    assert keys_of("a@b.example", one) == keys_of("a@b.example", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8:1:2::1", "2001:db8:1:3::1"), ("203.0.113.9", "203.0.113.8"), ("::ffff:1.2.3.4", "::ffff:1.2.3.5")],
)
def test_two_places(one, other):
    """Another network, another IPv4 address."""
    assert place(one) != place(other)
    assert keys_of("a@b.example", one)["both"] != keys_of("a@b.example", other)["both"]


def test_what_is_no_address_stays_what_it_is():
    """A socket in the file system has no address; it is counted all the same."""
    assert place("") == ""
    assert place("unix:") == "unix:"
