"""A Dockerfile as far as it can be followed without an engine: its instructions, what it copies, what it runs."""

from __future__ import annotations

import json
import re
import shutil
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]


def instructions():
    """Return the stages of the Dockerfile, each a list of (instruction, text); continued lines are joined."""
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    stages = []
    for line in joined.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest))
    return stages


def last(word):
    """Return the text of an instruction of the image itself; the last one counts."""
    return [text for name, text in instructions()[-1] if name == word][-1]


def words(text):
    """Return the words of an instruction in its JSON form."""
    return json.loads(text[text.index("[") :])


def copied():
    """Return the (sources, target) of what is copied from the clone."""
    pairs = [text.split() for stage in instructions() for name, text in stage if name == "COPY"]
    return [(each[:-1], each[-1]) for each in pairs if not each[0].startswith("--from=")]


def ignored(path):
    """Return whether .dockerignore keeps a path out: the last pattern that matches it or a folder above it counts."""
    kept_out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        above = [str(each) for each in [Path(path), *Path(path).parents]][:-1]
        if any(fnmatch(each, pattern.removeprefix("**/")) or fnmatch(each, pattern) for each in above):
            kept_out = not line.startswith("!")
    return kept_out


def copy_context(folder):
    """Copy what the Dockerfile copies into a folder, as an engine would."""
    for sources, target in copied():
        for source in sources:
            if (ROOT / source).is_file():
                shutil.copy2(ROOT / source, folder)
                continue
            for file in (ROOT / source).rglob("*"):
                inside = file.relative_to(ROOT)
                if file.is_file() and not ignored(inside):
                    to = folder / target / file.relative_to(ROOT / source)
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(file, to)
