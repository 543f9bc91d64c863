"""ONNX Runtime on the CPU: the backend that is always there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import onnxruntime

from appliance.inference.detector import CONTRACT, ModelError, ModelInfo

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.messages import Floats

_OUTPUTS = ("dets", "labels")


class OnnxRuntimeCpu:
    """One inference session. ModelError: the file is no model, or answers another contract."""

    backend = "onnxruntime"

    def __init__(self, path: Path, threads: int | None) -> None:
        """`threads` inside one operator; None is two, where there are as many cores."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or _default_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would take the cores that the other stages need between frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for each way, with nothing in common
            raise ModelError(f"{path} is not an ONNX model: {_first_line(error)}; expected {CONTRACT}") from error
        self.info = _check(path, self._session)

    def detect(self, tensor: Floats) -> tuple[Floats, Floats]:
        dets, labels = self._session.run(_OUTPUTS, {"input": tensor})
        return dets[0], labels[0]


def _check(path: Path, session: Any) -> ModelInfo:
    """Hold the model's inputs and outputs against the contract, matched by name."""
    inputs = {tensor.name: tensor for tensor in session.get_inputs()}
    outputs = {tensor.name: tensor for tensor in session.get_outputs()}
    has = ", ".join(f"{t.name} {t.type} {t.shape}" for t in (*inputs.values(), *outputs.values()))

    def wrong(what: str) -> ModelError:
        return ModelError(f"{path}: {what}; it has {has}; expected {CONTRACT}")

    if set(inputs) != {"input"}:
        raise wrong("it does not have one input, called 'input'")
    if missing := [name for name in _OUTPUTS if name not in outputs]:
        raise wrong(f"it has no output {' and '.join(map(repr, missing))}")
    for tensor in (inputs["input"], *(outputs[name] for name in _OUTPUTS)):
        if tensor.type != "tensor(float)":
            raise wrong(f"{tensor.name} is {tensor.type}, not float32")
    shape = inputs["input"].shape
    side = shape[-1] if shape else None
    if shape[1:] != [3, side, side] or not isinstance(side, int) or shape[0] not in (1, "batch", "N"):
        raise wrong("its input is not [1, 3, S, S]")
    if not 224 <= side <= 1024 or side % 32:
        raise wrong(f"an input side of {side} pixels is out of range")
    dets, labels = outputs["dets"].shape, outputs["labels"].shape
    if len(dets) != 3 or dets[2] != 4 or len(labels) != 3 or labels[1] != dets[1]:
        raise wrong("its outputs have other shapes")
    queries, columns = (n if isinstance(n, int) else 0 for n in labels[1:])
    said = session.get_modelmeta().custom_metadata_map
    only_for, notice = said.get("porchlight.only_for", ""), said.get("porchlight.notice", "")
    return ModelInfo(path.name, side, queries, columns, only_for, notice)


def _default_threads() -> int:
    """Two threads at most: the machines that this is for have few cores, and other stages on them."""
    return min(2, len(os.sched_getaffinity(0)))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300]
