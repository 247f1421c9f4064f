"""A budget of memory for what is on its way in; beyond it senders hear, before anything is accepted, to come back."""

from __future__ import annotations


class Room:
    """How many bytes may be held at once, by all senders together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    def take(self, size: int) -> bool:
        """Make room for so many bytes more; False, and nothing is taken, if there is none."""
        if self.held + size > self._most:
            return False
        self.held += size
        return True

    def leave(self, size: int) -> None:
        """Give so many bytes back."""
        self.held -= size
