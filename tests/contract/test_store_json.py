"""What is stored as JSON comes back as it was, though other encoders write and read it than SQLAlchemy's."""

from __future__ import annotations

import math

import pytest

from router.store import cursors

VALUES = [
    {"ñ": "mañana 🚌", "quotes": '"\\\u2028\n', "nested": [None, True, {"a": []}]},
    {"small": 1.5e-9, "precise": 0.1 + 0.2, "large": 2**60, "negative": -7, "zero": 0.0},
    {},
]


@pytest.mark.parametrize("value", VALUES)
async def test_a_value_comes_back(store, value):
    """With the same types, to the last digit."""
    await store.write(lambda c: cursors.put(c, "mail", "k", value))
    found = await store.read(lambda c: cursors.get(c, "mail", "k"))
    assert found == value
    assert list(map(type, found.values())) == list(map(type, value.values()))


async def test_what_only_the_standard_library_writes_comes_back_from_sqlite(sqlite_store):
    """Half a surrogate pair, as a hostile program may send it; and a score without end."""
    value = {"half": "\ud83d", "endless": -math.inf}
    await sqlite_store.write(lambda c: cursors.put(c, "mail", "k", value))
    assert await sqlite_store.read(lambda c: cursors.get(c, "mail", "k")) == value
