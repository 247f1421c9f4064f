"""Find channel and classifier types: every plain module of the folder, and every entry point of a third party."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Generic, TypeVar

import channels
import classifiers
from router.errors import NotFound, SignpostError
from router.interfaces import Channel, ClassifierType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

T = TypeVar("T")


class Plugins(Generic[T]):
    """Types by name; a module is imported only when its type is asked for."""

    def __init__(
        self, package: ModuleType, attribute: str, kind: type[T], extra: Mapping[str, T] | None = None
    ) -> None:
        self._package = package
        self._attribute = attribute
        self._kind = kind
        self._extra = dict(extra or {})
        self._entry_points = {point.name: point for point in entry_points(group=f"signpost.{package.__name__}")}

    def names(self) -> list[str]:
        """Return every type there is, sorted: shipped, third party, and the extra ones."""
        modules = {m.name for m in pkgutil.iter_modules(self._package.__path__) if not m.ispkg}
        shipped = {name for name in modules if not name.startswith("_")}
        return sorted(shipped | self._entry_points.keys() | self._extra.keys())

    def get(self, name: str) -> T:
        """Return one type; raise `NotFound` for an unknown name and `SignpostError` for a broken plugin."""
        if name in self._extra:
            return self._extra[name]
        if name not in self.names():
            raise NotFound(f"there is no {self._package.__name__[:-1]} type '{name}'")
        found = self._load(name)
        if not isinstance(found, self._kind):
            raise SignpostError(f"{name}: {self._attribute} is a {type(found).__name__}, not a {self._kind.__name__}")
        return found

    def _load(self, name: str) -> object:
        point: EntryPoint | None = self._entry_points.get(name)
        if point is None:
            return getattr(import_module(f"{self._package.__name__}.{name}"), self._attribute, None)
        try:
            return point.load()
        except Exception as error:
            raise SignpostError(f"the plugin {name} ({point.value}) can't be loaded: {error}") from error


def channel_types(extra: Mapping[str, Channel] | None = None) -> Plugins[Channel]:
    """Return the channel types; `extra` adds some that are in no folder (the demo's text line)."""
    return Plugins(channels, "CHANNEL", Channel, extra)


def classifier_types() -> Plugins[ClassifierType]:
    """Return the classifier types."""
    return Plugins(classifiers, "CLASSIFIER", ClassifierType)
