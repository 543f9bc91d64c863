"""Is this file a model that Porchlight can run? All that the store knows of models is in `verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.inference.detector import ModelError
from appliance.inference.store.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.inference.detector import ModelInfo


def verify(path: Path) -> ModelInfo:
    """Load the model and hold it against RF-DETR's contract. ModelError: it is none, or answers another."""
    from appliance.inference.backends.onnxruntime_cpu import OnnxRuntimeCpu  # noqa: PLC0415 -- large; list needs none

    return OnnxRuntimeCpu(path, 1).info


def demand_model(file: Path, called: str) -> ModelInfo:
    """Return what the model says of itself. RefusedError: Porchlight cannot run it. `called`: its name for people."""
    try:
        return verify(file)
    except ModelError as error:
        raise RefusedError(str(error).replace(str(file), called)) from None
