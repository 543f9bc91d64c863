"""A graphics card, as far as it is used here: some memory, copies, launches, one stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from appliance.inference.rfdetr import Bytes


class Memory(Protocol):
    """Bytes on the card. They go back when the last reference to this object does."""

    @property
    def pointer(self) -> int: ...


class Device(Protocol):
    """One card with one stream: what is asked of it is done in the order in which it was asked.

    Each call may raise BackendError: the card is out of memory, lost, or cannot do it; the text says which. After that
    it must not be used any more. All but `synchronise` may return before the card has done it, and an error may
    therefore belong to an earlier call.
    """

    @property
    def stream(self) -> int:
        """The stream's handle (a CUstream), for libraries that are to work on it too."""

    def compile(self, source: str, name: str) -> Any:
        """Return the function `name` of CUDA C++, for `launch`."""

    def allocate(self, size: int) -> Memory:
        """Return `size` bytes of the card's memory; what is in them is not known."""

    def pin(self, size: int) -> Bytes:
        """Return `size` bytes of this machine's memory that the card can read by itself, uint8 [size].

        They must live, and must not be written, from `upload` until the next `synchronise`; nor read after `download`.
        """

    def upload(self, target: Memory, source: Bytes) -> None:
        """Copy `source`, a piece of pinned memory, to the beginning of `target`."""

    def download(self, target: Bytes, source: Memory) -> None:
        """Copy the beginning of `source` to `target`, a piece of pinned memory."""

    def launch(
        self, function: Any, grid: tuple[int, int], block: tuple[int, int], arguments: Sequence[np.generic]
    ) -> None:
        """Run it on `grid` blocks of `block` threads. The arguments are NumPy scalars of C's sizes; uint64 is a
        pointer.
        """

    def synchronise(self) -> None:
        """Wait until the stream has done all that it was asked for."""
