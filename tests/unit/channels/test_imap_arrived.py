"""When a mail arrived in its mailbox, as IMAP servers write it."""

from __future__ import annotations

import pytest

from channels._imap_position import arrived_at


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"17-Jul-2026 02:44:25 -0700", "2026-07-17T09:44:25+00:00"),
        (b'" 7-Jul-2026 23:44:25 +0200"', "2026-07-07T21:44:25+00:00"),
        (b"7-Jul-2026 23:44:25 +0000", "2026-07-07T23:44:25+00:00"),
        (b"", ""),
        (b"yesterday", ""),
        (b"17-Foo-2026 02:44:25 -0700", ""),
        (b"17-Jul-9999999 02:44:25 -0700", ""),
    ],
)
def test_an_internal_date_is_a_time_or_nothing(written, meant):
    """Quoted or not, in any zone; what can't be read is left out, and no mail is refused for it."""
    assert arrived_at(written) == meant
