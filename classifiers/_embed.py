"""A sentence encoder in a folder: an ONNX graph and its tokenizer, which turn a text into a vector of its meaning.

Needs the optional extra `embed` (onnxruntime, tokenizers), imported only when an encoder is opened.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from router.errors import SignpostError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from router.interfaces import ModelInput

    Floats = NDArray[np.float32]

MODEL_FILES = ("model.onnx", "model_quantized.onnx")
TOKENIZER_FILE, ABOUT_FILE = "tokenizer.json", "encoder.json"
MAX_TOKENS = 256  # of a message; what it is about stands at its beginning
LIBRARIES = ("onnxruntime", "tokenizers")
HOW_TO_INSTALL = "install the extra: `make embed`, or `pip install 'signpost-router[embed]'`"
_MOST_CHARACTERS = 16  # per token: what is cut off before the tokenizer looks, so that time is bounded
_KINDS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


class NoEncoder(SignpostError):
    """An encoder can't be used."""


@dataclass(frozen=True, slots=True)
class About:
    """What a folder holds. `sha256` covers everything that a vector depends on: graph, tokenizer, prefix, length."""

    name: str
    sha256: str
    model: Path
    tokenizer: Path
    prefix: str = ""  # some encoders want every text to begin with a word such as "query: "
    max_tokens: int = MAX_TOKENS


def about(folder: Path) -> About:
    """Read what a folder holds, without opening it; raise `NoEncoder` if it holds no encoder.

    Beside the graph and `tokenizer.json` there may be `encoder.json`: `{"name", "prefix", "max_tokens"}`.
    """
    model = next((folder / name for name in MODEL_FILES if (folder / name).is_file()), folder / MODEL_FILES[0])
    tokenizer = folder / TOKENIZER_FILE
    try:
        said = json.loads((folder / ABOUT_FILE).read_bytes()) if (folder / ABOUT_FILE).exists() else {}
        prefix, most = str(said.get("prefix", "")), int(said.get("max_tokens", MAX_TOKENS))
        parts = [_digest(model), _digest(tokenizer), f"{prefix}\n{most}".encode()]
    except OSError as error:
        raise NoEncoder(f"there is no encoder in {folder}: {error.strerror or error}: {error.filename}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise NoEncoder(f"{folder / ABOUT_FILE} can't be read: {error}") from error
    digest = hashlib.sha256(b"".join(parts)).hexdigest()
    return About(str(said.get("name") or folder.name), digest, model, tokenizer, prefix, most)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


class Encoder:
    """An open encoder; thread-safe. One text at a time on one core: an answer never depends on its neighbours."""

    def __init__(self, facts: About, session: Any, tokenizer: Any) -> None:
        self.about = facts
        self._session = session
        self._tokenizer = tokenizer
        self._inputs = [(each.name, _KINDS.get(each.type, np.int64)) for each in session.get_inputs()]
        self._output = session.get_outputs()[0].name

    def embed(self, text: str) -> Floats:
        """Return a text's vector, of length one."""
        sound = text[: _MOST_CHARACTERS * self.about.max_tokens].encode("utf-8", "replace").decode()
        tokens = self._tokenizer.encode(self.about.prefix + sound)
        rows = {"input_ids": tokens.ids, "attention_mask": tokens.attention_mask, "token_type_ids": tokens.type_ids}
        if not tokens.ids:  # an empty text, for a tokenizer that puts no marks around it
            rows = {"input_ids": [0], "attention_mask": [1], "token_type_ids": [0]}
        feeds = {name: np.array([rows[name]], dtype=kind) for name, kind in self._inputs}
        (answer,) = self._session.run([self._output], feeds)
        vector = np.asarray(answer[0], dtype=np.float32)
        if vector.ndim == 2:  # a vector per token; without padding, every token counts
            vector = vector.mean(axis=0)
        result: Floats = vector / (np.sqrt(vector @ vector) or np.float32(1))
        return result


def open_encoder(folder: Path, sha256: str | None = None) -> Encoder:
    """Open the encoder in a folder, which must be the one with that SHA-256 if one is given; raise `NoEncoder`."""
    facts = about(folder)
    if sha256 is not None and facts.sha256 != sha256:
        raise NoEncoder(f"the encoder in {folder} isn't the one that the model was trained with: its SHA-256 differs")
    try:
        import onnxruntime  # noqa: PLC0415  the extra: imported only when an encoder is opened
        import tokenizers  # noqa: PLC0415  as above
    except ImportError as error:
        raise NoEncoder(f"the encoder in {folder} can't be opened ({error}): {HOW_TO_INSTALL}") from error
    try:
        encoder = Encoder(facts, _session(onnxruntime, facts.model), _tokenizer(tokenizers, facts))
        finite = bool(np.isfinite(encoder.embed("proof")).all())
    except KeyError as error:
        raise NoEncoder(f"the encoder in {folder} wants an input that isn't known here: {error}") from error
    except Exception as error:  # both libraries raise types of their own
        first = next(iter(str(error).splitlines()), "")
        raise NoEncoder(f"the encoder in {folder} can't be opened: {type(error).__name__}: {first}") from error
    if not finite:
        raise NoEncoder(f"the encoder in {folder} answers with numbers that aren't finite")
    return encoder


def lacking(folder: Path) -> str:
    """Return what is missing to open the encoder in a folder, as far as can be told without opening it."""
    if not all(map(find_spec, LIBRARIES)):
        return f"the sentence encoder in {folder} can't be used: {HOW_TO_INSTALL}"
    try:
        about(folder)
    except NoEncoder as error:
        return str(error)
    return ""


def _session(onnxruntime: Any, model: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # threads ask side by side
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _tokenizer(tokenizers: Any, facts: About) -> Any:
    tokenizer = tokenizers.Tokenizer.from_file(str(facts.tokenizer))
    tokenizer.no_padding()
    tokenizer.enable_truncation(facts.max_tokens)
    return tokenizer


def embedded_text(model_input: ModelInput) -> str:
    """Return what an encoder reads of a message: subject, topic, body."""
    return "\n".join(part for part in (model_input.subject, model_input.topic, model_input.body) if part)
