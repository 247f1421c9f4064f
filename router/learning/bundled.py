"""The bundled model: what the bundled corpus alone teaches, trained once and kept on disk for the next start."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from classifiers._artifact import unpack
from classifiers._corpus import Corpus, load_corpus
from router.errors import BadArtifact
from router.learning.basis import basis
from router.learning.train import train

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.interfaces import ClassifierType, Progress, Settings

_FILES, _UNFINISHED = "bundled-*.model", ".bundled-"
_UNUSED, _ABANDONED = timedelta(days=30), timedelta(days=1)


def bundled(
    classifier: ClassifierType,
    settings: Settings,
    progress: Progress,
    *,
    cache_dir: Path | None = None,
    corpus: Corpus | None = None,
) -> tuple[bytes, str]:
    """Return the bundled model's artifact and its SHA-256, from the cache or else trained (seconds of a processor).

    The cache is only a help: a damaged file is replaced, and a folder that can't be written leaves the model uncached.
    """
    corpus = corpus or load_corpus()
    path = _cached_file(classifier, settings, cache_dir or default_cache_dir(os.environ), corpus)
    known = _read(path)
    if known is not None:
        return known
    made = train(classifier, settings, progress=progress, corpus=corpus)
    try:
        _write(path, made.artifact)
        _tidy(path.parent)
    except OSError as error:
        progress(f"the model can't be kept in {path.parent}: {error.strerror or error}", 1.0)
    return made.artifact, made.sha256


def is_cached(
    classifier: ClassifierType, settings: Settings, *, cache_dir: Path | None = None, corpus: Corpus | None = None
) -> bool:
    """Return whether `bundled` would answer at once."""
    directory = cache_dir or default_cache_dir(os.environ)
    return _read(_cached_file(classifier, settings, directory, corpus or load_corpus())) is not None


def default_cache_dir(env: Mapping[str, str]) -> Path:
    """Return `SIGNPOST_CACHE`, systemd's `CACHE_DIRECTORY`, `XDG_CACHE_HOME/signpost` or `~/.cache/signpost`.

    The first that is set counts. systemd.exec(5) may name several directories, separated by colons: the first is
    taken. A relative XDG_CACHE_HOME is ignored, as the XDG Base Directory Specification wants.
    """
    if env.get("SIGNPOST_CACHE"):
        return Path(env["SIGNPOST_CACHE"]).expanduser()
    if env.get("CACHE_DIRECTORY"):
        return Path(env["CACHE_DIRECTORY"].partition(":")[0])
    home = Path(env.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "signpost"


def kept(classifier: ClassifierType, settings: Settings, *, cache_dir: Path | None = None) -> tuple[bytes, str] | None:
    """Return what `bundled` would return at once, None if it would have to be trained."""
    return _read(_cached_file(classifier, settings, cache_dir or default_cache_dir(os.environ), load_corpus()))


def _cached_file(classifier: ClassifierType, settings: Settings, directory: Path, corpus: Corpus) -> Path:
    """Return where the model is kept: one that is made of anything else is another file."""
    return directory / f"bundled-{basis(classifier, settings, corpus)[:24]}.model"


def _read(path: Path) -> tuple[bytes, str] | None:
    """Return a kept model if there is a sound one; it is known by its time that it was used."""
    try:
        artifact = unpack(path.read_bytes())
    except (OSError, BadArtifact):
        return None
    with suppress(OSError):  # a folder that can't be written isn't tidied either
        os.utime(path)
    return artifact.packed, artifact.sha256


def _tidy(folder: Path) -> None:
    """Remove what other versions of the program, or other settings, left here and nobody has used for a while."""
    for pattern, age in ((_FILES, _UNUSED), (f"{_UNFINISHED}*", _ABANDONED)):
        for path in folder.glob(pattern):
            with suppress(OSError):  # another daemon may tidy, too
                if path.stat().st_mtime < time.time() - age.total_seconds():
                    path.unlink()


def _write(path: Path, data: bytes) -> None:
    """Put the file in its place at once, so that no reader and no second writer ever meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
