"""Message queues of instances that have no run folder any more: nothing finds and removes them but a name.

Names come from the settings, and from a mounted mqueue file system where there is one.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.doctor.finding import Finding, several, warning
from appliance.doctor.instances import PREFIX, SWEEP
from appliance.doctor.mounts import mount_point_of
from appliance.doctor.queues import attributes
from appliance.ipc.channels import SUBSCRIBERS

if TYPE_CHECKING:
    from collections.abc import Iterable

SUBJECT = "message queues"
_NAME = re.compile(rf"/{PREFIX}([^./]+)\.(?:{'|'.join(SUBSCRIBERS)})\..+")


def examine(shared_memory: Path, known: Iterable[str]) -> list[Finding]:
    """`known`: names that the settings would give. What a live process has open is nobody's leftover."""
    findings = []
    for instance, names in find(shared_memory, known).items():
        text = f"{several(len(names), 'queue')} of {PREFIX}{instance} without its folder, such as {names[0]}"
        findings.append(warning(SUBJECT, text, SWEEP.replace("it", "them") if len(names) > 1 else SWEEP))
    return findings


def find(shared_memory: Path, known: Iterable[str]) -> dict[str, list[str]]:
    """Return by instance this user's queues that have no folder and that no process has open, as far as can be seen."""
    found: dict[str, list[str]] = {}
    for name in sorted({*known, *_mounted()}):
        match = _NAME.fullmatch(name)
        if match is None or (shared_memory / f"{PREFIX}{match[1]}").exists():
            continue
        with contextlib.suppress(OSError):
            if attributes(name) is not None:
                found.setdefault(match[1], []).append(name)
    if found:
        used = _open_queues()
        found = {instance: names for instance, names in found.items() if used.isdisjoint(names)}
    return found


def _mounted() -> list[str]:
    point = mount_point_of("mqueue")
    if point is None:
        return []
    try:
        entries = list(os.scandir(point))
    except OSError:
        return []
    mine = []
    for entry in entries:
        with contextlib.suppress(OSError):
            if entry.name.startswith(PREFIX) and entry.stat().st_uid == os.geteuid():
                mine.append(f"/{entry.name}")
    return mine


def _open_queues() -> set[str]:
    """Return the queues that processes have open which we may look at: the kernel counts them, but tells nobody."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            target = str(entry.readlink())
            if target.startswith(f"/{PREFIX}"):
                found.add(target)
    return found
