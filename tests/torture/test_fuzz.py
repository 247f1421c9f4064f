"""A fuzzer that sees which code an input reaches looks for mails that crash reading, deciding or forwarding."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.unit.channels.test_whole_path import CRASHES, SMALL

ROOT = Path(__file__).parents[2]


@pytest.mark.torture
@pytest.mark.case("M01")
async def test_the_fuzzer_finds_nothing(tmp_path, seed, rounds, tally):
    """Begun with every hostile mail, it finds no input that crashes; what it finds goes into the folder of crashes."""
    if find_spec("atheris") is None:
        pytest.skip("the fuzzer atheris isn't installed: there is none for this Python or machine")
    seeds, found, runs = tmp_path / "seeds", tmp_path / "found", rounds(quick=1_000, long=50_000)
    found.mkdir()
    seeds.mkdir()
    for number, mail in enumerate((*SMALL, *(file.read_bytes() for file in CRASHES.glob("*.eml")))):
        (seeds / str(number)).write_bytes(mail)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.torture.fuzz", str(seeds), str(found), str(runs), str(seed % 2**31 or 1)),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _out, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    tally(inputs=runs)
    assert [file.read_bytes() for file in found.iterdir()] == [], f"keep it in {CRASHES}"
    assert process.returncode == 0, said.decode(errors="replace")[-3_000:]
