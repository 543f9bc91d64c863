"""A thread for the disk: it may hang there for as long as the disk does, and holds up neither the loop nor the end."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class DiskThread:
    """Does one piece of work after the other. A daemon: for the threads of `asyncio.to_thread` and of executors a
    process waits when it ends. It ends when nobody has it any more.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        weakref.finalize(self, self._work.put, None)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what `work` returns, or raise what it raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def do() -> None:
            try:
                result = work(*arguments)
            except BaseException as error:  # noqa: BLE001 -- whoever awaits it gets it
                _hand_over(loop, future, future.set_exception, error)
            else:
                _hand_over(loop, future, future.set_result, result)

        self._start()
        self._work.put(do)
        return await future

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=_serve, args=(self._work,), name=self._name, daemon=True)
            thread.start()
            self._thread = thread


def _serve(work: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (do := work.get()) is not None:
        do()
        del do  # it may be the last that has hold of the DiskThread


def _hand_over(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], settle: Callable[[Any], None], value: object
) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(lambda: None if future.done() else settle(value))
