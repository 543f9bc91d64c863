"""RF-DETR's contract: what a model's inputs and outputs must be, and what its metadata may say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from appliance import coco
from appliance.inference.detector import ModelError, ModelInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONTRACT = (
    "RF-DETR's contract: input 'input' float32 [1, 3, S, S] (S a multiple of 32, 224 to 1024), outputs "
    "'dets' float32 [1, Q, 4] and 'labels' float32 [1, Q, C]"
)
OUTPUTS = ("dets", "labels")
NAMES_ENDING = ".class_names.txt"
"""Beside a fine-tuned model: parcels.onnx has parcels.class_names.txt with a name for each column, one a line.
(rfdetr's own bundles have it as class_names.txt; here other models lie in the same folder.)"""
_MOST_NAMES_BYTES = 100_000


def read(path: Path, session: Any) -> ModelInfo:
    """Hold an ONNX Runtime session's inputs and outputs against the contract, by name. ModelError: they differ."""
    inputs = {tensor.name: tensor for tensor in session.get_inputs()}
    outputs = {tensor.name: tensor for tensor in session.get_outputs()}
    has = ", ".join(f"{t.name} {t.type} {t.shape}" for t in (*inputs.values(), *outputs.values()))

    def wrong(what: str) -> ModelError:
        return ModelError(f"{path}: {what}; it has {has}; expected {CONTRACT}")

    if set(inputs) != {"input"}:
        raise wrong("it does not have one input, called 'input'")
    if missing := [name for name in OUTPUTS if name not in outputs]:
        raise wrong(f"it has no output {' and '.join(map(repr, missing))}")
    for tensor in (inputs["input"], *(outputs[name] for name in OUTPUTS)):
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
    return ModelInfo(
        path.name,
        side,
        queries,
        columns,
        _classes(path, said, columns),
        said.get("porchlight.only_for", ""),
        said.get("porchlight.notice", ""),
    )


def _classes(path: Path, said: Mapping[str, str], columns: int) -> dict[int, str]:
    """Return the names by column: the model's own (rfdetr's notes, or the file beside it), else COCO's."""
    names = _noted_names(path, said) or _names_beside(path)
    if names is None:
        return {column: name for column, name in coco.NAMES.items() if not columns or column < columns}
    if columns and len(names) > columns:
        raise ModelError(f"{path}: it brings {len(names)} class names for the {columns} columns of its 'labels'")
    return dict(enumerate(names))


def _noted_names(path: Path, said: Mapping[str, str]) -> list[str] | None:
    try:
        notes = json.loads(said.get("rfdetr_notes", "{}"))
    except ValueError:
        return None  # somebody's own words
    names = notes.get("class_names") if isinstance(notes, dict) else None
    if names is None:
        return None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ModelError(f"{path}: the class names in its metadata (rfdetr_notes) are no list of words")
    return [name.strip() for name in names]


def _names_beside(path: Path) -> list[str] | None:
    beside = path.with_name(path.stem + NAMES_ENDING)
    try:
        with beside.open(encoding="utf-8") as file:
            names = [line.strip() for line in file.read(_MOST_NAMES_BYTES).splitlines()]
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"{beside} cannot be read: {error}") from None
    if not names or not all(names):
        raise ModelError(f"{beside}: expected a class name on each line, one for each column of the model's 'labels'")
    return names
