"""Asynchronous tests: on an ordinary loop, or on one whose time is scene time."""

from __future__ import annotations

import asyncio
import functools
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Test = Callable[..., Coroutine[Any, Any, None]]
    T = TypeVar("T")

PATIENCE_S = 20.0
"""Nothing here takes a tenth of it; a test that hangs ends with words."""


def asynchronous(test: Test) -> Callable[..., None]:
    """Run the test on an asyncio loop, and not for ever."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), PATIENCE_S))

    return run


def in_scene_time(test: Test) -> Callable[..., None]:
    """Run the test on a loop where waiting takes no time: whenever all wait, its clock goes on to the next deadline.

    What is ready (queues, sockets) comes first, so that nothing is ever late.
    """

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=SceneLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


async def until(what: str, look: Callable[[], T]) -> T:
    """Return the first true answer of `look`, which other tasks bring about."""
    for _ in range(round(PATIENCE_S / 0.005)):
        if answer := look():
            return answer
        await asyncio.sleep(0.005)
    raise AssertionError(f"never: {what}")


async def settle() -> None:
    """Let everything that is ready happen; on a scene loop no noticeable time passes."""
    await asyncio.sleep(1e-6)


class SceneLoop(asyncio.SelectorEventLoop):
    """Begins at 1000 s."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        super().__init__(_Hurried(self))

    def time(self) -> float:
        return self.now_s


class _Hurried(selectors.DefaultSelector):
    def __init__(self, loop: SceneLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits, and nothing will ever happen"
            self._loop.now_s += timeout
        return ready
