"""Sentence encoders: any graph of the usual kind is read, and one that isn't there is said in a sentence."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from classifiers._embed import NoEncoder, about, embedded_text, open_encoder
from classifiers._embed_cache import CACHE_FILE, embeddings
from router.interfaces import ModelInput
from tests.unit.classifiers.samples import silent
from tests.unit.classifiers.tiny_encoder import INT32, MEANINGS, WIDTH, make_encoder, vocabulary

WORD = {meaning: words[0] for meaning, words in vocabulary().items()}
TEXTS = [f"{WORD['bus']} {WORD['lunch']}", WORD["nurse"], "", WORD["nurse"], "nobody knows this"]


@pytest.fixture
def folder(tmp_path):
    return make_encoder(tmp_path / "tiny")


def test_a_vector_is_the_mean_of_its_tokens_and_has_length_one(folder):
    """Words that mean the same point the same way; padding of the tokenizer counts for nothing."""
    encoder = open_encoder(folder)
    vector = encoder.embed(" ".join(vocabulary()["bus"][:3]))
    assert vector.shape == (WIDTH,)
    assert vector @ vector == pytest.approx(1)
    assert vector.argmax() == MEANINGS.index("bus")
    assert vector.max() > 0.9


@pytest.mark.parametrize(
    "facts", [{"inputs": ["input_ids"]}, {"kind": INT32}, {"pooled": True}, {"inputs": ["attention_mask", "input_ids"]}]
)
def test_a_graph_says_itself_what_it_wants(tmp_path, facts):
    """Which inputs there are, how wide their numbers, and whether the answer is a mean already."""
    same = open_encoder(make_encoder(tmp_path / "usual")).embed(TEXTS[0])
    assert open_encoder(make_encoder(tmp_path / "other", **facts)).embed(TEXTS[0]) == pytest.approx(same)


@pytest.mark.parametrize("text", ["", " ", "\x00", "🚌", "مرحبا", "x" * 100_000, "half \ud800 of a pair"])
def test_any_text_has_a_vector(folder, text):
    """Nothing that may stand in a message makes an encoder fail, not even no token at all."""
    assert np.isfinite(open_encoder(folder).embed(text)).all()


def test_only_the_beginning_of_a_long_text_counts(tmp_path):
    """`max_tokens` bounds what is read."""
    encoder = open_encoder(make_encoder(tmp_path / "short", about={"name": "Short", "max_tokens": 3}))
    beginning = f"{WORD['bus']} " * 3
    assert (encoder.embed(beginning + WORD["nurse"]) == encoder.embed(beginning)).all()
    assert encoder.about.name == "Short"


def test_what_a_vector_depends_on_changes_the_fingerprint(tmp_path):
    """Another graph, prefix or length is another encoder; its name isn't."""
    prints = [
        about(make_encoder(tmp_path / f"{n}", seed=seed, about=said)).sha256
        for n, (seed, said) in enumerate(
            [(0, None), (1, None), (0, {"prefix": "query: "}), (0, {"max_tokens": 9}), (0, {"name": "Other"})]
        )
    ]
    assert len(set(prints)) == 4
    assert prints[0] == prints[4]


def test_an_encoder_reads_subject_topic_and_body():
    """What is empty leaves no gap."""
    assert embedded_text(ModelInput(subject="A", body="B", topic="")) == "A\nB"


def test_threads_share_an_encoder(folder):
    """Several threads may ask at once."""
    encoder = open_encoder(folder)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(encoder.embed, TEXTS * 20))
    assert all((answer == encoder.embed(text)).all() for answer, text in zip(answers, TEXTS * 20, strict=True))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("model.onnx", None, "no encoder"),
        ("tokenizer.json", None, "no encoder"),
        ("model.onnx", b"not a graph", "can't be opened"),
        ("tokenizer.json", b"{}", "can't be opened"),
        ("encoder.json", b"[1]", "can't be read"),
        ("encoder.json", b'{"max_tokens": "many"}', "can't be read"),
    ],
)
def test_what_is_no_encoder_is_said_in_a_sentence(folder, name, data, said):
    """Missing or damaged files are named."""
    (folder / name).unlink(missing_ok=True)
    if data is not None:
        (folder / name).write_bytes(data)
    with pytest.raises(NoEncoder, match=said):
        open_encoder(folder)


