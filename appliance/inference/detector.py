"""A model that answers RF-DETR's contract, on some backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from appliance.stage import StageRefusedError

if TYPE_CHECKING:
    from appliance.messages import Floats

CONTRACT = (
    "RF-DETR's contract: input 'input' float32 [1, 3, S, S] (S a multiple of 32, 224 to 1024), outputs "
    "'dets' float32 [1, Q, 4] and 'labels' float32 [1, Q, C]"
)


class ModelError(StageRefusedError):
    """This file is not a model that Porchlight can run; the text says what it has and what was expected."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the model says of itself. `side` is S of the contract, in pixels.

    A model that knows only one kind of source says so in its ONNX metadata: `porchlight.only_for` is that source's URL
    scheme, `porchlight.notice` what people must be told of it. Both are empty in an RF-DETR model.
    """

    name: str
    side: int
    queries: int
    columns: int
    only_for: str = ""
    notice: str = ""


class Detector(Protocol):
    """Runs the model. One call at a time."""

    backend: str
    info: ModelInfo

    def detect(self, tensor: Floats) -> tuple[Floats, Floats]:
        """Return dets [queries, 4] and labels [queries, columns] for a tensor [1, 3, side, side]."""
