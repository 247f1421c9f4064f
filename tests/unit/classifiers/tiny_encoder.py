"""A sentence encoder of a few kilobytes, made on the spot: a table of vectors as an ONNX graph, and its tokenizer.

The graph's bytes are written by hand (protocol buffers, onnx.proto of ONNX IR version 8), so that no test needs the
library that makes them.
"""

from __future__ import annotations

import json
from random import Random

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from router.interfaces import Example, ModelInput
from tests.unit.classifiers.samples import TOPICS

FLOAT, INT32, INT64 = 1, 6, 7  # TensorProto.DataType
USUAL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
WIDTH = 8
MEANINGS = tuple(sorted(TOPICS))


def number(field, value):
    """Return a varint field."""
    return _varint(field << 3) + _varint(value)


def text(field, value):
    """Return a field of bytes, text or a message."""
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def graph(table, *, inputs=USUAL_INPUTS, kind=INT64, pooled=False):
    """Return a model's bytes: each token's row of the table, or with `pooled` their mean."""
    node = text(1, "table") + text(1, "input_ids") + text(2, "tokens") + text(4, "Gather")
    nodes = text(1, node)
    if pooled:
        axes = text(1, "axes") + text(8, _varint(1)) + number(20, 7)  # AttributeProto: name, ints, type INTS
        keep = text(1, "keepdims") + number(3, 0) + number(20, 2)  # AttributeProto: name, i, type INT
        nodes += text(1, text(1, "tokens") + text(2, "mean") + text(4, "ReduceMean") + text(5, axes) + text(5, keep))
    array = np.asarray(table, dtype="<f4")
    tensor = number(1, array.shape[0]) + number(1, array.shape[1]) + number(2, FLOAT) + text(8, "table")
    tensor += text(9, array.tobytes())
    output, rank = ("mean", 2) if pooled else ("tokens", 3)
    body = nodes + text(2, "tiny") + text(5, tensor)
    body += b"".join(text(11, _value(name, kind, 2)) for name in inputs)
    body += text(12, _value(output, FLOAT, rank))
    return number(1, 8) + text(7, body) + text(8, text(1, "") + number(2, 13))


def _value(name, kind, rank):
    dimensions = b"".join(text(1, text(2, f"d{place}")) for place in range(rank))
    return text(1, name) + text(2, text(1, number(1, kind) + text(2, dimensions)))


def invented_words(count, seed=0):
    """Return words that no language has, each with nearly all its letters its own."""
    rng = Random(seed)
    return ["".join(rng.choice("bcdfghjklmnpqrstvwxz") + rng.choice("aeiou") for _ in range(4)) for _ in range(count)]


def vocabulary(per_meaning=400):
    """Return invented words by what they mean."""
    words = sorted(set(invented_words(per_meaning * len(MEANINGS) + 50)))
    Random(1).shuffle(words)
    return {meaning: words[place * per_meaning : (place + 1) * per_meaning] for place, meaning in enumerate(MEANINGS)}


def make_encoder(folder, *, seed=0, about=None, **facts):
    """Write an encoder that knows the invented words, and nothing else; return its folder."""
    meanings = vocabulary()
    rng = np.random.default_rng(seed)
    known = {"[UNK]": 0} | {
        word: place for place, word in enumerate((w for words in meanings.values() for w in words), start=1)
    }
    table = rng.normal(scale=0.1, size=(len(known), WIDTH))
    for place, words in enumerate(meanings.values()):
        for word in words:
            table[known[word], place] += 1.0
    table[0] = 0.0
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph(table, **facts))
    tokenizer = Tokenizer(WordLevel(known, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    tokenizer.enable_padding(length=64)  # as some published tokenizers do: it has to be switched off
    tokenizer.save(str(folder / "tokenizer.json"))
    if about is not None:
        (folder / "encoder.json").write_text(json.dumps(about))
    return folder


def invented(count, seed=0, *, first=0, last=300, language="en"):
    """Return messages of invented words, chosen from a part of each meaning's: what no other message has said."""
    rng = Random(seed)
    meanings = vocabulary()
    return [
        Example(input=ModelInput(subject="", body=" ".join(rng.sample(words[first:last], 4)), language=language),
                department=meaning, group=f"{language}{meaning}{row}")
        for meaning, words in meanings.items()
        for row in range(count)
    ]  # fmt: skip
