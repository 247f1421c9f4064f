"""The page behind "Not yours? Send it on": GET shows, only POST changes anything, and what it did can be undone.

A mail scanner follows every link, so that a GET or HEAD must never count as a person's word (RFC 9110 section 9.2.1).
The page says nothing about the message but its id and the department that has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from router.errors import Conflict, NotAuthentic, NotFound
from router.failpoints import reach
from router.forwarding import MISROUTE
from router.learning.corrections import NOTE_LIMIT
from router.records import CorrectionState, DeliveryKind, State
from router.store import corrections as said_store
from router.store import decisions, deliveries, messages
from router.web import clients
from router.web.requests import check_origin, read_form

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection
    from structlog.typing import FilteringBoundLogger

    from router.destinations import Desks
    from router.learning.corrections import Corrections
    from router.records import Correction, Decision, Delivery, Department
    from router.signing import KeyRing
    from router.store.engine import Store
    from router.web.pages import Pages

LINK_LIFE_S = 400 * 86_400  # longer than a school year
_DONE = "misroute-done"
_UNDO = "misroute-undo"
_LIKELIEST = 3
_BY_PROGRAM = "misroute_by_program"  # the link was used as only programs do: its votes count for nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a message stands, seen from the delivery whose link was opened.

    `sent_on` is what this very link did, if the message is still where that brought it.
    """

    delivery: Delivery
    message_id: str
    state: State
    present: Decision
    sent_on: Correction | None
    copied: bool = False  # the delivery was a copy, for a second matter: what it does leaves the message where it is

    @property
    def here(self) -> bool:
        """Whether the message is still with the department that this delivery went to."""
        in_force = self.state is State.ROUTED and self.delivery.decision_id == self.present.id
        return in_force and not (self.copied and self.sent_on)

    @property
    def department(self) -> str:
        """The department that has the message, as far as this delivery is concerned."""
        if not self.copied:
            return self.present.department
        return self.sent_on.to_department if self.sent_on else self.delivery.department

    @property
    def holders(self) -> frozenset[str]:
        """Departments that it needn't be sent to, since they have it."""
        return frozenset({self.present.department, self.department, *(self.present.also if self.copied else ())})


def stand(connection: Connection, delivery_id: int) -> Standing:
    """Return where the message of a delivery stands; raise `NotFound` if it is gone."""
    delivery = deliveries.get(connection, delivery_id)
    if delivery is None or delivery.message_id is None or delivery.kind is not DeliveryKind.ROUTE:
        raise NotFound("this message isn't kept here any more")
    present = decisions.in_force(connection, delivery.message_id)
    if present is None:
        raise NotFound("this message isn't kept here any more")
    ours = bool(present.also) and delivery.decision_id == present.id
    passed = said_store.of_copies(connection, present.id) if ours else []
    copied = ours and delivery.department in {*present.also, *(each.to_department for each in passed)}
    if copied:
        said = next((each for each in passed if each.delivery_id == delivery.id), None)
    else:
        said = said_store.leading_to(connection, present.id)
    mine = said is not None and said.delivery_id == delivery.id and said.state is not CorrectionState.WITHDRAWN
    return Standing(
        delivery=delivery,
        message_id=delivery.message_id,
        state=messages.state_of(connection, delivery.message_id),
        present=present,
        sent_on=said if mine else None,
        copied=copied,
    )


