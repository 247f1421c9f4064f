"""Accept: the one place where a message becomes ours. `accept` returns only after the bytes are on disk."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from router.aside import aside
from router.errors import Malformed, StoreBusy, TooLarge
from router.failpoints import reach
from router.records import Inbound, Medium, Receipt
from router.store.arrivals import Arrival, accept

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from router.metrics import Metrics
    from router.store.engine import Store


class Intake:
    """Caps, the true-copy check and the commit."""

    def __init__(
        self,
        store: Store,
        *,
        mail_id: Callable[[bytes], str],
        wake: Callable[[], None],
        note: Callable[[str], None] = lambda _message_id: None,
        max_message_bytes: int,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._mail_id = mail_id
        self._wake = wake
        self._note = note
        self._max_message_bytes = max_message_bytes
        self._metrics = metrics
        self._log = log
        self._open = True

    async def accept(self, inbound: Inbound) -> Receipt:
        """Store a message and return its receipt.

        Raises `TooLarge`, `Malformed` (nothing to store) or `StoreBusy` (not now); nothing is stored then.
        """
        self._refuse_early(inbound)
        reach("fetched")
        digest = await aside(_digest, inbound.original)
        mail_id = self._mail_id(inbound.original) if inbound.medium is Medium.EMAIL else ""
        receipt = await self._store.write_together(accept, Arrival(inbound, digest, mail_id))
        reach("committed")
        if not receipt.duplicate:
            self._note(receipt.message_id)
            self._wake()
        self._metrics.accepted(inbound.channel, inbound.medium, duplicate=receipt.duplicate)
        self._log.info(
            "message_accepted",
            message_id=receipt.message_id,
            channel=inbound.channel,
            medium=inbound.medium,
            bytes=len(inbound.original),
            duplicate=receipt.duplicate,
        )
        return receipt

    def close(self) -> None:
        """Accept nothing more: the daemon is stopping."""
        self._open = False

    def _refuse_early(self, inbound: Inbound) -> None:
        if not self._open:
            raise StoreBusy("Signpost is stopping; please try again in a minute")
        if len(inbound.original) > self._max_message_bytes:
            raise TooLarge(f"the message is larger than {self._max_message_bytes // 1_048_576} MB")
        if not inbound.original:
            raise Malformed("the message is empty")
        if not 0 < len(inbound.source_key) <= 255:
            raise Malformed("the message has no usable source key")


def _digest(original: bytes) -> str:
    return sha256(original).hexdigest()
