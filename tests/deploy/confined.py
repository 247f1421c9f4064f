"""Start a command under the limits that a unit file sets on system calls: `confined.py UNIT COMMAND…`.

Does with libseccomp and prctl what systemd does for SystemCallFilter, SystemCallErrorNumber, RestrictAddressFamilies,
MemoryDenyWriteExecute and NoNewPrivileges, so that they can be tried where no systemd runs.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO of seccomp.h
_EQUAL = 4  # SCMP_CMP_EQ
_PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 38, 65
_FAMILIES = range(1, 46)  # AF_UNIX to AF_MAX


class _Condition(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def settings(unit):
    """Return the settings of a unit file's [Service] section, each with all its values."""
    found = {}
    section = Path(unit).read_text().partition("[Service]")[2].partition("\n[")[0]
    for line in section.splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@cache
def members(group):
    """Return the system calls of a group such as @system-service, as this system's systemd knows it; or one call."""
    if not group.startswith("@"):
        return frozenset({group})
    command = ["systemd-analyze", "syscall-filter", group]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = {line.strip() for line in said.splitlines()[1:] if line.strip() and not line.strip().startswith("#")}
    return frozenset().union(*(members(name) if name.startswith("@") else {name} for name in names))


def allowed(unit):
    """Return the system calls that a unit allows."""
    calls = set(members("@default"))
    for value in settings(unit)["SystemCallFilter"]:
        named = frozenset().union(*(members(each) for each in value.removeprefix("~").split()))
        calls = calls - named if value.startswith("~") else calls | named
    return calls


def confine(unit):
    """Put this process and all that follow under the limits of a unit."""
    given, library = settings(unit), ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    process = ctypes.CDLL(None, use_errno=True)
    assert process.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    if given["MemoryDenyWriteExecute"] == ["yes"]:
        process.prctl(_PR_SET_MDWE, 1, 0, 0, 0)  # an older kernel doesn't know it; systemd has another way there
    calls = [library.seccomp_syscall_resolve_name(name.encode()) for name in sorted(allowed(unit))]
    refusal = _ERRNO | getattr(errno, given["SystemCallErrorNumber"][0])
    _filter_families(library, given["RestrictAddressFamilies"][0].split())
    rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(refusal)))
    for number in calls:
        if number >= 0:  # the others are calls of other machines
            assert library.seccomp_rule_add_array(rules, ctypes.c_uint32(_ALLOW), number, 0, None) == 0
    assert library.seccomp_load(rules) == 0


def _filter_families(library, families):
    rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    call = library.seccomp_syscall_resolve_name(b"socket")
    for family in set(_FAMILIES) - {int(getattr(socket, name)) for name in families}:
        only = _Condition(0, _EQUAL, family, 0)
        action = ctypes.c_uint32(_ERRNO | errno.EAFNOSUPPORT)
        assert library.seccomp_rule_add_array(rules, action, call, 1, ctypes.byref(only)) == 0
    assert library.seccomp_load(rules) == 0


if __name__ == "__main__":
    confine(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
