"""Searches of the console: the same words find the same on both databases, and whatever is typed is no error."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.store.engine import open_store
from router.store.scope import Scope
from router.store.search_words import asked, to_fts5, to_tsquery
from router.testing import FakeClock
from tests.contract.figured import NOW
from tests.contract.indexed import Indexed

WRITTEN = {
    "A": {
        "subject": "Lost jacket",
        "text": "My son lost his BLUE jacket on bus 12.",
        "sender": "ana.ruiz@home.example",
    },
    "B": {"subject": "Café menü", "text": "¿Qué hay de comer mañana?", "sender": "+15555550142"},
    "C": {"text": "The bus was late; a blue bus. Invoice 2026-11/7", "external_id": "<q7.w@mail.example>"},
}
FOUND = {
    "bus": {"A", "C"},
    "BUS lost": {"A"},
    "lost bus": {"A"},
    '"blue jacket"': {"A"},
    '"jacket blue"': set(),
    '"blue bus': {"C"},
    "jack": {"A"},
    "jack bus": set(),
    "jack ": set(),
    "bus -jacket": {"C"},
    "-bus": {"B"},
    "cafe menu": {"B"},
    "MAÑANA": {"B"},
    "manan": {"B"},
    "ana.ruiz@home.example": {"A"},
    "ana.ruiz@home.exam": set(),
    "+1 (555) 555-0142": {"B"},
    "555-555-0142": {"B"},
    "5555550142": {"B"},
    "2026-11/7": {"C"},
    "<q7.w@mail.example>": {"C"},
    "AAAAAAAAAAAA": {"A"},
    "bus OR jacket": set(),
    "words:bus": set(),
    "***": set(),
    "bus & jacket": {"A"},
    "zebra": set(),
}


@pytest.fixture
async def written(indexed):
    for name, content in WRITTEN.items():
        await indexed.write(name * 12, **content)
    await indexed.follow()
    return indexed


async def test_what_searches_find(written):
    """All words, any order; "in a row"; the last may go on; -not; accents, case and signs make no difference."""
    found = {words: {each[0] for each in await written.find(words)} for words in FOUND}
    assert found == FOUND
    assert await written.find("bus", Scope(departments=frozenset({"meals"}))) == set()


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.text(max_size=40) | st.text(alphabet="\"-*():^+{}[]|&!<>'\\ abc1:é\0", max_size=30))
def test_whatever_is_typed_is_no_error(words, sqlite_connection):
    """Operators, quotes, signs and rubbish are words or nothing."""
    parts = asked(words)
    query = to_fts5([["a"]], parts)
    sqlite_connection.execute("SELECT rowid FROM t WHERE t MATCH ?", (query,)).fetchall()
    assert "\0" not in to_tsquery([["a"]], parts)


async def test_whatever_is_typed_is_no_error_in_the_store(written, seed):
    """The same through the whole statement, on both databases."""
    random = Random(seed)
    for _ in range(80):
        words = "".join(random.choices("\"-*():^+{}|&!<>'\\ abcé1%:$", k=random.randrange(1, 25)))
        await written.find(words)


@pytest.fixture
def sqlite_connection():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(marks, words, tokenize = 'ascii', prefix = '2 3 4')")
    connection.execute("INSERT INTO t VALUES ('a', 'abc')")
    yield connection
    connection.close()


@pytest.fixture
async def indexed(store_url):
    clock = FakeClock(NOW + timedelta(minutes=30))
    store = open_store(store_url, clock)
    await store.open()
    yield await Indexed(store, clock).begin()
    await store.close()
