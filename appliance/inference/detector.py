"""A model that answers RF-DETR's contract, on some backend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from appliance import coco
from appliance.stage import StageRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.messages import Floats, Frame


class ModelError(StageRefusedError):
    """This file is not a model that Porchlight can run; the text says what it has and what was expected."""


class BackendError(Exception):
    """This backend cannot be had here, or has failed; another one may do. The text says which and why."""


class AbsentError(BackendError):
    """This machine has not got what the backend needs: nothing is wrong."""


class EngineError(BackendError):
    """What was built for this backend is not for this machine, or damaged: it must be built anew."""


def first_line(error: Exception) -> str:
    """Return an error's first words: libraries append traces, hints and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the model says of itself. `side` is S of the contract, in pixels.

    `classes` are the names by class id (column): COCO's unless the model brings its own.
    A model that knows only one kind of source says so in its ONNX metadata: `porchlight.only_for` is that source's URL
    scheme, `porchlight.notice` what people must be told of it. Both are empty in an RF-DETR model.
    """

    name: str
    side: int
    queries: int
    columns: int
    classes: Mapping[int, str] = field(default_factory=lambda: dict(coco.NAMES))
    only_for: str = ""
    notice: str = ""


class Detector(Protocol):
    """Runs the model, one picture at a time: `take`, then `detect`.

    The two are apart because a frame's slot goes back between them, and because the input belongs to the backend: on a
    graphics card it never exists in this machine's memory.
    """

    @property
    def backend(self) -> str:
        """Its name, one of `appliance.inference.backends.BACKENDS`."""

    @property
    def info(self) -> ModelInfo: ...

    def take(self, frame: Frame) -> None:
        """Decode, resize and normalise `frame` into the input. When it returns, the frame's bytes are not needed any
        more. PictureError: there is no picture in it.
        """

    def detect(self) -> tuple[Floats, Floats]:
        """Return dets [queries, 4] and labels [queries, columns] of the picture taken in; overwritten by the next call.

        BackendError: the backend has failed, and this object with it.
        """

    def close(self) -> None:
        """Let go of what it holds outside of Python."""
