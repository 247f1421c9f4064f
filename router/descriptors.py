"""File descriptors: a connection that is let in must not leave none for delivering."""

from __future__ import annotations

import resource

_ENOUGH = 8_192  # connections to us, to others, files and pipes


def allow_enough() -> None:
    """Raise our own limit of open files, as far as the system lets us; a common default is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
