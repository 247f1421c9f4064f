"""Named places on a message's way where a tester lets the daemon die, freeze, fail or dawdle (docs/reliability.md).

All of it is off unless the environment variable SIGNPOST_FAILPOINTS says otherwise; then `reach` costs one comparison.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import FilteringBoundLogger

VARIABLE = "SIGNPOST_FAILPOINTS"
# What has happened when a place is reached, in the order of a message's life.
PLACES = {
    "fetched": "a source has the bytes; nothing is stored",
    "committed": "the message is on disk; nobody has heard of it",
    "flagged": "the mail is marked as read in its mailbox (IMAP); the position isn't stored",
    "parsed": "the message is understood",
    "decided": "its departments are known; nothing of it is stored",
    "routed": "decision and deliveries are on disk",
    "leased": "a batch of deliveries is this daemon's",
    "connected": "a new connection to a mail server stands",
    "data_sent": "the last dot has left for the mail server; there is no answer",
    "text_posted": "Twilio has a text, and its answer hasn't been read",
    "answer_seen": "a sink has confirmed; that isn't stored",
    "settled": "the delivery is on disk as delivered",
    "callback_stored": "what Twilio said later of a text is on disk; it hasn't heard so",
    "corrected": "a misroute is on disk; whoever flagged it hasn't heard so",
    "model_stored": "a new model's bytes are on disk; the registry doesn't know it",
    "promoted": "another model is the champion; it doesn't serve yet",
}
_SLOW_S = 0.25
_RULE = re.compile(r"(?P<place>[a-z_]+)=(?P<action>[a-z]+)(?:@(?P<nth>[1-9][0-9]*)(?P<on>\+?))?")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _fail() -> None:
    raise OSError(errno.EIO, "a failpoint says so")


def _dawdle() -> None:
    time.sleep(_SLOW_S)


_ACTIONS: dict[str, Callable[[], None]] = {"kill": _die, "freeze": _freeze, "fail": _fail, "slow": _dawdle}


@dataclass(slots=True)
class Failpoint:
    """What happens at a place the `nth` time it is reached, or from then `on`."""

    action: Callable[[], None]
    nth: int
    on: bool
    reached: int = 0

    def reach(self) -> None:
        """Count, and act if it is time."""
        self.reached += 1
        if self.reached == self.nth or (self.on and self.reached > self.nth):
            self.action()


_points: dict[str, Failpoint] | None = None  # of this process; a tester sets them once, before it begins


def reach(place: str) -> None:
    """Do what a tester wants to happen at this place; nothing, unless the daemon was started for that."""
    if _points is not None and place in _points:
        _points[place].reach()


def switch_on(environment: Mapping[str, str], log: FilteringBoundLogger) -> None:
    """Follow what the environment says, such as `committed=kill@3,data_sent=freeze`; raise `ConfigError`.

    `@3` means the third time that the place is reached, `@3+` that time and each one after it; without, the first.
    """
    global _points  # noqa: PLW0603  to hand it to every place would cost more than the places
    rules = environment.get(VARIABLE, "")
    _points = parse(rules) if rules else None
    if _points:
        log.warning("failpoints_on", places=sorted(_points))


def parse(rules: str) -> dict[str, Failpoint]:
    """Return the failpoints that a text asks for, by place; raise `ConfigError`."""
    return dict(_parsed(rule.strip()) for rule in rules.split(","))


def _parsed(rule: str) -> tuple[str, Failpoint]:
    match = _RULE.fullmatch(rule)
    if match is None or match["place"] not in PLACES or match["action"] not in _ACTIONS:
        what = f"{rule!r} isn't PLACE=ACTION or PLACE=ACTION@COUNT"
        hint = f"places: {', '.join(PLACES)}; actions: {', '.join(_ACTIONS)}"
        raise ConfigError([Problem(VARIABLE, 1, "", what, hint)])
    return match["place"], Failpoint(_ACTIONS[match["action"]], int(match["nth"] or 1), on=bool(match["on"]))
