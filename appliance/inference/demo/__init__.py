"""The demo detector: RF-DETR's contract, but it knows nothing but the synthetic porch. training/ makes it."""

from __future__ import annotations

from pathlib import Path

PORCH_DEMO = Path(__file__).with_name("porch_demo.onnx")
