"""Read a YAML 1.2 file into plain data that remembers the line and the text of each of its parts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from router.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Place = tuple[str | int, ...]
"""Keys and indexes from the top of the file down to a setting."""

_LARGEST_FILE = 1_048_576  # bytes
_MOST_PARTS = 100_000  # after aliases are expanded, so that a small file can't become a huge one
_DEEPEST = 50
_MISSING_HINT = "name yours with --config PATH (or SIGNPOST_CONFIG), or copy Signpost's own config/signpost.yaml there"
_LONGEST_TEXT = 500  # of what a problem says
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = ("str", "timestamp", "value")  # YAML 1.2 knows no dates; `=` is a YAML 1.1 oddity
_WORDS = (  # what the parser says, and what a person can do about it
    ("character '\\t'", "a tab where only spaces may stand: indent with spaces"),
    ("cannot start any token", "a character that can't start a text: put the text in quotes"),
    ("mapping values are not allowed", "a colon where none can be: check the indentation, or put the text in quotes"),
    ("could not find expected ':'", "a line that is no `key: value`: check the colon and the indentation"),
    ("expected <block end>", "the indentation doesn't fit the lines above"),
    ("expected ',' or", "a list in [ ] or a block in { } isn't closed, or a comma is missing"),
    ("undefined alias", "a text that starts with * is an alias: put the text in quotes"),
    ("another document", "a second document (---): keep one"),
    ("duplicate anchor", "an anchor (&name) that is there twice"),
    ("escape sequence", "an unknown escape after a backslash: use 'single quotes', or write \"\\\\\""),
)


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data, and for each part its line (from 1; of its key, where it has one) and, for scalars, its text."""

    file: str
    data: dict[str, Any]
    lines: Mapping[Place, int]
    texts: Mapping[Place, str]
    problems: tuple[Problem, ...] = ()

    def nearest(self, place: Place) -> Place:
        """Return the longest beginning of a place that is in the file."""
        while place and place not in self.lines:
            place = place[:-1]
        return place

    def problem(self, place: Place, what: str, hint: str = "") -> Problem:
        """Return a problem at a place; where that isn't in the file, at the line of what would hold it."""
        line = self.lines.get(self.nearest(place), 1)
        return Problem(self.file, line, _shown(dotted(place)), _shown(what), _shown(hint))


def dotted(place: Place) -> str:
    """Return a place the way people write it: `departments.transportation.deliver[0].via`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def _shown(text: str) -> str:
    """Make sure that a name out of the file can't command a terminal or fill it."""
    cut = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"
    return cut if cut.isprintable() else "".join(char if char.isprintable() else "�" for char in cut)


def read(path: Path) -> Document:
    """Read a configuration file; raise `ConfigError` if it can't be opened or isn't a block of settings in YAML.

    Keys that are there twice, tags and the like are left in `Document.problems`, to be reported with all others.
    """
    return parse(_text(path), str(path))


def parse(text: str, file: str) -> Document:
    """Parse the text of a configuration file, as `read` does."""
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, RecursionError, ValueError) as error:
        raise ConfigError([_syntax_problem(file, text, error)]) from None  # the cause would show a piece of the file
    if root is None or (isinstance(root, ScalarNode) and root.tag == _TAG + "null"):
        raise ConfigError([Problem(file, 1, "", "the file is empty", "start from config/signpost.yaml")])
    if not isinstance(root, MappingNode):
        raise ConfigError(
            [Problem(file, root.start_mark.line + 1, "", "must be settings (`organization:` …), no list")]
        )
    reader = _Reader(file)
    data = reader.mapping(root, ())
    return Document(file, data, reader.lines, reader.texts, tuple(reader.problems))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "that is no path"
        hint = _MISSING_HINT if isinstance(error, FileNotFoundError) else ""
        raise ConfigError([Problem(str(path), 1, "", f"the file can't be read: {reason}", hint)]) from error
    if len(raw) > _LARGEST_FILE:
        raise ConfigError([Problem(str(path), 1, "", "the file is larger than 1 MiB: that is no configuration")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(str(path), line, "", "must be UTF-8 text: save the file as UTF-8")]) from None


