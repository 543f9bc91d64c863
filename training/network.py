# Its classes are of torch, which the project's mypy cannot see.
"""The demo detector's network: a small pyramid, then one score and one box for each cell and kind.

A cell is 4x4 pixels of the input. Trained it speaks of cells; `Contract` puts it behind RF-DETR's inputs and outputs.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from training.contract import ALL_COLUMNS, COLUMNS, KINDS, NOTHING, ROWS, SIDE

if TYPE_CHECKING:
    from torch import Tensor

STRIDE = 4
CELLS = SIDE // STRIDE
_LARGEST = 4.0
"""The logarithm of a side in cells: more than the whole picture."""
_RARE = -4.0
"""Where scores begin: most cells hold nothing."""


class _Conv(nn.Sequential):  # type: ignore[misc]
    def __init__(self, before: int, after: int, size: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(before, after, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        )


class _Residual(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = _Conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class Network(nn.Module):  # type: ignore[misc]
    """From pictures [N, 3, SIDE, SIDE] to score logits [N, kinds, CELLS, CELLS] and boxes [N, kinds, 4, CELLS, CELLS],
    centre x, centre y, width, height in 0..1 of the picture.
    """

    def __init__(self) -> None:
        super().__init__()
        self.finest = nn.Sequential(_Conv(3, 16, stride=2), _Conv(16, 32, stride=2))
        self.fine = nn.Sequential(_Conv(32, 48, stride=2), _Residual(48))
        self.middle = nn.Sequential(_Conv(48, 64, stride=2), _Residual(64), _Residual(64))
        self.coarse = nn.Sequential(_Conv(64, 80, stride=2), _Residual(80), _Residual(80))
        self.from_coarse = _Conv(80, 64, size=1)
        self.from_middle = _Conv(64, 48, size=1)
        self.from_fine = nn.Sequential(_Conv(48, 48), _Conv(48, 32, size=1))
        self.joined = nn.Sequential(_Conv(32, 32), _Conv(32, 32))
        self.scores = nn.Conv2d(32, len(KINDS), 1)
        self.boxes = nn.Conv2d(32, 4 * len(KINDS), 1)
        at = (torch.arange(CELLS) + 0.5) / CELLS
        y, x = torch.meshgrid(at, at, indexing="ij")
        self.register_buffer("cells", torch.stack((x, y)), persistent=False)
        nn.init.constant_(self.scores.bias, _RARE)
        nn.init.constant_(self.boxes.bias, 0.0)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        finest = self.finest(pictures)
        fine = self.fine(finest)
        middle = self.middle(fine)
        middle = middle + _doubled(self.from_coarse(self.coarse(middle)))
        fine = fine + _doubled(self.from_middle(middle))
        joined = self.joined(finest + _doubled(self.from_fine(fine)))
        boxes = self.boxes(joined).float().reshape(-1, len(KINDS), 4, CELLS, CELLS)
        centres = self.get_buffer("cells") + boxes[:, :, :2] / CELLS
        sizes = boxes[:, :, 2:].clamp(max=_LARGEST).exp() / CELLS
        return self.scores(joined).float(), torch.cat((centres, sizes), dim=2)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0)


class Contract(nn.Module):  # type: ignore[misc]
    """The network behind RF-DETR's contract, for one picture: `dets` [1, 300, 4] and `labels` [1, 300, 91].

    One row for each cell that is the highest of its 3x3 neighbourhood; the others sink to NOTHING. No NMS.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        scores, boxes = self.network(picture)
        peaks = functional.max_pool2d(scores, 3, stride=1, padding=1)
        scores = torch.where(scores == peaks, scores, NOTHING).clamp(min=NOTHING)
        best, rows = scores.reshape(1, -1).topk(ROWS)
        boxes = boxes.permute(0, 1, 3, 4, 2).reshape(1, -1, 4)
        dets = boxes.gather(1, rows[:, :, None].expand(1, ROWS, 4))
        kind = torch.div(rows, CELLS * CELLS, rounding_mode="floor")
        return dets, torch.cat(self._columns(best, kind), dim=2)

    @staticmethod
    def _columns(best: Tensor, kind: Tensor) -> list[Tensor]:
        """All columns, left to right: a kind's own where there is one, NOTHING between."""
        asked = sorted((column, KINDS.index(name)) for name, column in COLUMNS.items())
        edges = [-1, *(column for column, _ in asked), ALL_COLUMNS]
        gaps = [torch.full((1, ROWS, after - before - 1), NOTHING) for before, after in pairwise(edges)]
        own = [torch.where(kind == index, best, NOTHING)[:, :, None] for _, index in asked]
        return [part for pair in zip(gaps, own, strict=False) for part in pair] + [gaps[-1]]
