"""Vectors of many texts for training, kept beside the encoder, so that a retraining encodes only what is new.

The file holds exactly what the last training used: a message that is deleted leaves no vector behind for long.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from classifiers._embed import Encoder
    from router.interfaces import Progress

    Vectors = NDArray[np.float16]

CACHE_FILE = "embeddings.npz"
_KEY = 16  # bytes of a text's hash
_CHUNK = 256  # texts between two reports of progress


def embeddings(texts: Sequence[str], encoder: Encoder, progress: Progress) -> NDArray[np.float32]:
    """Return the texts' vectors (texts × width), rounded to half precision, the same whether cached or not.

    The cache is only a help: a damaged or foreign file is ignored, and a folder that can't be written leaves none.
    """
    keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:_KEY] for text in texts]
    path = encoder.about.model.parent / CACHE_FILE
    known = _read(path, encoder.about.sha256)
    lacking = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    vectors = dict(zip(lacking, _encoded(list(lacking.values()), encoder, progress), strict=True))
    used = {key: vectors[key] if key in vectors else known[key] for key in keys}
    if lacking or len(used) < len(known):
        _write(path, used, encoder.about.sha256)
    return np.array([used[key] for key in keys], dtype=np.float32)


def _encoded(texts: Sequence[str], encoder: Encoder, progress: Progress) -> list[Vectors]:
    result: list[Vectors] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(texts), _CHUNK):
            progress(f"encoding messages ({start} of {len(texts)})", start / len(texts))
            chunk = texts[start : start + _CHUNK]
            result += [vector.astype(np.float16) for vector in pool.map(encoder.embed, chunk)]
    return result


def _read(path: Path, sha256: str) -> dict[bytes, Vectors]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            if str(file["encoder"]) != sha256:
                return {}
            keys, vectors = file["keys"], file["vectors"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    return {key.tobytes(): vector for key, vector in zip(keys, vectors, strict=False)}


def _write(path: Path, used: Mapping[bytes, Vectors], sha256: str) -> None:
    """Put the file in its place at once; only its owner may read it, since a vector tells much of its text."""
    keys = np.frombuffer(b"".join(used), dtype=np.uint8).reshape(-1, _KEY)
    arrays: dict[str, Any] = {"encoder": np.array(sha256), "keys": keys, "vectors": np.array(list(used.values()))}
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError:
        return
    try:
        with os.fdopen(number, "wb") as file:
            np.savez(file, **arrays)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
