"""RF-DETR's own graphs, from ../shared: with random weights, which say nothing of what trained ones see."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.rig import SHARED, need

if TYPE_CHECKING:
    from pathlib import Path


def random_rfdetr(size: str, folder: Path) -> Path:
    """Return RF-DETR `size` (nano or small) with its weights filled in."""
    graph = SHARED / "models" / f"rfdetr_{size}_graph.onnx"
    need(graph)
    path = folder / f"rfdetr_{size}.onnx"
    subprocess.run([sys.executable, graph.with_name("fill_weights.py"), graph, path], check=True)
    return path
