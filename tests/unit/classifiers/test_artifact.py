"""The container of a model: round trips, and a clear refusal of anything damaged or foreign."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from classifiers._artifact import FORMAT, MAGIC, Artifact, load, pack, save, unpack
from router.errors import BadArtifact

if TYPE_CHECKING:
    from pathlib import Path


def model() -> Artifact:
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([1, 2, 255], dtype=np.uint8)}
    return Artifact("linear", arrays, {"labels": ["x", "ñ"], "temperature": 0.25})


def container(header: Any, arrays: bytes = b"", version: int = FORMAT) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    data = struct.pack("<16sII", MAGIC, version, len(text)) + text + arrays
    return data + hashlib.sha256(data).digest()


def one_array(**changes: Any) -> bytes:
    entry = {"name": "a", "dtype": "<f4", "shape": [2], "offset": 0} | changes
    return container({"type": "linear", "meta": {}, "arrays": [entry]}, bytes(8))


def test_a_model_survives_the_round_trip() -> None:
    """Type, meta and arrays come back; the arrays can't be written to."""
    back = unpack(pack(model()))
    assert (back.type, back.meta) == ("linear", {"labels": ["x", "ñ"], "temperature": 0.25})
    for name, array in model().arrays.items():
        np.testing.assert_array_equal(back.arrays[name], array)
        assert back.arrays[name].dtype == array.dtype
        assert not back.arrays[name].flags.writeable


def test_the_same_model_has_the_same_bytes_and_name() -> None:
    """Packing is deterministic, whatever order the parts were put in; the version names the content."""
    other = Artifact("linear", dict(reversed(model().arrays.items())), dict(reversed(model().meta.items())))
    assert pack(other) == pack(model())
    assert other.version == model().version == unpack(pack(model())).version
    assert other.sha256.startswith(other.version)
    assert len(other.version) == 12


def test_big_endian_arrays_are_stored_little_endian() -> None:
    """A model trained on another kind of machine reads the same here."""
    back = unpack(pack(Artifact("linear", {"a": np.array([1.5, 2], dtype=">f8")}, {})))
    assert back.arrays["a"].tolist() == [1.5, 2]


def test_objects_are_never_stored() -> None:
    """An array of Python objects, which would need pickle, is refused."""
    with pytest.raises(BadArtifact, match="only plain numbers"):
        pack(Artifact("linear", {"a": np.array([{}], dtype=object)}, {}))


@pytest.mark.parametrize("length", [0, 10, 60, -1, -32, -100])
def test_a_truncated_model_is_refused(length: int) -> None:
    """Cut anywhere, it says that it was cut or altered."""
    with pytest.raises(BadArtifact, match="cut short"):
        unpack(pack(model())[:length])


def test_every_flipped_bit_is_noticed() -> None:
    """One bit anywhere is enough to refuse the model."""
    data = pack(model())
    for place in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(BadArtifact):
            unpack(bytes(damaged))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80\x04" + bytes(200), "isn't a Signpost model"),
        (container({}, version=99), "format 99"),
        (container(b"not json"), "header can't be read"),
        (container(b"[" * 100_000), "header can't be read"),
        (container({"type": "linear", "meta": {}}), "header can't be read"),
        (container({"type": "linear", "meta": [], "arrays": []}), "meta isn't an object"),
        (container([]), "header can't be read"),
        (one_array(dtype="|O"), "only plain numbers"),
        (one_array(dtype="|V8"), "only plain numbers"),
        (one_array(dtype=["<f4"]), "header can't be read"),
        (one_array(shape=[10**18]), "more than the model holds"),
        (one_array(shape=[2**40, 2**40]), "more than the model holds"),
        (one_array(shape=[-1]), "impossible shape"),
        (one_array(shape=[True]), "impossible shape"),
        (one_array(shape=[1.5]), "impossible shape"),
        (one_array(offset=-64), "impossible shape"),
        (one_array(offset=8), "more than the model holds"),
        (one_array(shape=3), "header can't be read"),
    ],
)
def test_foreign_and_absurd_models_are_refused(data: bytes, reason: str) -> None:
    """Whatever a file claims, reading it ends in a sentence and takes no memory it doesn't have."""
    with pytest.raises(BadArtifact, match=reason):
        unpack(data)


def test_a_header_longer_than_the_file_is_refused() -> None:
    """The header's length is checked against what is there."""
    data = struct.pack("<16sII", MAGIC, FORMAT, 2**31) + bytes(64)
    with pytest.raises(BadArtifact, match="header of"):
        unpack(data + hashlib.sha256(data).digest())


def test_another_model_than_the_registered_one_is_refused() -> None:
    """A whole model in the wrong place is noticed by the SHA-256 that was registered."""
    assert unpack(pack(model()), model().sha256).version == model().version
    with pytest.raises(BadArtifact, match="registered"):
        unpack(pack(model()), "0" * 64)


def test_a_directory_holds_the_model_and_a_readable_manifest(tmp_path: Path) -> None:
    """`save` writes both files, `load` reads them back, and nothing else is left in the directory."""
    place = tmp_path / "models" / "one"
    save(model(), place, {"created_at": "2026-01-01T00:00:00Z", "metrics": {"accuracy": 0.5}})
    save(model(), place, {"created_at": "2026-01-02T00:00:00Z"})
    artifact, manifest = load(place)
    assert artifact.meta["labels"] == manifest["labels"] == ["x", "ñ"]
    assert manifest["created_at"] == "2026-01-02T00:00:00Z"
    assert (manifest["type"], manifest["sha256"], manifest["version"]) == ("linear", model().sha256, artifact.version)
    assert sorted(path.name for path in place.iterdir()) == ["manifest.json", "model.bin"]


def test_a_directory_without_a_model_says_so(tmp_path: Path) -> None:
    """Missing and unreadable parts of a directory are told apart from damaged models."""
    with pytest.raises(BadArtifact, match="no readable model"):
        load(tmp_path)
    save(model(), tmp_path, {})
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(BadArtifact, match=r"manifest\.json can't be read"):
        load(tmp_path)
    save(model(), tmp_path, {})
    (tmp_path / "model.bin").write_bytes(pack(Artifact("linear", {}, {})))
    with pytest.raises(BadArtifact, match="registered"):
        load(tmp_path)
