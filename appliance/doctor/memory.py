"""Is there shared memory, and enough of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from appliance.doctor.finding import Finding, amount, ok, problem, warning
from appliance.doctor.mounts import file_system_of

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.needs import SharedMemory

SUBJECT = "shared memory"


def examine(need: SharedMemory, who: str, held: int, shared_memory: Path) -> list[Finding]:
    """Hold what `who` (say, "2 cameras") needs against what is free.

    `held`: bytes that the instance has there already; they are its own, running or left over.
    """
    if not shared_memory.is_dir():
        return [problem(SUBJECT, f"{shared_memory} is not there", f"mount a tmpfs at {shared_memory}")]
    return [*_kind(shared_memory), _room(need, who, held, shared_memory)]


def _kind(shared_memory: Path) -> list[Finding]:
    kind = file_system_of(shared_memory)
    if kind in {"tmpfs", None}:
        return []
    text = f"{shared_memory} is {kind}, not tmpfs: every picture may go to a disk"
    return [warning(SUBJECT, text, f"mount a tmpfs at {shared_memory}")]


def _room(need: SharedMemory, who: str, held: int, shared_memory: Path) -> Finding:
    stats = os.statvfs(shared_memory)
    size, free = stats.f_blocks * stats.f_frsize, stats.f_bavail * stats.f_frsize
    text = f"{shared_memory}: {amount(free)} free of {amount(size)}"
    if held:
        text += f", {amount(held)} are this instance's already"
    text += f"; for {who}: {amount(need.start)} to start"
    if need.renewal:
        text += f", {amount(need.start + need.renewal)} to replace a camera's process that dies"
    if need.unsure:
        text += f", {amount(need.comfortable)} if cameras give raw pictures of 1920x1080"
    available = free + held
    if available >= need.comfortable:
        return ok(SUBJECT, text)
    judge = problem if available < need.start else warning
    return judge(SUBJECT, text, _remedy(size - available + need.comfortable, shared_memory))


def _remedy(size: int, shared_memory: Path) -> str:
    megabytes = -(-size // 2**20)  # of 2**20 bytes, as Docker and mount count them
    return (
        f"make it larger (a container: --shm-size={megabytes}m; else mount -o remount,size={megabytes}m "
        f"{shared_memory}), or set a lower max_jpeg_bytes, or watch fewer cameras"
    )
