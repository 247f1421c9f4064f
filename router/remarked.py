"""The other side's id of what was delivered, with a remark on it: a sink returns one where all didn't go as usual."""

from __future__ import annotations


class Remarked(str):
    """An id; `remark` is one line for people, without addresses: what of the message isn't there, and why."""

    __slots__ = ("remark",)

    remark: str

    def __new__(cls, remote_id: str, remark: str) -> Remarked:
        """Make one."""
        made = super().__new__(cls, remote_id)
        made.remark = remark
        return made


def remark_on(remote_id: str) -> str:
    """Return what a sink remarked on what it delivered, "" if nothing."""
    return remote_id.remark if isinstance(remote_id, Remarked) else ""
