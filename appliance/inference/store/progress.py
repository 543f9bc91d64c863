"""How far it is: one line redrawn on a terminal, else a line for every tenth."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

_REDRAW_S = 0.2
_UNKNOWN_STEP = 20_000_000
"""Bytes between two lines where nobody knows how many there will be."""


class Progress:
    """Told of bytes, writes lines to `stream`."""

    def __init__(self, name: str, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._drawn_s = 0.0
        self._is_drawn = False
        self.begin(0, None)

    def begin(self, have: int, total: int | None) -> None:
        """The bytes from `have` on begin to come."""
        self._first, self._total = have, total
        self._begun_s = self._clock()
        self._step = self._steps(have)

    def at(self, have: int) -> None:
        if self._is_terminal:
            now = self._clock()
            if now - self._drawn_s >= _REDRAW_S or have == self._total:
                self._drawn_s, self._is_drawn = now, True
                self._stream.write(f"\r\x1b[K{self._line(have)}")
                self._stream.flush()
        elif self._steps(have) > self._step:
            self._step = self._steps(have)
            self._stream.write(f"{self._line(have)}\n")
            self._stream.flush()

    def say(self, text: str) -> None:
        """Write a line of its own; the next progress goes below it."""
        self.end()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the line that is redrawn as it stands."""
        if self._is_drawn:
            self._is_drawn = False
            self._stream.write("\n")
            self._stream.flush()

    def _steps(self, have: int) -> int:
        return have * 10 // self._total if self._total else have // _UNKNOWN_STEP

    def _line(self, have: int) -> str:
        took = self._clock() - self._begun_s
        pace = f"  {(have - self._first) / took / 1e6:.1f} MB/s" if took > 0 else ""
        of = f" of {megabytes(self._total)}  {have * 100 // self._total:3d} %" if self._total else ""
        return f"{self._name}  {megabytes(have)}{of}{pace}"


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"
