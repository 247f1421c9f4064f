"""What commands ask about audits: the queue, an answer, and the rates that follow."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from router.errors import NotFound
from router.ids import normalise
from router.learning.audit import rates
from router.learning.corrections import NOTE_LIMIT
from router.routing.route import intended
from router.store import audits, decisions, messages
from router.views import beginning, when

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection, Row

    from router.commands import Commands
    from router.store.engine import Store

_DEFAULT_DAYS = 90


class AuditCommands:
    """The commands' side of audits. Who answers isn't told where the router sent it, so as not to lean on that."""

    def __init__(
        self,
        store: Store,
        departments: Collection[str],
        zone: ZoneInfo,
        *,
        heirs: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._store = store
        self._departments = frozenset(departments)
        self._zone = zone
        self._heirs = heirs  # the departments that answer now for former ones

    def offer(self, commands: Commands) -> None:
        """Add these commands to the others."""
        commands.add("audit_list", self.audit_list)
        commands.add("audit_show", self.audit_show)
        commands.add("audit_answer", self.audit_answer)
        commands.add("audit_rate", self.audit_rate)

    async def audit_list(self, limit: int = 50, answered: bool = False) -> list[dict[str, Any]]:
        """Return the messages that wait for an answer, the oldest first; or the last answers with where each went."""
        rows = await self._store.read(partial(audits.listing, limit=min(limit, 1000), answered=answered))
        return [(_answer_view(row) if answered else {}) | _blind_view(row) for row in rows]

    async def audit_show(self, message_id: str) -> dict[str, Any]:
        """Return what a person needs to answer: the message, and the departments there are."""
        return await self._store.read(lambda c: self._show(c, _id(message_id)))

    def _show(self, connection: Connection, message_id: str) -> dict[str, Any]:
        row = _chosen(connection, message_id)
        message = messages.get(connection, message_id)
        assert message is not None
        content = message.content
        return {
            "id": message_id,
            "received_at": when(row.received_at),
            "channel": row.channel,
            "language": row.language,
            "sender": content.sender,
            "subject": content.subject,
            "text": content.text,
            "attachments": [attachment.name for attachment in content.attachments],
            "departments": sorted(self._departments),
        }

    async def audit_answer(
        self, message_id: str, department: str, urgent: bool, by: str, note: str = ""
    ) -> dict[str, Any]:
        """Keep which department a message belongs to and whether it is urgent; now it is told where it went.

        The fallback means that it is no department's business. Raise `NotFound` for a message that wasn't chosen or a
        department that there isn't.
        """
        if department not in self._departments:
            raise NotFound(f"there is no department '{department}'")
        now = self._store.clock.now()
        said = {"answer": department, "answer_urgent": urgent, "by": by[:320], "note": note[:NOTE_LIMIT]}
        return await self._store.write(lambda c: _answer(c, _id(message_id), now, said, self._heirs))

    async def audit_rate(self, since: str = "", until: str = "") -> dict[str, Any]:
        """Return what audits and flags say of the time from one day to another (ISO 8601); else of the last 90 days."""
        today = self._store.clock.now().astimezone(self._zone).date().isoformat()
        end = self._midnight(until or today) + timedelta(days=1)
        start = self._midnight(since) if since else end - timedelta(days=_DEFAULT_DAYS)
        return await self._store.read(lambda c: rates(c, start, end, self._zone))

    def _midnight(self, day: str) -> datetime:
        return datetime.fromisoformat(day).replace(tzinfo=self._zone)


def _id(given: str) -> str:
    return normalise(given) or given


def _chosen(connection: Connection, message_id: str) -> Row[Any]:
    row = audits.get(connection, message_id)
    if row is None:
        raise NotFound(f"message '{message_id}' wasn't chosen for an audit; see: signpost audit list")
    return row


def _answer(
    connection: Connection, message_id: str, now: datetime, said: dict[str, Any], heirs: Mapping[str, str]
) -> dict[str, Any]:
    row = _chosen(connection, message_id)
    got = {row.department}
    if row.decision_id is not None:
        got |= {*intended(decisions.get(connection, row.decision_id))[0]}
    wrong = said["answer"] not in got | {heirs.get(desk, desk) for desk in got}
    audits.answer(connection, message_id, now, wrong=wrong, **said)
    present = decisions.in_force(connection, message_id)
    return {
        "id": message_id,
        "answer": said["answer"],
        "urgent": said["answer_urgent"],
        "routed_to": row.department,
        "misrouted": wrong,
        "was_urgent": row.urgent,
        "now_with": present.department if present else "",
    }


def _blind_view(row: Row[Any]) -> dict[str, Any]:
    content = row.content or {}
    return {
        "id": row.message_id,
        "received_at": when(row.received_at),
        "channel": row.channel,
        "language": row.language,
        "subject": content.get("subject", ""),
        "beginning": beginning(content),
    }


def _answer_view(row: Row[Any]) -> dict[str, Any]:
    return {
        "answer": row.answer,
        "urgent": row.answer_urgent,
        "routed_to": row.department,
        "reason": row.reason,
        "misrouted": row.wrong,
        "was_urgent": row.urgent,
        "by": row.by,
        "note": row.note,
        "answered_at": when(row.answered_at),
    }
