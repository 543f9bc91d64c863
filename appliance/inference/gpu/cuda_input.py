"""The model's input in a graphics card's memory, for backends that run there."""

from __future__ import annotations

import contextlib
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from appliance.inference.detector import BackendError
from appliance.inference.picture import Decoder, demand_raw
from appliance.inference.rfdetr import MEAN, STD
from appliance.messages import PixelFormat

if TYPE_CHECKING:
    from appliance.inference.gpu.device import Device, Memory
    from appliance.inference.rfdetr import Bytes
    from appliance.messages import Frame

KERNEL = "preprocess"
BLOCK = (32, 8)
"""Threads of a block: a warp reads along a row."""
_SCALES = [np.float32(1 / (255 * std)) for std in STD]
_OFFSETS = [np.float32(-mean / std) for mean, std in zip(MEAN, STD, strict=True)]


def source() -> str:
    """Return the kernel's text, CUDA C++."""
    return resources.files("appliance.inference.gpu").joinpath("preprocess.cu").read_text()


class _Layout(NamedTuple):
    """How the bytes lie that the kernel reads."""

    kind: PixelFormat
    width: int
    height: int

    @property
    def size(self) -> int:
        return self.kind.raw_size(self.width, self.height)


class CudaInput:
    """A tensor float32 [1, 3, side, side] that never leaves the card, and how a frame gets into it.

    A raw frame travels as it is, a JPEG as the RGB picture that Decoder makes of it: one upload, one launch.
    BackendError from any of the calls: the card has failed, and this object with it.
    """

    def __init__(self, device: Device, side: int) -> None:
        """`side` is the model's, in pixels."""
        self._device = device
        self._decoder = Decoder(side)
        self._side = side
        self._grid = (-(-side // BLOCK[0]), -(-side // BLOCK[1]))
        self._kernel = device.compile(source(), KERNEL)
        self._tensor = device.allocate(3 * side * side * 4)
        self._frame: Memory | None = None
        self._pinned: Bytes = np.empty(0, np.uint8)
        self._uploading = False

    @property
    def pointer(self) -> int:
        """Where the tensor is, on the card; it stays there until `close`."""
        return self._tensor.pointer

    def take(self, frame: Frame) -> None:
        """Have the tensor filled: the work lies in the card's stream when this returns, and may not be done yet.

        The frame's bytes are not needed any more by then: they have been copied into pinned memory, which the card
        reads. PictureError: there is no picture in the frame, and the tensor is what it was.
        """
        if frame.info.format is PixelFormat.JPEG:
            rgb = self._decoder.decode(frame)
            layout = _Layout(PixelFormat.RGB24, rgb.shape[1], rgb.shape[0])
            target = self._reserve(layout.size)
            np.copyto(self._pinned[: layout.size], rgb.reshape(-1))
        else:
            demand_raw(
                frame
            )  # the kernel reads what the layout says: a wrong length would have it read beyond the frame
            layout = _Layout(frame.info.format, frame.info.width, frame.info.height)
            target = self._reserve(layout.size)
            # No name is given to what looks into the slot: an error's traceback would keep it alive.
            np.copyto(self._pinned[: layout.size], np.frombuffer(frame.data, np.uint8))
        self._uploading = True
        self._device.upload(target, self._pinned[: layout.size])
        self._device.launch(
            self._kernel,
            self._grid,
            BLOCK,
            (
                np.uint64(target.pointer),
                *map(np.int32, layout),
                np.uint64(self._tensor.pointer),
                np.int32(self._side),
                *_SCALES,
                *_OFFSETS,
            ),
        )

    def close(self) -> None:
        """Give the card's memory back, when the card has done what it was asked for, or cannot do it any more."""
        with contextlib.suppress(BackendError):
            self._wait()
        del self._tensor, self._frame, self._pinned, self._kernel

    def _reserve(self, size: int) -> Memory:
        """Return memory of the card for a frame; the pinned memory is large enough, too, and nobody reads it."""
        self._wait()
        if self._frame is None or self._pinned.size < size:
            self._frame, self._pinned = None, np.empty(0, np.uint8)  # these go back before the larger are asked for
            self._frame, self._pinned = self._device.allocate(size), self._device.pin(size)
        return self._frame

    def _wait(self) -> None:
        """Until the upload before has been read out of the pinned memory."""
        if self._uploading:
            self._device.synchronise()
            self._uploading = False
