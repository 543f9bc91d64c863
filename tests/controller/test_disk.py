"""The thread for the disk: it is there for as long as somebody has it."""

from __future__ import annotations

import asyncio
import threading

from appliance.controller.disk import DiskThread

PATIENCE_S = 30.0


def test_it_ends_when_nobody_has_it_any_more() -> None:
    async def ask() -> threading.Thread:
        disk = DiskThread("disk")
        first, second = await disk.run(threading.current_thread), await disk.run(threading.current_thread)
        assert first is second
        return first

    thread = asyncio.run(ask())
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_what_was_asked_of_it_before_is_still_done() -> None:
    may_go_on, is_done = threading.Event(), threading.Event()

    async def ask() -> None:
        disk = DiskThread("disk")
        for work in (may_go_on.wait, is_done.set):
            asyncio.get_running_loop().create_task(disk.run(work))
        await asyncio.sleep(0)

    asyncio.run(ask())
    may_go_on.set()
    assert is_done.wait(PATIENCE_S)
