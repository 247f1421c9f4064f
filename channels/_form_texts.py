"""What the families' pages say, by language: the texts that ship, and those of a district's own file."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from string import Formatter

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

Texts = dict[str, dict[str, str]]
SHIPPED = Path(__file__).parent / "_pages" / "texts.yaml"
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_LARGEST = 500_000  # bytes


class TextsFault(Exception):
    """A file of texts can't be used; the text says why."""


@cache
def shipped() -> Texts:
    """Return the texts that ship. Don't change them."""
    texts: Texts = YAML(typ="safe", pure=True).load(SHIPPED)
    return texts


def all_texts(path: Path | None) -> Texts:
    """Return the texts by language; what a district's own block leaves out is said as it ships, at least in English."""
    texts = {language: dict(block) for language, block in shipped().items()}
    for language, block in read_texts(path).items() if path else ():
        texts[language] = {**texts["en"], **texts.get(language, {}), **block}
    return texts


def read_texts(path: Path) -> Texts:
    """Read a district's own file; raise `TextsFault` if a line of it can't be used."""
    try:
        if path.stat().st_size > _LARGEST:
            raise TextsFault("the file is too large to hold texts")
        texts = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise TextsFault(f"the file can't be read ({error.strerror})") from error
    except (YAMLError, ValueError) as error:
        raise TextsFault("the file is no YAML") from error
    if not isinstance(texts, dict) or not all(isinstance(block, dict) for block in texts.values()):
        raise TextsFault("the file must hold a block of texts for each language")
    for language, block in texts.items():
        _look_at(str(language), block)
    return texts


def _look_at(language: str, block: dict[str, object]) -> None:
    if not _LANGUAGE.fullmatch(language):
        raise TextsFault(f"'{language[:20]}' is no language code such as so or vi")
    if "language_name" not in block and language not in shipped():
        raise TextsFault(f"'{language}' has no language_name")
    english = shipped()["en"]
    for key, text in block.items():
        if key not in english:
            raise TextsFault(f"'{language}' has a text '{str(key)[:40]}' that no page has")
        if not isinstance(text, str) or not text.strip():
            raise TextsFault(f"'{language}.{key}' must be a text")
        if _braces(text) - _braces(english[key]):
            raise TextsFault(f"'{language}.{key}' has other words in {{braces}} than the English text")
    if block.get("direction", "ltr") not in ("ltr", "rtl"):
        raise TextsFault(f"'{language}.direction' must be ltr or rtl")


def _braces(text: str) -> set[str]:
    try:
        return {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    except ValueError:
        return {"{"}
