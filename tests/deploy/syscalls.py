"""Runs a command with nothing but the system calls that a unit of systemd's allows; systemd need not be there for it.

`python syscalls.py FILE COMMAND...`: the file names the calls, one a line, and then address families, as numbers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

LIBRARY = "libseccomp.so.2"
"""The one that systemd itself uses."""
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_EQUAL = 4


class _Argument(ctypes.Structure):
    _fields_ = (
        ("number", ctypes.c_uint),
        ("compare", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("other", ctypes.c_uint64),
    )


def left_by(filters: list[str], known: str) -> set[str]:
    """Return the calls that are left by a unit's lines. `known`: what `systemd-analyze syscall-filter` prints."""
    groups: dict[str, list[str]] = {}
    name = ""
    for line in known.splitlines():
        if line.startswith("@"):
            name = line.strip()
            groups[name] = []
        elif line.startswith(" ") and not line.strip().startswith("#"):
            groups[name].append(line.strip())

    def within(word: str) -> set[str]:
        return {call for one in groups[word] for call in within(one)} if word.startswith("@") else {word}

    found: set[str] = set()
    for line in filters:
        calls = {call for word in line.removeprefix("~").split() for call in within(word)}
        found = found - calls if line.startswith("~") else found | calls
    return found


def confine(calls: list[str], families: list[int]) -> None:
    """Refuse all other calls, and sockets of other families, to this process and what it starts, for good."""
    library = ctypes.CDLL(LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_REFUSE)))
    for call in calls:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:  # of another architecture
            continue
        arguments = [_Argument(0, _EQUAL, family, 0) for family in families] if call == "socket" else [None]
        for one in arguments:
            counted = (ctypes.c_uint(0), None) if one is None else (ctypes.c_uint(1), ctypes.byref(one))
            failed = library.seccomp_rule_add_array(rules, ctypes.c_uint32(_ALLOW), number, *counted)
            if failed:
                raise OSError(-failed, f"no rule for {call}")
    if failed := library.seccomp_load(rules):
        raise OSError(-failed, "the filter cannot be set")


if __name__ == "__main__":
    words = Path(sys.argv[1]).read_text(encoding="ascii").split()
    confine([word for word in words if not word.isdigit()], [int(word) for word in words if word.isdigit()])
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 -- what it is told to run
