"""Which file systems are mounted, as far as this process sees them."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


def file_system_of(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the kind of file system under `path`, such as tmpfs; None where it cannot be told."""
    found = None
    for point, kind in _read(mounts):
        if path.is_relative_to(point) and (found is None or point.is_relative_to(found[0])):
            found = (point, kind)
    return found[1] if found is not None else None


def mount_point_of(kind: str, mounts: Path = MOUNTS) -> Path | None:
    """Return where a file system of this kind is mounted, if it is."""
    return next((point for point, found in reversed(_read(mounts)) if found == kind), None)


def _read(mounts: Path) -> list[tuple[Path, str]]:
    """Return mount points and kinds in the order of mounting: of two at one place the later lies on top."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        place, _, system = line.partition(" - ")
        if len(fields := place.split(" ")) > 4 and system:
            found.append((Path(_plain(fields[4])), system.split(" ")[0]))
    return found


def _plain(text: str) -> str:
    """Undo the kernel's escapes: a space is written as a backslash and 040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
