"""Sentence encoders that are known to work, and how their files come onto this machine: `signpost encoder`."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from classifiers._embed import ABOUT_FILE, about
from router.errors import NotFound, SignpostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from classifiers._embed import About
    from router.interfaces import Progress

FOLDER = Path("var/encoders")
_TIMEOUT_S = 60.0  # without a byte
_CHUNK = 1 << 18  # bytes


@dataclass(frozen=True, slots=True)
class EncoderFile:
    """A file below an encoder's address: what it is called there, its size in bytes and its SHA-256."""

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """What it is called in the encoder's folder."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEncoder:
    """An encoder that anybody may fetch. Its address names one revision, so that the digests hold for good."""

    title: str
    languages: str
    licence: str
    address: str
    files: tuple[EncoderFile, ...]
    prefix: str = ""
    max_tokens: int

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def described(self) -> dict[str, Any]:
        """Return what goes into the folder's `encoder.json`."""
        facts = {"name": self.title, "languages": self.languages, "licence": self.licence, "source": self.address}
        return {**facts, "prefix": self.prefix, "max_tokens": self.max_tokens}


def _known(repository: str, revision: str, model: tuple[int, str], tokenizer: tuple[int, str], **facts: Any) -> Any:
    files = (EncoderFile("onnx/model_quantized.onnx", *model), EncoderFile("tokenizer.json", *tokenizer))
    return KnownEncoder(address=f"https://huggingface.co/{repository}/resolve/{revision}/", files=files, **facts)


KNOWN: Mapping[str, KnownEncoder] = {
    "minilm": _known(
        "Xenova/all-MiniLM-L6-v2",
        "751bff37182d3f1213fa05d7196b954e230abad9",
        (22_972_370, "afdb6f1a0e45b715d0bb9b11772f032c399babd23bfc31fed1c170afc848bdb1"),
        (711_661, "da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0"),
        title="all-MiniLM-L6-v2",
        languages="English",
        licence="Apache-2.0",
        max_tokens=256,
    ),
    "multilingual-minilm": _known(
        "Xenova/paraphrase-multilingual-MiniLM-L12-v2",
        "2c4055b12046f11709e9df2c122e59ffbdc2f900",
        (118_308_126, "66fc00f5f29afcaff34092e1bdd20008ca3918265a82fb9695a551e510cc4ebc"),
        (17_082_913, "b60b6b43406a48bf3638526314f3d232d97058bc93472ff2de930d43686fa441"),
        title="paraphrase-multilingual-MiniLM-L12-v2",
        languages="some 50",
        licence="Apache-2.0",
        max_tokens=128,
    ),
    "multilingual-e5-small": _known(
        "Xenova/multilingual-e5-small",
        "761b726dd34fb83930e26aab4e9ac3899aa1fa78",
        (118_308_185, "f80102d3f2a1229f387d3c81909990d8945513e347b0eab049f7de3c6f98c193"),
        (17_082_730, "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39"),
        title="multilingual-e5-small",
        languages="some 100",
        licence="MIT",
        prefix="query: ",
        max_tokens=256,
    ),
}
"""By the names that `signpost encoder fetch` takes. All are int8 graphs with mean pooling."""


def known(name: str) -> KnownEncoder:
    """Return a known encoder; raise `NotFound`."""
    if name not in KNOWN:
        raise NotFound(f"there is no known encoder '{name}'; known are {', '.join(KNOWN)}")
    return KNOWN[name]


def fetch(encoder: KnownEncoder, folder: Path, progress: Progress, address: str = "") -> About:
    """Download an encoder into a new folder: whole and with the right digests, or not at all.

    `address` is where else the files are, such as a district's own mirror. Raise `SignpostError` with what went wrong.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SignpostError(f"{folder} isn't empty: remove it, or choose another folder with --into")
    base = (address or encoder.address).rstrip("/") + "/"
    if urlsplit(base).scheme not in {"http", "https"}:
        raise SignpostError(f"{base} isn't a web address")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        done = 0
        for file in encoder.files:
            _download(base + file.path, file, work / file.name, partial(_told, progress, file.name, done, encoder.size))
            done += file.size
        (work / ABOUT_FILE).write_text(json.dumps(encoder.described(), indent=2) + "\n")
        work.chmod(0o755)
        work.replace(folder)  # an empty folder gives way
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return about(folder)


def _told(progress: Progress, name: str, before: int, total: int, size: int) -> None:
    have = before + size
    progress(f"{name}: {have / 1e6:.0f} of {total / 1e6:.0f} MB", have / total)


def _download(url: str, file: EncoderFile, target: Path, tell: Callable[[int], None]) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "signpost-router"})  # noqa: S310  scheme was checked
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer, target.open("wb") as output:  # noqa: S310  as above
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > file.size:
                    break
                digest.update(chunk)
                output.write(chunk)
                tell(size)
    except urllib.error.HTTPError as error:
        raise SignpostError(f"{url} can't be fetched: the server says {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", "") or str(error) or type(error).__name__
        raise SignpostError(f"{url} can't be fetched: {why}") from error
    if size < file.size:
        raise SignpostError(f"{url} ended after {size} of {file.size} bytes: try again")
    if digest.hexdigest() != file.sha256:
        raise SignpostError(f"{url} isn't the file that is known here: its SHA-256 differs. Nothing of it was kept")
