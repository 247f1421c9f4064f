"""The sample channel passes the same suite as the channels that ship."""

from __future__ import annotations

import json
import shutil
from contextlib import asynccontextmanager

import pytest
from signpost_jsonl import CHANNEL, JsonlSettings, JsonlSink

from router.testing_sinks import SinkContract, sample_context


class Rig:
    """The sink, what arrived, and a way to make it fail for a while."""

    def __init__(self, folder):
        self.folder = folder
        self.sink = JsonlSink(JsonlSettings(folder=folder), sample_context())

    async def arrived(self):
        """Return the keys of what arrived."""
        path = self.folder / "transportation.jsonl"
        return [json.loads(line)["id"] for line in path.read_text().splitlines()] if path.is_file() else []

    @asynccontextmanager
    async def outage(self):
        """A file stands where the folder should be."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.write_text("in the way")
        yield
        self.folder.unlink()


class TestJsonl(SinkContract):
    """The sample."""

    channel = CHANNEL
    to = "transportation"

    @pytest.fixture
    async def rig(self, tmp_path):
        """Return a rig of its own for each test."""
        return Rig(tmp_path / "out")