class Misroute:
    """The misroute link's addresses."""

    def __init__(
        self,
        *,
        store: Store,
        corrections: Corrections,
        keys: KeyRing,
        desks: Desks,
        pages: Pages,
        public_url: str,
        wake: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._corrections = corrections
        self._keys = keys
        self._desks = desks
        self._pages = pages
        self._public_url = public_url
        self._wake = wake
        self._log = log

    def routes(self) -> list[web.RouteDef]:
        """Return the addresses."""
        return [
            web.get("/m/{token}", self.show),
            web.post("/m/{token}", self.flag),
            web.post("/m/{token}/ours", self.ours),
            web.post("/m/{token}/undo", self.undo),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Show where the message is, and the form to send it on if it is still where the link was sent."""
        delivery_id = self._delivery_id(request)
        standing = await self._store.read(lambda c: stand(c, delivery_id))
        return self._page(request, standing, done=self._done(request, delivery_id), chosen=request.query.get("to", ""))

    async def flag(self, request: web.Request) -> web.Response:
        """Send the message on, once: the same form again changes nothing and shows the same page."""
        delivery_id = self._delivery_id(request)
        check_origin(request, self._public_url)
        form = await read_form(request)
        to, note = form.get("department", "").strip(), form.get("note", "").strip()[:NOTE_LIMIT]
        standing = await self._store.read(lambda c: stand(c, delivery_id))
        now = self._store.clock.now()
        wrong = self._wrong_choice(standing, to)
        if wrong:
            if not to and await self._store.write(lambda c: self._note_blank(c, standing.delivery, now)):
                self._changed(_BY_PROGRAM, standing)
            status = 409 if to in self._desks.departments else 400
            return self._page(request, standing, status=status, wrong=wrong, note=note)
        client = clients.known(request) or clients.make()
        flag = partial(self._flag, delivery_id=delivery_id, to=to, note=note, client=client, now=now)
        correction, is_new = await self._store.write(flag)
        reach("corrected")
        if is_new:
            self._changed("misroute_flagged", standing, department=to, correction=correction)
        answer = self._see_other(request, f"{delivery_id}:sent" if correction else "")
        clients.remember(answer, client, self._public_url)
        return answer

    def _note_blank(self, connection: Connection, delivery: Delivery, now: datetime) -> bool:
        """Remember that the form came without a department, as programs send it; return whether that is new."""
        is_new = said_store.note_blank(connection, delivery.id, now)
        self._corrections.distrust(connection, delivery)
        return is_new

    def _wrong_choice(self, standing: Standing, to: str) -> str:
        if not to:
            return "Please choose a department."
        if to not in self._desks.departments:
            return "There is no such department. Please choose one of these."
        if standing.here and to in standing.holders:
            return f"The message is with {self._desks.name(to)} already. Please choose another department."
        return ""

    def _flag(
        self, connection: Connection, *, delivery_id: int, to: str, note: str, client: str, now: datetime
    ) -> tuple[int | None, bool]:
        """Return this link's correction, if there is one, and whether it was made just now."""
        standing = stand(connection, delivery_id)
        if standing.sent_on is not None:
            return standing.sent_on.id, False
        moved = self._corrections.flag(
            connection,
            standing.message_id,
            to,
            by="link",
            via="link",
            now=now,
            note=note,
            delivery=standing.delivery,
            client=client,
        )
        return moved.correction_id, moved.correction_id is not None

    async def ours(self, request: web.Request) -> web.Response:
        """Take the confirming vote "This is ours", as long as the message is there."""
        delivery_id = self._delivery_id(request)
        check_origin(request, self._public_url)
        now = self._store.clock.now()
        client = clients.known(request)
        standing, is_new = await self._store.write(lambda c: self._ours(c, delivery_id, client, now))
        if is_new:
            event = "misroute_ours" if standing.here else _BY_PROGRAM
            self._changed(event, standing, department=standing.delivery.department)
        return self._see_other(request, f"{delivery_id}:ours" if standing.here else "")

    def _ours(self, connection: Connection, delivery_id: int, client: str, now: datetime) -> tuple[Standing, bool]:
        """Return where the message stands, and whether the delivery's link says so for the first time."""
        standing = stand(connection, delivery_id)
        delivery = standing.delivery
        if not standing.here and not said_store.of_delivery(connection, delivery_id):
            return standing, False
        is_new = said_store.vote(connection, standing.message_id, delivery_id, delivery.department, now)
        if not standing.here:  # this link has sent it on, and no page shows that button any more
            self._corrections.distrust(connection, delivery)
            return standing, is_new
        self._corrections.ours(connection, delivery, now, client=client)
        return standing, is_new

    async def undo(self, request: web.Request) -> web.Response:
        """Take back what this link did: the message is again where it was."""
        delivery_id = self._delivery_id(request)
        check_origin(request, self._public_url)
        form = await read_form(request)
        signed = self._keys.unsign(form.get("correction", ""), _UNDO, LINK_LIFE_S)
        now = self._store.clock.now()
        undo = partial(self._undo, delivery_id=delivery_id, signed=signed, now=now)
        standing, is_new = await self._store.write(undo)
        if is_new:
            self._changed("misroute_undone", standing, department=standing.department)
        return self._see_other(request, f"{delivery_id}:undone")

    def _undo(self, connection: Connection, delivery_id: int, signed: str, now: datetime) -> tuple[Standing, bool]:
        """Return where the message stands, and whether that was changed just now."""
        of_delivery, _, correction_id = signed.partition(":")
        if of_delivery != str(delivery_id):
            raise NotAuthentic("this button belongs to another message")
        said = said_store.get(connection, int(correction_id))
        if said is not None and said.state is CorrectionState.CONFIRMED:
            raise Conflict(
                "this was confirmed meanwhile, so it can't be undone here; it can be sent on from where it is"
            )
        self._corrections.undo(connection, int(correction_id), "link", now)
        is_new = said is not None and said.state is not CorrectionState.WITHDRAWN
        return stand(connection, delivery_id), is_new

    # --- pages ------------------------------------------------------------------------------------------------------

    def _delivery_id(self, request: web.Request) -> int:
        return int(self._keys.unsign(request.match_info["token"], MISROUTE, LINK_LIFE_S))

    def _done(self, request: web.Request, delivery_id: int) -> str:
        """Return what has just been done, "" if nothing has or the address was made up."""
        try:
            of_delivery, _, what = self._keys.unsign(request.query.get("done", ""), _DONE, LINK_LIFE_S).partition(":")
        except NotAuthentic:
            return ""
        return what if of_delivery == str(delivery_id) else ""

    def _see_other(self, request: web.Request, done: str) -> web.Response:
        query = f"?done={self._keys.sign(done, _DONE)}" if done else ""
        location = f"{self._pages.root}/m/{request.match_info['token']}{query}"
        return web.Response(status=303, headers={"Location": location})

    def _page(
        self,
        request: web.Request,
        standing: Standing,
        *,
        status: int = 200,
        done: str = "",
        wrong: str = "",
        note: str = "",
        chosen: str = "",
    ) -> web.Response:
        sent_on = standing.sent_on
        values: dict[str, Any] = {
            "link": f"{self._pages.root}/m/{request.match_info['token']}",
            "standing": standing,
            "department": self._desks.name(standing.department),
            "asked_for": self._desks.name(sent_on.to_department) if sent_on else "",
            "disputed": sent_on is not None and sent_on.to_department != standing.department,
            "held": standing.state is State.HELD,
            "undo": self._undo_token(standing),
            "done": done,
            "wrong": wrong,
            "note": note,
            "note_limit": NOTE_LIMIT,
            "chosen": chosen,
        }
        likely, others = self._choices(standing)
        return self._pages.response("misroute.html", status=status, likely=likely, others=others, **values)

    def _undo_token(self, standing: Standing) -> str:
        if standing.sent_on is None or standing.sent_on.state is not CorrectionState.PROPOSED:
            return ""
        return self._keys.sign(f"{standing.delivery.id}:{standing.sent_on.id}", _UNDO)

    def _choices(self, standing: Standing) -> tuple[list[Department], list[Department]]:
        """Return the likeliest departments and all others, without the one that has the message."""
        rest = {id_: d for id_, d in self._desks.departments.items() if id_ not in standing.holders}
        known = [id_ for id_ in dict.fromkeys(standing.present.suggestions) if id_ in rest]
        likely = [rest.pop(id_) for id_ in known[:_LIKELIEST]]
        return likely, [department for department in self._desks.departments.values() if department.id in rest]

    def _changed(self, event: str, standing: Standing, **facts: Any) -> None:
        self._wake()
        self._log.info(event, message_id=standing.message_id, delivery=standing.delivery.id, **facts)
