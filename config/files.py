"""Which files a configuration consists of: its own, and those its settings name (secrets, certificates)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from config._document import read
from config.schema import Store
from router.errors import ConfigError
from router.secrets import secret_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEYS = ("_file", "_cert", "_key")  # how settings end whose value is the path of a file


def files_of(path: Path) -> list[Path]:
    """Return a configuration file and the files that it names, as far as it can be read."""
    try:
        return [path, *named_in(read(path).data)]
    except ConfigError:
        return [path]


def store_url_of(path: Path) -> str:
    """Return where a configuration keeps everything, even if it has problems; raise `ConfigError` if it isn't YAML."""
    store: Any = read(path).data.get("store")
    try:
        return Store.model_validate({"url": store["url"]}).url
    except (TypeError, KeyError, ValidationError):
        return Store().url


def named_in(settings: object) -> list[Path]:
    """Return the files that settings, or a file's plain data, name anywhere (`password_file`, `tls_cert`)."""
    return sorted({secret_path(name) for name in _names(settings)})


def _names(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        for inner, each in value.items():
            yield from _names(each, str(inner))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from _names(each)
    elif isinstance(value, str) and value and key.endswith(_KEYS):
        yield value
