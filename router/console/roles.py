"""Who may do what: four roles, each within departments and schools. Pure; every page asks it, none decides itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from router.store.scope import Scope


class Role(StrEnum):
    """What somebody is to the console; each may all that the one before may."""

    VIEWER = "viewer"
    STAFF = "staff"
    TRIAGE = "triage"
    ADMINISTRATOR = "administrator"


class Action(StrEnum):
    """What a page shows or changes, told apart as far as roles differ."""

    OWN = "own"  # one's own sessions, the start page, signing out
    SEE = "see"  # messages: list, search, count, read, download
    FIGURES = "figures"  # the dashboard
    FLAG = "flag"  # not ours, ours, undo
    COMMENT = "comment"
    EXPORT = "export"  # many messages at once
    TRIAGE = "triage"  # route and label what waits for a person; release, hold, retry
    TEACH = "teach"  # confirm and withdraw corrections, answer audits
    MODELS = "models"  # promote, roll back, pin
    CHANNELS = "channels"  # how the channels are
    SETTINGS = "settings"  # the running configuration, secrets hidden
    USERS = "users"
    ACCESS_LOG = "access_log"


_VIEWER = frozenset({Action.OWN, Action.SEE, Action.FIGURES})
_STAFF = _VIEWER | {Action.FLAG, Action.COMMENT, Action.EXPORT}
_TRIAGE = _STAFF | {Action.TRIAGE, Action.TEACH, Action.CHANNELS}
_MAY = {
    Role.VIEWER: _VIEWER,
    Role.STAFF: _STAFF,
    Role.TRIAGE: _TRIAGE,
    Role.ADMINISTRATOR: frozenset(Action),
}
_OF_ALL = frozenset({Action.MODELS, Action.CHANNELS, Action.SETTINGS, Action.USERS, Action.ACCESS_LOG})


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Somebody who is signed in, as they are at this moment."""

    account_id: int
    email: str
    name: str
    role: Role
    scope: Scope

    @property
    def known_as(self) -> str:
        """What others read: the name, else the address."""
        return self.name or self.email

    def may(self, action: Action, department: str | None = None, school: str = "") -> bool:
        """Return whether the role allows an action, and, of a message, whether its department and school do.

        `department` is None where it isn't about a message, "" for one that is with no department yet. What is about
        the whole district is for those alone who see all of it.
        """
        if action not in _MAY[self.role] or (action in _OF_ALL and self.scope != Scope()):
            return False
        return department is None or self.scope.sees(department, school)
