"""Writes a trained network as an ONNX file, behind RF-DETR's contract."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

from training.contract import SIDE
from training.farness import doubt_the_far
from training.network import Contract
from training.notes import annotate

if TYPE_CHECKING:
    from pathlib import Path

    from training.network import Network

_OPSET = 17


def export(network: Network, path: Path) -> None:
    """Write the model. The TorchScript exporter needs nothing beside torch and folds the batch norms."""
    contract = Contract(network.to(memory_format=torch.contiguous_format)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            contract,
            (torch.zeros(1, 3, SIDE, SIDE),),
            str(path),
            input_names=["input"],
            output_names=["dets", "labels"],
            opset_version=_OPSET,
            dynamo=False,
        )
    doubt_the_far(path)
    annotate(path)
