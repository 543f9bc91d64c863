"""Do the kernel's limits leave room for the message queues that the appliance needs.

Bytes: as the kernel's ipc/mqueue.c (mqueue_get_inode) charges them to the user when a queue is made, whatever is in it:
for each message that it may hold its largest size, one struct msg_msg and one struct posix_msg_tree_node, 48 bytes each
on 64-bit kernels, 24 on 32-bit ones. The sum over all queues of the user may not pass RLIMIT_MSGQUEUE of who makes one.
"""

from __future__ import annotations

import contextlib
import resource
import secrets
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import posix_ipc

from appliance.doctor.finding import Finding, Level, ok, problem, several
from appliance.doctor.mounts import mount_point_of
from appliance.ipc.protocol import DESCRIPTOR_BYTES, RELEASE_DEPTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.needs import QueueNeed

SUBJECT = "message queues"
KERNEL_LIMITS = Path("/proc/sys/fs/mqueue")
_OVERHEAD = 96 if struct.calcsize("P") == 8 else 48
_CAP_SYS_RESOURCE = 1 << 24


def kernel_bytes(depth: int, message_bytes: int) -> int:
    """Return what the kernel charges for one queue."""
    return depth * (message_bytes + _OVERHEAD)


def attributes(name: str) -> tuple[int, int] | None:
    """Return how many messages of how many bytes the queue holds; None where there is none of that name.

    PermissionError: it is another user's. OSError: as it says.
    """
    try:
        queue = posix_ipc.MessageQueue(name)
    except posix_ipc.ExistentialError:
        return None
    except posix_ipc.PermissionsError as error:
        raise PermissionError(f"{name}: {error}") from None
    except (posix_ipc.Error, ValueError) as error:
        raise OSError(f"{name}: {error}") from None
    try:
        return queue.max_messages, queue.max_message_size
    finally:
        queue.close()


def exists(name: str) -> bool:
    """Say whether there is such a queue; one that cannot be opened is there."""
    try:
        return attributes(name) is not None
    except PermissionError:
        return True
    except OSError:
        return False


def examine(needed: Sequence[QueueNeed], who: str, limits: Path = KERNEL_LIMITS) -> list[Finding]:
    """Hold the queues that `who` (say, "2 cameras") needs against each of the limits."""
    missing, findings = _look(needed)
    return [*findings, *_sizes(limits), _number(len(missing), who, limits), _bytes(missing, who)]


def used_bytes(limit: int) -> int | None:
    """Return what the kernel has charged to this user so far; None where not even the smallest queue can be made.

    No file tells it. So this process lowers its own RLIMIT_MSGQUEUE, at first `limit`, around one queue of one byte
    until that fits no more.
    """
    hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]
    smallest = kernel_bytes(1, 1)
    try:
        if not _fits(limit, hard):
            return None
        low, high = -1, limit  # does not fit, does
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if _fits(middle, hard) else (middle, high)
    finally:
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (limit, hard))
    return max(0, high - smallest)


def _fits(limit: int, hard: int) -> bool:
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (limit, hard))
    try:
        queue = posix_ipc.MessageQueue(
            f"/porchlight-doctor_{secrets.token_hex(4)}", posix_ipc.O_CREX, max_messages=1, max_message_size=1
        )
    except (posix_ipc.Error, OSError, ValueError):
        return False
    queue.unlink()
    queue.close()
    return True


def _look(needed: Sequence[QueueNeed]) -> tuple[list[QueueNeed], list[Finding]]:
    """Return the queues that are not there yet, and what is wrong with those that are."""
    missing, findings = [], []
    for queue in needed:
        try:
            found = attributes(queue.name)
        except PermissionError:
            remedy = "stop what this user runs under that instance's name, or set another instance"
            findings.append(problem(SUBJECT, f"{queue.name} belongs to another user", remedy))
            continue
        except OSError:  # no queue at all can be had: the trial has the kernel's words for it
            found = None
        if found is None:
            missing.append(queue)
        elif found != (queue.depth, queue.message_bytes):
            text = (
                f"{queue.name} holds {found[0]} messages of {found[1]} bytes where {queue.depth} of "
                f"{queue.message_bytes} belong: another program or version has left it"
            )
            findings.append(problem(SUBJECT, text, "stop what uses it; then porchlight doctor --sweep removes it"))
    return missing, findings


def _sizes(limits: Path) -> list[Finding]:
    findings = []
    for name, least in (("msg_max", RELEASE_DEPTH), ("msgsize_max", DESCRIPTOR_BYTES)):
        value = _limit(limits, name)
        if value is not None and value < least:
            text, remedy = f"fs.mqueue.{name} is {value}, the mailbox needs {least}", f"sysctl fs.mqueue.{name}={least}"
            findings.append(Finding(_binding(), SUBJECT, text, remedy))
    return findings


def _number(missing: int, who: str, limits: Path) -> Finding:
    most = _limit(limits, "queues_max")
    if most is None:
        return ok(SUBJECT, f"how many there may be is unknown: {limits} is not there; for {who}: {missing} more")
    there = _count()
    known = "it is unknown how many there are: no mqueue is mounted" if there is None else f"{there} are there"
    text = f"the kernel allows {several(most, 'queue')}, {known}; for {who}: {missing} more"
    if missing + (there or 0) <= most:
        return ok(SUBJECT, text)
    remedy = f"sysctl fs.mqueue.queues_max={missing + (there or 0)}, or remove what other programs have left"
    return Finding(_binding(), SUBJECT, text, remedy)


def _bytes(missing: Sequence[QueueNeed], who: str) -> Finding:
    need = sum(kernel_bytes(queue.depth, queue.message_bytes) for queue in missing)
    limit = resource.getrlimit(resource.RLIMIT_MSGQUEUE)[0]
    if limit == resource.RLIM_INFINITY:
        return ok(SUBJECT, "this user may have any number of bytes of them")
    used = used_bytes(limit)
    if used is None:
        text = f"not even the smallest can be made within this user's {limit:,} bytes; for {who}: {need:,} more"
    else:
        text = f"this user may have {limit:,} bytes of them and uses {used:,}; for {who}: {need:,} more"
        if used + need <= limit:
            return ok(SUBJECT, text)
    much = (used or limit) + need
    remedy = (
        f"ulimit -q {much} (a container: --ulimit msgqueue={much}; systemd: LimitMSGQUEUE={much}), or end what else "
        "this user runs with queues"
    )
    return problem(SUBJECT, text, remedy)


def _limit(limits: Path, name: str) -> int | None:
    try:
        return int((limits / name).read_text())
    except (OSError, ValueError):
        return None


def _count() -> int | None:
    """Return how many queues there are in the IPC namespace; None where nothing tells."""
    point = mount_point_of("mqueue")
    if point is not None:
        with contextlib.suppress(OSError):
            return sum(1 for _ in point.iterdir())
    return None


def _binding() -> Level:
    """Return how bad it is to be beyond a limit of fs.mqueue: CAP_SYS_RESOURCE may pass it."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:") and int(line.split()[1], 16) & _CAP_SYS_RESOURCE:
                return Level.WARNING
    return Level.PROBLEM
