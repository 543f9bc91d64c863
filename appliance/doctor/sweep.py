"""Remove what killed instances have left; never of a live one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import posix_ipc

from appliance.doctor import instances, orphans
from appliance.doctor.finding import Finding, ok, problem, several, warning
from appliance.ipc.errors import IpcError, TakenError
from appliance.ipc.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

SUBJECT = "sweep"


def sweep(shared_memory: Path, known: Iterable[str]) -> list[Finding]:
    """Remove this user's run folders that no live process has, and queues without a folder; say what was removed.

    `known`: names of queues that the settings would give.
    """
    folders, _ = instances.find(shared_memory)
    findings = [_remove(folder) for folder in folders if not instances.is_live(folder)]
    for instance, names in orphans.find(shared_memory, known).items():
        findings.append(_remove(RunFolder(instance, shared_memory), names))
    return findings or [ok(SUBJECT, "there was nothing to remove")]


def _remove(folder: RunFolder, names: Sequence[str] = ()) -> Finding:
    """Remove a dead instance's folder, and the queues in `names`, as the instance's one supervisor: under its lock."""
    left = several(len(names), "message queue") if names else str(instances.content(folder))
    name = folder.path.name
    try:
        folder.claim()
        for queue in names:
            posix_ipc.unlink_message_queue(queue)
        folder.remove()
    except TakenError:
        return warning(SUBJECT, f"{name} has come to life meanwhile: left alone", "nothing needs to be done")
    except (IpcError, OSError, ValueError, posix_ipc.Error) as error:
        return problem(SUBJECT, f"{name} could not be removed: {error}", f"remove {folder.path} by hand")
    if folder.path.exists():
        return problem(SUBJECT, f"{name} could not be removed whole", f"remove {folder.path} by hand")
    return ok(SUBJECT, f"{name} removed: {left}")
