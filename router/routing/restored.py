"""Mark messages that came in before the store was restored from a backup: somebody may have had them already."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from router.routing.answer import Answer, Tagged
from router.store import restored

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from router.records import Message
    from router.store.engine import Store


class Restored:
    """A remark on such messages; never ends the list of steps. `restored_at` is None where nothing was restored."""

    name = "restored"

    def __init__(self, store: Store, restored_at: datetime | None) -> None:
        self._store = store
        self._restored_at = restored_at

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Tag each message of before."""
        if self._restored_at is None:
            return [None] * len(batch)
        ids = [message.id for message in batch]
        before = await self._store.read(partial(restored.earlier, ids=ids, than=self._restored_at))
        return [Tagged((restored.AFTER_RESTORE,)) if message.id in before else None for message in batch]
