"""What the demo detector is asked for, and what it answers: RF-DETR's contract, with few kinds. Values only."""

from __future__ import annotations

SIDE = 256
"""The input's width and height in pixels."""
COLUMNS = {"person": 1, "car": 3, "cat": 17}
"""The kinds it knows and their COCO category ids, which are RF-DETR's columns."""
KINDS = tuple(COLUMNS)
ROWS = 300
ALL_COLUMNS = 91
NOTHING = -12.0
"""The logit of unused columns and rows."""
HELD_OUT = 10_000
"""Scenes with seeds from here on belong to tests and measurements: nothing is ever trained on them."""
