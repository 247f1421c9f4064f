"""Mail servers' reports: matched to exactly the delivery they are about, and believed only as far as they prove it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from router.records import DeliveryKind, DeliveryState, Medium, Returned
from router.retry import one_line
from router.routing.answer import Answer, File, Hold
from router.routing.steps import answered_delivery
from router.store import deliveries, reports

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from router.records import Content, Delivery, Fate, Message, Report
    from router.signing import KeyRing
    from router.store.engine import Store

LATEST = timedelta(days=14)  # we try for five days, a mail server for five more
_SERVERS = frozenset({"", "mailer-daemon", "postmaster"})  # in a reverse path; it should be empty (RFC 5321, 4.5.5)


class Reports:
    """File what reports on a delivery of ours, and say so if it came back; hold a failure that proves nothing.

    `mailboxes` are the channels that mail servers can write to; `for_good(status, said)` tells whether a failure is.
    Nobody can name a Message-ID of ours who hasn't had that mail (see `KeyRing.mail_id`), and he can only undo what
    it did: its recipient has to fit, too.
    """

    name = "reports"

    def __init__(
        self,
        store: Store,
        keys: KeyRing,
        domain: str,
        mailboxes: Collection[str],
        for_good: Callable[[str, str], bool],
    ) -> None:
        self._store = store
        self._keys = keys
        self._domain = domain
        self._mailboxes = frozenset(mailboxes)
        self._for_good = for_good

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """File or hold reports."""
        return [await self._one(message, message.content.report) for message in batch]

    async def _one(self, message: Message, report: Report | None) -> Answer:
        is_mail = message.medium is Medium.EMAIL and message.channel in self._mailboxes
        if report is None or not is_mail or message.released:
            return None
        number = self._named(message.content, report)
        delivery = await self._store.read(lambda c: deliveries.get(c, number)) if number else None
        failures = [fate for fate in report.fates if fate.action == "failed"]
        if delivery is None:
            return _unmatched(message.content, report) if failures else None
        if not failures or delivery.kind is DeliveryKind.ANSWER:  # nobody waits for an automatic answer
            return File(_noted(report, delivery), delivery_id=delivery.id)
        return await self._failed(message, delivery, failures)

    def _named(self, content: Content, report: Report) -> int | None:
        """Return the delivery that a report is about: by the mail it returns, else by what it answers."""
        if report.mail_id:
            return self._keys.delivery_of(report.mail_id, self._domain)
        return answered_delivery(content, self._keys, self._domain)

    async def _failed(self, message: Message, delivery: Delivery, failures: Sequence[Fate]) -> Answer:
        fate = next((fate for fate in failures if delivery.to.casefold() in fate.recipients), None)
        if fate is None or not _from_a_server(message.content):
            whose = "not from a mail server" if fate else "about another recipient"
            return Hold(f"it says that delivery {delivery.id} failed, but it is {whose}")
        if message.received_at - delivery.created_at > LATEST:
            return Hold(f"it says that delivery {delivery.id} failed, {LATEST.days} days and more after it was made")
        if not await self._store.read(lambda c: reports.can_come_back(c, delivery.id)):
            if delivery.state is DeliveryState.UNCLEAR:
                return Hold(f"it says that delivery {delivery.id}, which was unclear, failed")
            known = f"it says that delivery {delivery.id} failed, which is {delivery.state.value} already"
            return File(known, delivery_id=delivery.id)
        reason = one_line(f"the mail was taken and came back: {fate.status} {fate.said}".rstrip(" :"))
        returned = Returned(delivery_id=delivery.id, reason=reason, lasting=self._for_good(fate.status, fate.said))
        return File(f"it says that delivery {delivery.id} failed", delivery_id=delivery.id, returned=returned)


def _unmatched(content: Content, report: Report) -> Answer:
    """A failure of a mail that isn't ours, as far as can be seen: a person has to look, if it is a mail server's."""
    if report.kind == "delivery-status" or (content.headers.get("return-path") and _from_a_server(content)):
        return Hold("a mail server says that a mail failed, and it can't be told which")
    return None


def _noted(report: Report, delivery: Delivery) -> str:
    actions = sorted({fate.action for fate in report.fates} - {""})
    return f"{' and '.join(actions) or report.kind}: a report on delivery {delivery.id}"[:200]


def _from_a_server(content: Content) -> bool:
    """Tell whether the reverse path, where it is known, is one of mail servers: a person's own isn't."""
    path = (content.headers.get("return-path") or ("",))[0]
    return path.strip("<> ").partition("@")[0].casefold() in _SERVERS
