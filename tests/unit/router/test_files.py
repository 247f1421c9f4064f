"""Files that change while we run: what counts as a change, and when."""

from __future__ import annotations

import os

import pytest

from router.files import FileWatch, content


@pytest.fixture
def file(tmp_path):
    """A file that says something."""
    path = tmp_path / "signpost.yaml"
    path.write_text("one")
    return path


@pytest.fixture
def watch(file):
    """A watch over it."""
    return FileWatch(lambda: [file])


def touch_later(file, by=5):
    """Give a file a later time: two writes within one tick of the disk's clock would look the same."""
    at = file.stat().st_mtime + by
    os.utime(file, (at, at))


def test_nothing_happens_nothing_changed(watch):
    """However often one looks."""
    assert [watch.changed() for _ in range(3)] == [False] * 3


def test_a_change_is_told_once_when_the_file_has_come_to_rest(watch, file):
    """The first look after a write may find half a file; the second tells, the third doesn't."""
    file.write_text("two")
    touch_later(file)
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_a_file_that_is_being_written_is_waited_for(watch, file):
    """As long as each look finds it otherwise, nothing is told."""
    for number in range(4):
        file.write_text("two" * number)
        touch_later(file, number + 1)
        assert not watch.changed()
    assert watch.changed()


def test_the_same_words_are_no_change(watch, file):
    """A file that is saved as it was, or touched, says nothing new; a later change is seen all the same."""
    file.write_text("one")
    touch_later(file)
    assert [watch.changed() for _ in range(3)] == [False] * 3
    file.write_text("two")
    touch_later(file, 10)
    assert [watch.changed() for _ in range(2)] == [False, True]


def test_an_editor_that_replaces_the_file_is_seen(watch, file, tmp_path):
    """A new file in the old one's place, with the old one's time and size, is another file."""
    new, times = tmp_path / "new", file.stat()
    new.write_text("two")
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    new.replace(file)
    assert [watch.changed() for _ in range(2)] == [False, True]


def test_an_exchanged_link_is_seen(tmp_path):
    """As orchestrators mount configuration: a link to a folder that is exchanged as a whole."""
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "signpost.yaml").write_text(version)
    (tmp_path / "data").symlink_to("v1")
    (tmp_path / "signpost.yaml").symlink_to("data/signpost.yaml")
    watch = FileWatch(lambda: [tmp_path / "signpost.yaml"])
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").replace(tmp_path / "data")
    assert [watch.changed() for _ in range(2)] == [False, True]


def test_a_file_that_goes_and_comes_back(watch, file):
    """Gone for longer than a moment is a change; back with the same words is one more."""
    file.unlink()
    assert [watch.changed() for _ in range(3)] == [False, True, False]
    file.write_text("one")
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_what_the_file_names_is_watched_from_then_on(tmp_path, file):
    """After a change it is asked anew which files count: a secret that wasn't there yet does, too."""
    secret, named = tmp_path / "secret", [file]
    watch = FileWatch(lambda: named)
    named.append(secret)
    secret.write_text("first")
    assert [watch.changed() for _ in range(2)] == [False, False]
    file.write_text("two")
    touch_later(file)
    assert [watch.changed() for _ in range(2)] == [False, True]
    secret.write_text("second")
    touch_later(secret)
    assert [watch.changed() for _ in range(2)] == [False, True]


def test_what_is_noted_is_no_change_any_more(watch, file):
    """Whoever reads the file for another reason says so."""
    file.write_text("two")
    touch_later(file)
    watch.note()
    assert [watch.changed() for _ in range(2)] == [False, False]


def test_content_tells_files_apart(tmp_path, file):
    """By name and by what they say; one that can't be read is like one that isn't there."""
    other = tmp_path / "other"
    missing = content([file, other])
    other.mkdir()
    assert content([file, other]) == missing
    other.rmdir()
    other.write_text("")
    assert len({missing, content([file, other]), content([other]), content([file])}) == 4
