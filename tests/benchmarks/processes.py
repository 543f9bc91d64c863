"""What a running process has used: processor time, memory, descriptors, as the kernel counts them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_s` since it was started; `pss` its share of memory in bytes, shared pages split among their users; `private`
    what would be free without it.
    """

    cpu_s: float
    pss: int
    private: int
    descriptors: int
    threads: int


def usage(pid: int) -> Usage:
    """ProcessLookupError, FileNotFoundError: it is gone."""
    folder = Path("/proc") / str(pid)
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    memory = {}
    for line in (folder / "smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        memory[name] = int(rest.split()[0]) * 1024
    return Usage(
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS,
        pss=memory["Pss"],
        private=memory["Private_Clean"] + memory["Private_Dirty"],
        descriptors=len(list((folder / "fd").iterdir())),
        threads=int(fields[17]),
    )