def _syntax_problem(file: str, text: str, error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return Problem(file, 1, "", "is nested too deeply")
    if isinstance(error, MarkedYAMLError) and (unclosed := _unclosed(file, error)):
        return unclosed
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    said = (error.problem if isinstance(error, MarkedYAMLError) else None) or "there is a character YAML doesn't allow"
    plain = next((words for piece, words in _WORDS if piece in said), "")
    quoted_out = re.sub(r"'[^']*'|\"[^\"]*\"", "…", said)  # never repeat what may be a secret
    line = mark.line if mark else text.count("\n", 0, getattr(error, "position", 0))
    return Problem(file, line + 1, "", f"isn't YAML: {plain or quoted_out}")


def _unclosed(file: str, error: MarkedYAMLError) -> Problem | None:
    """Return the problem of a quote or bracket that is never closed, at the line that opens it; None for another."""
    opened, context, said = error.context_mark, error.context or "", error.problem or ""
    if opened is None or error.problem_mark is None:
        return None
    noticed = error.problem_mark.line
    if "quoted scalar" in context and "end of stream" in said:
        return Problem(file, opened.line + 1, "", "isn't YAML: a quote is opened here and never closed")
    at_end, next_key = "'<stream end>'" in said, "got ':'" in said and noticed > opened.line
    if "flow" not in context or not (at_end or next_key):
        return None
    what = f"isn't YAML: a {'[' if 'sequence' in context else '{'} is opened here and never closed"
    return Problem(
        file, opened.line + 1, "", what if at_end else f"{what}, or a comma is missing by line {noticed + 1}"
    )


@dataclass(slots=True)
class _Reader:
    """Turns nodes into plain data and notes where each part stood."""

    file: str
    lines: dict[Place, int] = field(default_factory=dict)
    texts: dict[Place, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    parts: int = 0

    def mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, place)
            if key is None:
                continue
            if key in found:
                first = self.lines[(*place, key)]
                self._complain(line, (*place, key), f"is there twice: the first is on line {first}")
                continue
            found[key] = self._value(value_node, (*place, key), line)
        return found

    def _key(self, node: Node, place: Place) -> str | None:
        line = node.start_mark.line + 1
        if not isinstance(node, ScalarNode):
            self._complain(line, place, "has a key that is no plain text")
            return None
        if node.tag == _TAG + "merge":
            self._complain(line, place, "merge keys (<<) aren't part of YAML 1.2: write the settings out")
            return None
        return str(node.value)

    def _value(self, node: Node, place: Place, line: int) -> Any:
        self.lines[place] = line
        self.parts += 1
        if self.parts > _MOST_PARTS or len(place) > _DEEPEST:
            raise ConfigError([Problem(self.file, line, "", "has too many parts, or aliases that lead in a circle")])
        if isinstance(node, MappingNode):
            return self.mapping(node, place)
        if isinstance(node, SequenceNode):
            return [self._value(item, (*place, i), item.start_mark.line + 1) for i, item in enumerate(node.value)]
        self.texts[place] = node.value
        return self._scalar(node, place, line)

    def _scalar(self, node: Node, place: Place, line: int) -> Any:
        kind = str(node.tag).removeprefix(_TAG)
        try:
            if kind in _TEXT_TAGS:
                return node.value
            return {"null": _null, "bool": _bool, "int": _int, "float": _float}[kind](node.value)
        except (KeyError, ValueError):
            self._complain(line, place, "can't be read: leave out tags (a text that starts with ! needs quotes)")
            return None

    def _complain(self, line: int, place: Place, what: str) -> None:
        self.problems.append(Problem(self.file, line, _shown(dotted(place)), what))


def _null(_text: str) -> None:
    return None


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _int(text: str) -> int:
    digits = text.replace("_", "")
    base = {"0x": 16, "0o": 8}.get(digits.lstrip("+-")[:2].lower(), 10)
    return int(digits, base)


def _float(text: str) -> float:
    return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
