"""Fetching an encoder: whole and proven, or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from classifiers._artifact import save
from classifiers._embed import open_encoder
from classifiers.linear import LinearSettings, train
from router import encoders
from router.cli import run
from router.encoders import KNOWN, EncoderFile, KnownEncoder, fetch, known
from router.errors import NotFound, SignpostError
from tests.unit.classifiers.samples import silent
from tests.unit.classifiers.tiny_encoder import invented, make_encoder
from tests.unit.router.commandline import write_district


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        """Say nothing."""


@pytest.fixture
def shelf(tmp_path):
    """A folder with an encoder's files, as a hub lays them out."""
    made = make_encoder(tmp_path / "shelf" / "onnx")
    (made / "tokenizer.json").rename(tmp_path / "shelf" / "tokenizer.json")
    return tmp_path / "shelf"


@pytest.fixture
def address(shelf):
    """Where a web server on this machine offers the folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(shelf))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def tiny(shelf, address):
    """The encoder as it would stand in the table."""
    files = tuple(_file(shelf, path) for path in ("onnx/model.onnx", "tokenizer.json"))
    facts = {"title": "Tiny", "languages": "none", "licence": "none", "prefix": "query: ", "max_tokens": 32}
    return KnownEncoder(address=f"{address}/", files=files, **facts)


def _file(shelf, path):
    data = (shelf / path).read_bytes()
    return EncoderFile(path, len(data), hashlib.sha256(data).hexdigest())


def test_an_encoder_is_fetched_whole(tiny, tmp_path):
    """Its files lie in the folder under their own names, with what is known of it, and it can be opened."""
    told = []
    facts = fetch(tiny, tmp_path / "deep" / "tiny", lambda what, share: told.append((what, share)))
    assert (facts.name, facts.prefix, facts.max_tokens) == ("Tiny", "query: ", 32)
    assert open_encoder(tmp_path / "deep" / "tiny").about == facts
    assert sorted(file.name for file in facts.model.parent.iterdir()) == [
        "encoder.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert [share for _what, share in told] == sorted(share for _what, share in told)
    assert told[-1][1] == 1.0
    assert (tmp_path / "deep" / "tiny").stat().st_mode & 0o777 == 0o755


def test_a_file_that_is_not_the_known_one_is_not_kept(tiny, shelf, tmp_path):
    """An altered file of the right size, a longer and a shorter one: nothing is left behind."""
    data = (shelf / "tokenizer.json").read_bytes()
    for other, said in ((data[::-1], "SHA-256 differs"), (data + b" ", "SHA-256 differs"), (data[:-1], "ended after")):
        (shelf / "tokenizer.json").write_bytes(other)
        with pytest.raises(SignpostError, match=said):
            fetch(tiny, tmp_path / "here" / "tiny", silent)
        assert list((tmp_path / "here").iterdir()) == []


def test_a_missing_file_is_said(tiny, shelf, tmp_path):
    """With its address and what the server answered."""
    (shelf / "tokenizer.json").unlink()
    with pytest.raises(SignpostError, match=r"tokenizer\.json can't be fetched: the server says 404"):
        fetch(tiny, tmp_path / "tiny", silent)


def test_a_server_that_is_not_there_is_said(tiny, tmp_path):
    """With its address and the reason."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Quiet) as server:
        closed = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(SignpostError, match=f"{closed}/onnx/model.onnx can't be fetched: .*refused"):
        fetch(tiny, tmp_path / "tiny", silent, closed)


def test_a_mirror_stands_in_for_the_usual_place(tiny, address, tmp_path):
    """A district behind a wall offers the files itself; they must be the same."""
    away = KnownEncoder(
        **{**{name: getattr(tiny, name) for name in KnownEncoder.__slots__}, "address": "https://x.invalid/"}
    )
    assert fetch(away, tmp_path / "tiny", silent, address).name == "Tiny"


