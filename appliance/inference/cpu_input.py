"""The model's input in this machine's memory, for backends that run on the processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.inference.picture import Decoder
from appliance.inference.rfdetr import Preprocessor

if TYPE_CHECKING:
    from appliance.messages import Floats, Frame


class CpuInput:
    """A tensor float32 [1, 3, side, side] that never moves, and how a frame gets into it."""

    def __init__(self, side: int) -> None:
        self._decoder = Decoder(side)
        self._preprocessor = Preprocessor(side)

    @property
    def tensor(self) -> Floats:
        return self._preprocessor.tensor

    def take(self, frame: Frame) -> None:
        """Fill the tensor. PictureError: there is no picture in the frame."""
        self._preprocessor.fill(self._decoder.decode(frame))