def test_a_graph_with_a_strange_input_is_refused(tmp_path):
    """Its name is told."""
    with pytest.raises(NoEncoder, match="pixel_values"):
        open_encoder(make_encoder(tmp_path / "eyes", inputs=["input_ids", "pixel_values"]))


def test_another_encoder_than_the_expected_one_is_refused(folder, tmp_path):
    """A model was trained with one encoder and no other."""
    assert open_encoder(folder, about(folder).sha256)
    with pytest.raises(NoEncoder, match="SHA-256 differs"):
        open_encoder(make_encoder(tmp_path / "other", seed=5), about(folder).sha256)


def test_without_the_extra_a_sentence_says_how_to_install_it(folder):
    """Neither library is imported before an encoder is opened; where one is missing, the command is told."""
    code = (
        "import sys; from pathlib import Path; sys.modules['onnxruntime'] = None\n"
        "from classifiers import linear; from classifiers._embed import NoEncoder, open_encoder\n"
        "assert 'tokenizers' not in sys.modules\n"
        "try: open_encoder(Path(sys.argv[1]))\nexcept NoEncoder as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert "pip install 'signpost-router[embed]'" in done.stdout


# --- vectors of many texts --------------------------------------------------------------------------------------------


def test_what_was_encoded_once_is_remembered(folder):
    """A second training takes the vectors from the file beside the encoder: an altered file shows in the answer."""
    encoder = open_encoder(folder)
    first = embeddings(TEXTS, encoder, silent)
    assert (embeddings(TEXTS, encoder, silent) == first).all()
    with np.load(folder / CACHE_FILE) as file:
        altered = {**file, "vectors": -file["vectors"]}
    np.savez(folder / CACHE_FILE, **altered)
    assert (embeddings(TEXTS, encoder, silent) == -first).all()


def test_remembered_and_fresh_vectors_are_the_same(folder):
    """A training gives the same model with the file and without it, in whatever order the texts come."""
    encoder = open_encoder(folder)
    first = embeddings(TEXTS, encoder, silent)
    (folder / CACHE_FILE).unlink()
    assert (embeddings(TEXTS[::-1], encoder, silent)[::-1] == first).all()
    assert first[1] == pytest.approx(encoder.embed(TEXTS[1]), abs=1e-3)


def test_a_text_that_is_trained_on_no_more_is_forgotten(folder):
    """The file holds what the last training used, and only its owner may read it."""
    encoder = open_encoder(folder)
    embeddings(TEXTS, encoder, silent)
    embeddings(TEXTS[:1], encoder, silent)
    with np.load(folder / CACHE_FILE) as file:
        assert file["keys"].shape == (1, 16)
    assert (folder / CACHE_FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut short", b"anything"])
def test_a_damaged_file_is_replaced(folder, data):
    """The file is only a help."""
    encoder = open_encoder(folder)
    (folder / CACHE_FILE).write_bytes(data)
    first = embeddings(TEXTS, encoder, silent)
    with np.load(folder / CACHE_FILE) as file:
        assert len(file["keys"]) == len(set(TEXTS))
    assert np.isfinite(first).all()


def test_vectors_of_another_encoder_are_not_taken(folder, tmp_path):
    """A file that came with another encoder is written anew."""
    other = open_encoder(make_encoder(tmp_path / "other", seed=5))
    embeddings(TEXTS, other, silent)
    (tmp_path / "other" / CACHE_FILE).rename(folder / CACHE_FILE)
    encoder = open_encoder(folder)
    assert embeddings(TEXTS, encoder, silent)[1] == pytest.approx(encoder.embed(TEXTS[1]), abs=1e-3)


def test_a_file_that_cannot_be_written_is_done_without(folder):
    """Here a folder stands in its place."""
    (folder / CACHE_FILE).mkdir()
    encoder = open_encoder(folder)
    assert embeddings(TEXTS, encoder, silent)[1] == pytest.approx(encoder.embed(TEXTS[1]), abs=1e-3)
    assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []
