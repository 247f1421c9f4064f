"""The bundled model's cache: a help that can be missing, damaged or read-only without harm."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from classifiers._artifact import unpack
from classifiers._corpus import Corpus
from router.learning.bundled import bundled, default_cache_dir, is_cached


@pytest.fixture
def counting(linear):
    """The linear type, and a list that grows with every training."""
    trainings = []

    def train(*rest, **named):
        trainings.append(1)
        return linear.train(*rest, **named)

    return replace(linear, train=train), trainings


def test_it_is_trained_once_and_read_from_the_disk_afterwards(tmp_path, counting, settings, corpus, steps):
    """The second start costs no training and gives the same model."""
    kind, trainings = counting
    where = {"cache_dir": tmp_path / "cache", "corpus": corpus}
    assert not is_cached(kind, settings, **where)
    first = bundled(kind, settings, steps, **where)
    assert is_cached(kind, settings, **where)
    assert bundled(kind, settings, steps, **where) == first
    assert len(trainings) == 1
    assert unpack(*first).type == "linear"


@pytest.mark.parametrize("damage", [lambda data: data[:1000], lambda data: data[:-1] + b"?", lambda _: b""])
def test_a_damaged_file_is_trained_again_and_replaced(tmp_path, counting, settings, corpus, steps, damage):
    """Cut short, altered or empty: never served."""
    kind, trainings = counting
    first = bundled(kind, settings, steps, cache_dir=tmp_path, corpus=corpus)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert bundled(kind, settings, steps, cache_dir=tmp_path, corpus=corpus) == first
    assert path.read_bytes() == first[0]
    assert len(trainings) == 2


def test_models_of_former_versions_stayed_in_the_cache_for_good(tmp_path, counting, settings, corpus, steps):
    """What nobody has used for a month goes when a new one is made; what is in use, or isn't ours, stays."""
    kind, _trainings = counting
    long_ago = time.time() - 40 * 86_400
    bundled(kind, settings, steps, cache_dir=tmp_path, corpus=corpus)
    (used,) = tmp_path.iterdir()
    old, half, other = (tmp_path / name for name in ("bundled-0123.model", ".bundled-half", "letters.txt"))
    for path in (old, half, other):
        path.write_bytes(b"?")
    for path in (old, half, other, used):
        os.utime(path, (long_ago, long_ago))
    assert is_cached(kind, settings, cache_dir=tmp_path, corpus=corpus)
    bundled(kind, settings.model_copy(update={"c": 2.0}), steps, cache_dir=tmp_path, corpus=corpus)
    left = set(tmp_path.iterdir())
    assert {used, other} < left
    assert not left & {old, half}
    assert len(left) == 3


def test_another_corpus_or_setting_is_another_model(tmp_path, counting, settings, corpus, steps):
    """What it was made of is in the file's name."""
    kind, _trainings = counting
    bundled(kind, settings, steps, cache_dir=tmp_path, corpus=corpus)
    assert not is_cached(kind, settings, cache_dir=tmp_path, corpus=Corpus(corpus.rows, "another fingerprint"))
    assert not is_cached(kind, settings.model_copy(update={"c": 2.0}), cache_dir=tmp_path, corpus=corpus)


def test_a_folder_that_cannot_be_written_leaves_the_model_uncached(tmp_path, linear, settings, corpus, steps):
    """The model is there all the same, and progress says why it isn't kept."""
    (tmp_path / "file").write_text("in the way")
    progress = steps
    data, sha256 = bundled(linear, settings, progress, cache_dir=tmp_path / "file" / "cache", corpus=corpus)
    assert unpack(data, sha256).type == "linear"
    assert "can't be kept" in progress.told[-1][0]


def test_two_at_once_leave_one_sound_file(tmp_path, linear, settings, corpus, steps):
    """Both train because neither finds a file; both put it in place whole; nothing else is left behind."""
    both = Barrier(2)

    def train(*rest, **named):
        artifact = linear.train(*rest, **named)
        both.wait(timeout=60)
        return artifact

    kind = replace(linear, train=train)
    with ThreadPoolExecutor(2) as threads:
        made = [threads.submit(bundled, kind, settings, steps, cache_dir=tmp_path, corpus=corpus) for _ in range(2)]
        hashes = {one.result(60)[1] for one in made}  # liblinear draws from the process's generator: not always equal
    (path,) = tmp_path.iterdir()
    assert unpack(path.read_bytes()).sha256 in hashes


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"SIGNPOST_CACHE": "/a", "CACHE_DIRECTORY": "/b"}, Path("/a")),
        ({"CACHE_DIRECTORY": "/b:/c", "XDG_CACHE_HOME": "/d"}, Path("/b")),
        ({"XDG_CACHE_HOME": "/d"}, Path("/d/signpost")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache" / "signpost"),
        ({}, Path.home() / ".cache" / "signpost"),
    ],
)
def test_where_the_cache_is(env, expected):
    """Our own variable, systemd's, the desktop's, the home directory."""
    assert default_cache_dir(env) == expected
