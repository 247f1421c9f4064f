"""The contact list in a daemon: read with the configuration, used, never logged, refused as a whole."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from random import Random

import pytest
import structlog

from config.files import files_of
from config.load import load
from router.assemble import assemble
from router.errors import ConfigError, SignpostError
from router.files import FileWatch
from router.files import content as digest
from router.records import Content, Medium, Message
from tests.unit.router.commandline import write_district

HEADER = "School,Email,Phone\n"


@pytest.fixture
def district(tmp_path, monkeypatch):
    """A configuration with a contact list: Ana's child is at Lincoln."""
    monkeypatch.chdir(tmp_path)
    path = write_district(tmp_path)
    path.write_text(path.read_text().replace("timezone:", "contacts_file: contacts.csv, timezone:"))
    (tmp_path / "contacts.csv").write_text(f"{HEADER}LES,ana@home.example,5555550111\nElsewhere,bo@home.example,\n")
    return path


def message(sender):
    """Return a message that names no school."""
    at = datetime(2026, 3, 2, tzinfo=UTC)
    content = Content(sender=sender, text="he is sick today")
    return Message(id="1", channel="contact", medium=Medium.EMAIL, received_at=at, content=content)


async def school_of(parts, sender):
    """Decide a message and return its school."""
    [verdict] = await parts.router.decide([message(sender)])
    return verdict.decision.school


async def test_the_contact_list_is_read_with_the_configuration(district, sqlite_store):
    """It decides the school, also after a change and a reload; the log holds counts and nothing of the list."""
    said = io.StringIO()
    log = structlog.wrap_logger(structlog.PrintLogger(said), processors=[structlog.processors.JSONRenderer()])
    before = await assemble(load(district, env={}), sqlite_store, Random(0), log)
    try:
        assert await school_of(before, "ana@home.example") == "lincoln"
        assert await school_of(before, "+15555550111") == "lincoln"
        assert await school_of(before, "bo@home.example") == ""

        (district.parent / "contacts.csv").write_text(f"{HEADER}lincoln,bo@home.example,\n")
        after = await assemble(load(district, env={}), sqlite_store, Random(0), log, before)
        assert await school_of(after, "bo@home.example") == "lincoln"
        assert await school_of(after, "ana@home.example") == ""
    finally:
        await before.parsers.aclose()
    assert '"rows": 2, "contacts": 2, "unknown_schools": 1, "event": "contacts_read"' in said.getvalue()
    assert "home.example" not in said.getvalue()
    assert "5555550111" not in said.getvalue()


async def test_a_list_that_cannot_be_used_is_refused(district, sqlite_store, log):
    """By its header when the configuration is read, by its rows before anything is exchanged."""
    path = district.parent / "contacts.csv"
    path.write_text("name,street\n")
    with pytest.raises(
        ConfigError, match=r"district\.yaml:1: organization\.contacts_file: the contact list can't be us"
    ):
        load(district, env={})
    assert (
        load(district, secrets=False).organization.contacts_file == "contacts.csv"
    )  # who may not see it isn't asked to

    path.write_bytes(HEADER.encode() + b"LES,ana@home.example\n\xff\xfa,\xfe\n")
    with pytest.raises(SignpostError, match="the contact list can't be read"):
        await assemble(load(district, env={}), sqlite_store, Random(0), log)


def test_a_change_far_down_in_the_list_is_seen(district):
    """The list is watched like the configuration itself, to its end: it may be megabytes long."""
    path = district.parent / "contacts.csv"
    path.write_text(HEADER + "LES,ana@home.example,\n" * 100_000)
    assert [file.name for file in files_of(district)] == ["district.yaml", "contacts.csv"]
    before, watch = digest([path]), FileWatch(lambda: files_of(district))

    path.write_text(path.read_text()[:-4] + "m,\n")

    assert digest([path]) != before
    assert not watch.changed()  # it may still be being written
    assert watch.changed()