def test_nothing_is_overwritten(tiny, tmp_path):
    """A folder that holds anything is left as it is; an empty one is filled."""
    (tmp_path / "tiny").mkdir()
    fetch(tiny, tmp_path / "tiny", silent)
    with pytest.raises(SignpostError, match="isn't empty"):
        fetch(tiny, tmp_path / "tiny", silent)


def test_only_web_addresses_are_fetched_from(tiny, tmp_path):
    """No file of this machine is read by way of an address."""
    with pytest.raises(SignpostError, match="isn't a web address"):
        fetch(tiny, tmp_path / "tiny", silent, "file:///etc")


def test_the_known_encoders_are_pinned():
    """Each file has a size and a SHA-256, and each address names a revision, not a branch."""
    for each in KNOWN.values():
        assert all(len(file.sha256) == 64 and file.size > 0 for file in each.files)
        assert len(each.address.rstrip("/").rpartition("/")[2]) == 40
        assert {file.name for file in each.files} == {"model_quantized.onnx", "tokenizer.json"}
    with pytest.raises(NotFound, match="minilm"):
        known("nothing")


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.mark.usefixtures("here")
def test_the_command_fetches_and_says_what_comes_next(tiny, monkeypatch, capsys):
    """The folder to write into the configuration is named; the list then shows where it is."""
    monkeypatch.setitem(encoders.KNOWN, "tiny", tiny)
    assert run(["encoder", "fetch", "tiny"]) == 0
    assert "encoder: var/encoders/tiny" in capsys.readouterr().out
    assert run(["encoder", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["tiny"]["folder"] == "var/encoders/tiny"
    assert len(rows["tiny"]["sha256"]) == 64
    assert rows["minilm"]["folder"] == ""
    assert run(["encoder", "fetch", "tiny", "--into", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["proven"] is True


@pytest.mark.usefixtures("here")
def test_an_encoder_of_ones_own_is_listed(tmp_path, capsys):
    """Whatever lies in the usual folder; what is no encoder doesn't."""
    make_encoder(tmp_path / "work" / "var" / "encoders" / "ours", about={"name": "Our own"})
    (tmp_path / "work" / "var" / "encoders" / "notes").mkdir()
    assert run(["encoder", "list"]) == 0
    table = capsys.readouterr().out
    assert "Our own" in table
    assert "notes" not in table


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("arguments", [["nothing"], ["minilm", "--from", "ftp://127.0.0.1/"]])
def test_the_command_says_what_is_wrong(arguments, capsys):
    """In a sentence, with exit status 1."""
    assert run(["encoder", "fetch", *arguments]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("signpost: ")


# --- a model that was trained with one --------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path):
    """The folder of a model whose encoder has gone since."""
    encoder = make_encoder(tmp_path / "gone")
    settings = LinearSettings(augment=False, c=1.0, encoder=str(encoder))
    save(train(invented(40), [], settings, silent), tmp_path / "model", {})
    shutil.rmtree(encoder)
    return tmp_path / "model"


@pytest.mark.usefixtures("here")
def test_a_command_remarks_on_what_is_missing(model, tmp_path, capsys):
    """The words answer all the same."""
    (tmp_path / "message.txt").write_text("Hello, about my son")
    assert run(["classify", "--json", "--model", str(model), str(tmp_path / "message.txt")]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["ranking"]
    assert f"remark: there is no encoder in {tmp_path / 'gone'}" in said.err


@pytest.mark.parametrize(("encoder", "said"), [("nowhere", "classifier: there is no encoder in nowhere"), ("tiny", "")])
def test_check_remarks_on_an_encoder_that_is_not_there(encoder, said, tmp_path, monkeypatch, capsys):
    """The configuration is in order; a training would fail."""
    monkeypatch.chdir(tmp_path)
    make_encoder(tmp_path / "tiny")
    path = write_district(tmp_path)
    path.write_text(f"{path.read_text()}classifier: {{type: linear, encoder: {encoder}}}\n")
    assert run(["check", "--config", str(path)]) == 0
    remarks = [line for line in capsys.readouterr().out.splitlines() if "encoder" in line]
    assert len(remarks) == bool(said)
    assert not said or said in remarks[0]
