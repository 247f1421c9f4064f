"""What commands ask of Signpost: of a running daemon through its control socket, else of the store itself.

Every command takes and returns JSON values, so that both ways are the same.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from router.errors import Conflict, NotFound, SignpostError
from router.ids import normalise
from router.learning import corrections as rules
from router.learning.audit import summary
from router.learning.lessons import CORRECTION, disputed
from router.records import CorrectionState, DeliveryState
from router.store import alarms, corrections, cursors, decisions, deliveries, ledger, messages, models
from router.views import alarm_view, correction_view, decision_view, delivery_view, message_row_view, message_view

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sqlalchemy import Connection

    from router.learning.corrections import Corrections, Moved
    from router.store.engine import Store

_MOST_ROWS = 1000


class Commands:
    """One method per command; `run` calls them by name."""

    def __init__(
        self,
        store: Store,
        corrections_: Corrections,
        wake: Callable[[], None] = lambda: None,
        *,
        channels: Callable[[], Awaitable[list[dict[str, Any]]]] | None = None,
    ) -> None:
        self._store = store
        self._corrections = corrections_
        self._wake = wake
        self._channels = channels  # how each of them is
        self._more: dict[str, Callable[..., Awaitable[Any]]] = {}

    def add(self, name: str, command: Callable[..., Awaitable[Any]]) -> None:
        """Offer a further command (the model registry's)."""
        self._more[name] = command

    async def run(self, name: str, arguments: dict[str, Any]) -> Any:
        """Run a command by name; raise `SignpostError` for an unknown one or wrong arguments."""
        command = self._more.get(name) or getattr(self, f"do_{name}", None)
        if command is None:
            raise SignpostError(f"there is no command '{name}'")
        try:
            return await command(**arguments)
        finally:
            self._wake()

    async def do_status(self) -> dict[str, Any]:
        """Return the ledger, how often messages go wrong, and how each channel is."""
        now = self._store.clock.now()
        counts = await self._store.read(lambda c: ledger.status(c, now) | {"misroutes": summary(c, now)})
        waiting = await self._store.read(models.waiting)
        counts |= {"models": {"waiting": [row.version for row in waiting]}}
        return counts | {"channels": await self._channels() if self._channels else []}

    async def do_keep(self, channel: str, key: str, value: dict[str, Any]) -> dict[str, Any]:
        """Keep what a check of a channel was given and mustn't lose: a refresh token that the provider changed."""
        await self._store.write(lambda c: cursors.put(c, channel, key, value))
        return {"kept": True}

    async def do_messages_list(
        self, state: str | None = None, department: str | None = None, limit: int = 50, before: str = ""
    ) -> list[dict[str, Any]]:
        """Return messages with the decision in force, newest first.

        Raise `NotFound` for a message or a department that isn't there: an empty list would look like an answer.
        """
        wanted = partial(self._list, state=state, department=department, limit=min(limit, _MOST_ROWS), before=before)
        return await self._store.read(wanted)

    def _list(
        self, connection: Connection, state: str | None, department: str | None, limit: int, before: str
    ) -> list[dict[str, Any]]:
        last = normalise(before) or before
        if last and messages.get(connection, last) is None:
            raise NotFound(f"there is no message '{before}'")
        rows = connection.execute(messages.listing(state, department, limit, last)).all()
        if department and not rows and not self._knows(connection, department):
            raise NotFound(f"there is no department '{department}'")
        return [message_row_view(row) for row in rows]

    def _knows(self, connection: Connection, department: str) -> bool:
        """Return whether there is such a department, or was one when it got a message."""
        if self._corrections.knows(department):
            return True
        return connection.execute(messages.listing(None, department, 1)).first() is not None

    async def do_messages_show(self, message_id: str) -> dict[str, Any]:
        """Return everything about one message but its original."""
        return await self._store.read(lambda c: self._show(c, message_id))

    def _show(self, connection: Connection, given: str) -> dict[str, Any]:
        message_id = normalise(given) or given
        message = messages.get(connection, message_id)
        if message is None:
            raise NotFound(f"there is no message '{given}'")
        return {
            **message_view(
                message, messages.state_of(connection, message_id), messages.detail_of(connection, message_id)
            ),
            "decisions": [decision_view(d) for d in decisions.history(connection, message_id)],
            "deliveries": [delivery_view(d) for d in deliveries.of_message(connection, message_id)],
            "corrections": [correction_view(c) for c in corrections.of_message(connection, message_id)],
            "alarm": self._alarm(connection, message_id),
        }

    def _alarm(self, connection: Connection, message_id: str) -> dict[str, Any] | None:
        alarm = alarms.get(connection, message_id)
        by = deliveries.get(connection, alarm.acknowledged_by) if alarm and alarm.acknowledged_by else None
        return alarm_view(alarm, by.to if by else "") if alarm else None

    async def do_messages_release(self, message_id: str, to: str | None = None, by: str = "") -> dict[str, Any]:
        """Let a held message go."""
        message_id = normalise(message_id) or message_id
        now = self._store.clock.now()
        work = partial(self._corrections.release, message_id=message_id, to=to, by=by, now=now)
        await self._store.write(work)
        return {"message_id": message_id, "released": True}

    async def do_deliveries_list(self, states: list[str] | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Return deliveries, newest first; by default those that wait for a person."""
        wanted = states or [DeliveryState.DEAD.value, DeliveryState.UNCLEAR.value]
        found = await self._store.read(lambda c: deliveries.in_states(c, wanted, min(limit, _MOST_ROWS)))
        return [delivery_view(delivery) for delivery in found]

    async def do_deliveries_retry(self, ids: list[int] | None = None) -> dict[str, Any]:
        """Revive dead or unclear deliveries: those named, or all of them."""
        return {"revived": await self._store.write(lambda c: self._revive(c, ids))}

    def _revive(self, connection: Connection, ids: list[int] | None) -> list[int]:
        stuck = [DeliveryState.DEAD.value, DeliveryState.UNCLEAR.value]
        wanted = ids if ids is not None else [d.id for d in deliveries.in_states(connection, stuck, 100_000)]
        now = self._store.clock.now()
        for delivery_id in wanted:
            if deliveries.revive(connection, delivery_id, now) is None:
                raise _not_so(connection, delivery_id, "dead or unclear")
        return wanted

    async def do_deliveries_drop(self, ids: list[int]) -> dict[str, Any]:
        """End deliveries by a person's word."""
        return {"dropped": await self._store.write(lambda c: self._drop(c, ids))}

    def _drop(self, connection: Connection, ids: list[int]) -> list[int]:
        for delivery_id in ids:
            if not deliveries.drop(connection, delivery_id, self._store.clock.now()):
                raise _not_so(connection, delivery_id, "waiting, dead or unclear")
        return ids

    async def do_misroute(self, message_id: str, to: str, by: str = "", note: str = "") -> dict[str, Any]:
        """Flag a message: it moves at once."""
        message_id = normalise(message_id) or message_id
        flag = partial(
            self._corrections.flag,
            message_id=message_id,
            to=to,
            by=by,
            via="command",
            now=self._store.clock.now(),
            note=note,
        )
        moved: Moved = await self._store.write(flag)
        return {
            "message_id": moved.message_id,
            "department": moved.department,
            "correction": moved.correction_id,
            "disputed": moved.disputed,
            "held": moved.held,
        }

    async def do_corrections_list(
        self, state: str | None = None, limit: int = 100, conflicts: bool = False
    ) -> list[dict[str, Any]]:
        """Return corrections, newest first; with `conflicts` those to look at, each with what speaks against it.

        That is another word on the same message, or the last model, which was refused with it.
        """
        limit = min(limit, _MOST_ROWS)
        if conflicts:
            return (await self._store.read(partial(_conflicts, state=state, heirs=self._corrections.heirs())))[:limit]
        found = await self._store.read(lambda c: corrections.in_state(c, state, limit))
        return [correction_view(correction) for correction in found]

    async def do_corrections_confirm(self, ids: list[int], by: str) -> list[dict[str, Any]]:
        """Let corrections become training data."""
        return await self._settle(ids, CorrectionState.CONFIRMED, by)

    async def do_corrections_withdraw(self, ids: list[int], by: str = "") -> list[dict[str, Any]]:
        """Keep corrections out of training from now on."""
        return await self._settle(ids, CorrectionState.WITHDRAWN, by)

    async def _settle(self, ids: list[int], state: CorrectionState, by: str) -> list[dict[str, Any]]:
        now = self._store.clock.now()
        settled = await self._store.write(lambda c: [rules.settle(c, id_, state, by, now) for id_ in ids])
        return [correction_view(correction) for correction in settled]


def _conflicts(connection: Connection, state: str | None, heirs: Mapping[str, str]) -> list[dict[str, Any]]:
    others = dict(disputed(connection, heirs))
    version, doubted = models.doubted(connection)
    others |= {key: others.get(key, frozenset()) | {f"model {version}"} for key in doubted}
    ids = [int(key.removeprefix(f"{CORRECTION} ")) for key in others if key.startswith(CORRECTION)]
    found = filter(None, (corrections.get(connection, id_) for id_ in sorted(ids, reverse=True)))
    return [
        {**correction_view(each), "conflicts_with": sorted(others[f"{CORRECTION} {each.id}"])}
        for each in found
        if state in (None, each.state.value) and each.state is not CorrectionState.WITHDRAWN
    ]


def _not_so(connection: Connection, delivery_id: int, wanted: str) -> SignpostError:
    delivery = deliveries.get(connection, delivery_id)
    if delivery is None:
        return NotFound(f"there is no delivery {delivery_id}")
    return Conflict(f"delivery {delivery_id} is {delivery.state.value}, not {wanted}")
