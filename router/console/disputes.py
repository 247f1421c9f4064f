"""What speaks against which word of people: found by reading all of them, so only when something has been said."""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from router.learning.lessons import disputed
from router.store import learning_reads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.store.engine import Store

    Found = Mapping[str, frozenset[str]]


class Disputes:
    """Keeps what was found until the words, or the departments that inherited others' messages, are other ones."""

    def __init__(self) -> None:
        self._of: Any = None
        self._found: Found = MappingProxyType({})
        self._one = asyncio.Lock()  # who asks meanwhile waits, and finds it

    async def find(self, store: Store, heirs: Mapping[str, str]) -> Found:
        """Return the keys of what people disagree about, each with the keys of those that say otherwise."""
        async with self._one:
            of = (await store.read(learning_reads.words), dict(heirs))
            if of != self._of:
                self._found = await store.read(lambda c: disputed(c, heirs))
                self._of = of
            return self._found
