"""Tell operations of channels that are silent or run out of something, or that nothing comes in by; and when well."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from router.life.proof import Expiry, Side
from router.records import Notice
from router.settings import format_duration
from router.store import messages
from router.views import when

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from router.alerts import Alerts
    from router.life.lives import Lives, Watched
    from router.life.proof import Life
    from router.store.engine import Store
    from router.store.lives import Key

_SEVERAL = 3  # requests that are refused one after the other may be a secret that was changed, and not only noise
_DAY = timedelta(days=1)
_TROUBLES = {Side.IN: ("down", "rejected", "silent"), Side.OUT: ("late",)}  # what is over when a channel is steady


class ChannelWatch:
    """Looks at what is known of the channels. Several daemons may look at once: each thing is told by one of them."""

    def __init__(self, store: Store, alerts: Alerts, lives: Lives) -> None:
        self._store = store
        self._alerts = alerts
        self._lives = lives
        self._told: dict[tuple[str, str], datetime] = {}  # channel, what runs out: the date that was warned of

    async def look(self) -> None:
        """Tell what has to be told; may raise `StoreBusy`."""
        known, watched = self._lives.known(), self._lives.watched

        def work(connection: Connection) -> None:
            now = self._store.clock.now()
            for key, life in known.items():
                self._look_at(connection, key, life, watched[key], now)

        await self._store.write(work)
        for (name, _side), watching in watched.items():
            self._note(name, watching.expiries())

    def _look_at(self, connection: Connection, key: Key, life: Life, watching: Watched, now: datetime) -> None:
        name, side = key
        kinds = [f"{kind}:{name}" for kind in _TROUBLES[side]]
        if life.steady(now, watching.limit):
            again = "takes messages in" if side is Side.IN else "delivers"
            subject = f"The channel {name} {again} again"
            self._alerts.tell_over(connection, kinds, Notice(subject=subject, text=f"{subject}.\n"), now)
        elif side is Side.IN and life.silent(now, watching.limit) and self._lives.settled:
            self._tell_silent(connection, name, life, now)
        if watching.expect_every is not None:
            self._expect(connection, name, life, watching, now)
        if life.refused >= _SEVERAL and life.refused_at is not None and now - life.refused_at < _DAY:
            self._tell_refused(connection, name, life, now)
        for expiry in watching.expiries():
            self._tell_expiry(connection, name, expiry, now)

    def _tell_silent(self, connection: Connection, name: str, life: Life, now: datetime) -> None:
        """Tell of a connection that is up and dead; what was refused or is down has been told as that."""
        if any(self._alerts.was_told(connection, f"{kind}:{name}") for kind in ("down", "rejected")):
            return
        since = f"since {when(life.proven_at)}" if life.proven_at else "so far"
        text = (
            f"The channel {name} hasn't proved {since} that it looks for messages.\n"
            f"{'Its last error: ' + life.error if life.failing else 'It has reported no error.'}\n"
        )
        self._alerts.tell_once(
            connection, f"silent:{name}", Notice(subject=f"The channel {name} is silent", text=text), now
        )

    def _tell_refused(self, connection: Connection, name: str, life: Life, now: datetime) -> None:
        """Tell of requests that were refused while none was taken: at most once a day, for it may be noise."""
        since = f"since {when(life.proven_at)}" if life.proven_at else "so far"
        text = (
            f"{life.refused} requests to the channel {name} were refused, and none was taken {since}.\n"
            f"Why the last one was: {life.refusal}.\n\n"
            "If messages are missing, a secret or an address was changed on one side only: the provider's log and\n"
            "`signpost check --connect` say more. If none is missing, it was noise, and there is nothing to do.\n"
        )
        notice = Notice(subject=f"Requests to {name} are refused", text=text)
        self._alerts.tell(connection, f"refused:{name}", notice, now, every=_DAY)

    def _expect(self, connection: Connection, name: str, life: Life, watching: Watched, now: datetime) -> None:
        assert watching.expect_every is not None
        last, kind = messages.newest(connection, name), f"quiet:{name}"
        if now - (last or life.first_at) <= watching.expect_every:
            subject = f"Messages come in by {name} again"
            self._alerts.tell_over(connection, [kind], Notice(subject=subject, text=f"{subject}.\n"), now)
        elif self._lives.settled:
            came = f"The last message came at {when(last)}" if last else "No message has come yet"
            text = (
                f"{came}; at least one every {format_duration(watching.expect_every)} is expected (expect_every).\n"
                "Is it still connected on the other side?\n"
            )
            self._alerts.tell_once(connection, kind, Notice(subject=f"Nothing comes in by {name}", text=text), now)

    # --- what runs out ------------------------------------------------------------------------------------------------

    def _tell_expiry(self, connection: Connection, name: str, expiry: Expiry, now: datetime) -> None:
        step = expiry.step(now)
        if step is None:
            self._tell_renewed(connection, name, expiry, now)
            return
        verb = "expires" if expiry.at > now else "has expired"
        subject = f"{name}: {expiry.what} {verb} on {expiry.at:%Y-%m-%d}"
        text = f"{expiry.what[:1].upper()}{expiry.what[1:]} of the channel {name} {verb} at {when(expiry.at)}.\n"
        kind = f"expires:{step.days}:{expiry.at:%Y%m%d}:{name}:{expiry.what}"
        self._alerts.tell_once(connection, kind, Notice(subject=subject, text=text), now)

    def _tell_renewed(self, connection: Connection, name: str, expiry: Expiry, now: datetime) -> None:
        warned = self._told.get((name, expiry.what))
        if warned is None or expiry.at <= warned:
            return
        subject = f"{name}: {expiry.what} is renewed"
        notice = Notice(subject=subject, text=f"It is good until {when(expiry.at)}.\n")
        self._alerts.tell_once(connection, f"renewed:{expiry.at:%Y%m%d}:{name}:{expiry.what}", notice, now)

    def _note(self, name: str, expiries: list[Expiry]) -> None:
        """Remember what was warned of; outside the unit of work, which may run twice."""
        for expiry in expiries:
            if expiry.step(self._store.clock.now()) is None:
                self._told.pop((name, expiry.what), None)
            else:
                self._told[name, expiry.what] = expiry.at
