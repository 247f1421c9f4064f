"""A trained model as data: named arrays and JSON in one checked container. No code, no pickle.

Layout: magic (16 bytes) · format version (u32) · header length (u32) · header (JSON: type, meta, arrays) · array bytes,
each at a multiple of 64 · SHA-256 of everything before. Numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from router.errors import BadArtifact

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = b"signpost-model\r\n"  # a transfer that rewrites line ends shows at once
FORMAT = 1
MODEL_FILE, MANIFEST_FILE = "model.bin", "manifest.json"
_PREFIX = struct.Struct("<16sII")
_DIGEST = 32
_ALIGN = 64
_MAX_BYTES = 2 << 30
_DTYPES = frozenset({"|u1", "|i1", "|b1", "<u2", "<i2", "<f2", "<u4", "<i4", "<f4", "<u8", "<i8", "<f8"})


@dataclass(frozen=True)
class Artifact:
    """A model: the classifier type that can load it, its arrays, and JSON (labels, metrics, thresholds)."""

    type: str
    arrays: Mapping[str, np.ndarray[Any, Any]] = field(repr=False)
    meta: Mapping[str, Any] = field(repr=False)

    @cached_property
    def packed(self) -> bytes:
        """The container's bytes; the same model always gives the same bytes."""
        return pack(self)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the container, hexadecimal."""
        return hashlib.sha256(self.packed).hexdigest()

    @property
    def version(self) -> str:
        """The model's name: the first twelve hex digits of its SHA-256."""
        return self.sha256[:12]


def pack(artifact: Artifact) -> bytes:
    """Return the container's bytes. Raise `BadArtifact` for arrays that aren't plain numbers."""
    entries, chunks, offset = [], [], 0
    for name in sorted(artifact.arrays):
        array = np.ascontiguousarray(artifact.arrays[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if array.dtype.str not in _DTYPES:
            raise BadArtifact(f"the model's array '{name}' has type {array.dtype}; only plain numbers can be stored")
        raw = array.tobytes()
        entries.append({"name": name, "dtype": array.dtype.str, "shape": list(array.shape), "offset": offset})
        chunks.append(raw + bytes(-len(raw) % _ALIGN))
        offset += len(chunks[-1])
    header = {"type": artifact.type, "meta": dict(artifact.meta), "arrays": entries}
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(len(text) + _PREFIX.size) % _ALIGN)
    body = _PREFIX.pack(MAGIC, FORMAT, len(text)) + text + b"".join(chunks)
    return body + hashlib.sha256(body).digest()


def unpack(data: bytes, sha256: str | None = None) -> Artifact:
    """Return the model in a container; its arrays are read-only views of `data`.

    `sha256` is what the container must hash to, where that is known. Raise `BadArtifact` with the reason otherwise.
    """
    text, arrays_at, found = _checked_header(data, sha256)
    try:
        header = json.loads(text)
        arrays = {entry["name"]: _array(entry, data, arrays_at) for entry in header["arrays"]}
        artifact = Artifact(type=str(header["type"]), arrays=arrays, meta=header["meta"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadArtifact(f"the model's header can't be read: {error}") from error
    if not isinstance(artifact.meta, dict):
        raise BadArtifact("the model's header can't be read: meta isn't an object")
    artifact.__dict__.update(packed=bytes(data), sha256=found)  # what was checked is what is kept
    return artifact


def _checked_header(data: bytes, sha256: str | None) -> tuple[bytes, int, str]:
    """Check size, magic, version and both digests; return the header's JSON, where the arrays start and the SHA-256."""
    if len(data) < _PREFIX.size + _DIGEST:
        raise BadArtifact(f"the model is cut short: {len(data)} bytes")
    if len(data) > _MAX_BYTES:
        raise BadArtifact(f"the model has {len(data)} bytes, more than the {_MAX_BYTES} that are accepted")
    magic, version, size = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise BadArtifact("this isn't a Signpost model: it doesn't start with its mark")
    if version != FORMAT:
        raise BadArtifact(f"the model has format {version}, this program reads format {FORMAT}")
    digest = hashlib.sha256(memoryview(data)[:-_DIGEST])  # once for both: tens of MB take a tenth of a second
    if digest.digest() != data[-_DIGEST:]:
        raise BadArtifact("the model is damaged: its bytes don't match their checksum (cut short or altered)")
    digest.update(data[-_DIGEST:])
    if sha256 is not None and digest.hexdigest() != sha256.lower():
        raise BadArtifact("the model isn't the one that was registered: its SHA-256 differs")
    start = _PREFIX.size + size
    if start > len(data) - _DIGEST:
        raise BadArtifact(f"the model claims a header of {size} bytes, more than it has")
    return data[_PREFIX.size : start], start, digest.hexdigest()


def _array(entry: Mapping[str, Any], data: bytes, arrays_at: int) -> np.ndarray[Any, Any]:
    """Return one array as a view, having checked that it is plain numbers and lies within the data."""
    name, dtype, shape, offset = entry["name"], entry["dtype"], entry["shape"], entry["offset"]
    if dtype not in _DTYPES:
        raise BadArtifact(f"the model's array '{name}' has type {dtype!r}; only plain numbers are accepted")
    if not all(type(size) is int and size >= 0 for size in (*shape, offset)):
        raise BadArtifact(f"the model's array '{name}' has an impossible shape")
    count = prod(shape)
    start = arrays_at + offset
    if start + count * np.dtype(dtype).itemsize > len(data) - _DIGEST:
        raise BadArtifact(f"the model's array '{name}' claims {count} numbers, more than the model holds")
    return np.frombuffer(data, dtype=dtype, count=count, offset=start).reshape(shape)


def save(artifact: Artifact, directory: Path, facts: Mapping[str, Any]) -> None:
    """Write `model.bin` and `manifest.json` into the directory (made if missing), each file whole or not at all.

    `facts` go into the manifest as they are: created_at, metrics, library versions, data fingerprint.
    """
    directory.mkdir(parents=True, exist_ok=True)
    labels = artifact.meta.get("labels", [])
    manifest = {**facts, "type": artifact.type, "version": artifact.version, "sha256": artifact.sha256}
    text = json.dumps({**manifest, "labels": labels}, indent=2, sort_keys=True, ensure_ascii=False)
    _replace(directory / MODEL_FILE, artifact.packed)
    _replace(directory / MANIFEST_FILE, text.encode() + b"\n")


def load(directory: Path) -> tuple[Artifact, dict[str, Any]]:
    """Return the model in a directory and its manifest; raise `BadArtifact` if it is missing, damaged or foreign."""
    try:
        manifest = json.loads((directory / MANIFEST_FILE).read_bytes())
        sha256 = str(manifest["sha256"])
        if (directory / MODEL_FILE).stat().st_size > _MAX_BYTES:
            raise BadArtifact(f"{directory / MODEL_FILE} is too large for a model")
        data = (directory / MODEL_FILE).read_bytes()
    except OSError as error:
        raise BadArtifact(f"there is no readable model in {directory}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadArtifact(f"{directory / MANIFEST_FILE} can't be read: {error}") from error
    return unpack(data, sha256), manifest


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves either the old or the new one: temporary name, fsync, rename."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
