# ruff: noqa: T201 -- speaks to people
"""Makes appliance/inference/demo/porch_demo.onnx: renders pictures, learns from them, writes the model.

    python -m training.train_demo_detector

training/README.md says what it needs and how long it takes.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from appliance.inference.demo import PORCH_DEMO
from appliance.inference.rfdetr import MEAN, STD
from training.augment import augment
from training.contract import KINDS
from training.export import export
from training.network import Network
from training.pictures import load, render, save
from training.targets import loss, targets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from training.pictures import Bytes, Floats, Pictures

_BATCH = 32
_PEAK_RATE = 2e-3
_DECAY = 0.01
_SMOOTHING = 0.998
"""Of the running mean of the weights, which is what is kept."""


def main() -> None:
    chosen = _arguments()
    torch.set_num_threads(1)
    torch.manual_seed(chosen.seed)
    cv2.setNumThreads(1)
    started = time.monotonic()
    if not chosen.cache.exists():
        save(chosen.cache, render(chosen.busy, chosen.empty, chosen.processes))
        print(f"rendered in {time.monotonic() - started:.0f} s")
    if chosen.render_only:
        return
    pictures = load(chosen.cache)
    print(f"{len(pictures.pictures)} pictures, {np.bincount(pictures.things[:, 1].astype(int))} of {KINDS}")
    network = train(pictures, chosen.epochs, chosen.seed)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    export(network, chosen.out)
    model = chosen.out.read_bytes()
    print(f"{chosen.out}: {len(model)} bytes, sha256 {hashlib.sha256(model).hexdigest()}")
    print(f"{time.monotonic() - started:.0f} s in all")


def train(pictures: Pictures, epochs: int, seed: int) -> Network:
    """Return the trained network: the running mean of its weights."""
    network = Network()
    network.to(memory_format=torch.channels_last)
    mean = deepcopy(network)
    mean.eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=_PEAK_RATE, weight_decay=_DECAY)
    steps = epochs * (len(pictures.pictures) // _BATCH)
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step / steps))
    started, total = time.monotonic(), 0.0
    for step, (batch, *targets) in enumerate(_Batches(pictures, epochs, seed).ahead(), 1):
        with torch.autocast("cpu", torch.bfloat16):
            answer = network(batch)
        off = loss(answer, *targets)
        optimiser.zero_grad()
        off.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        rates.step()
        _follow(mean, network, min(_SMOOTHING, step / (step + 10)))
        total += off.item()
        if step % 100 == 0:
            print(f"{step}/{steps} loss {total / 100:.3f} {time.monotonic() - started:.0f} s", flush=True)
            total = 0.0
    return mean


def _rate(done: float) -> float:
    """Return the share of the peak rate: a short rise, then a cosine down to nothing."""
    return min(done / 0.04, 1.0) * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))


class _Batches(IterableDataset):  # type: ignore[misc]
    """All batches of all epochs: pictures [N, 3, SIDE, SIDE] as the model gets them, and their Targets' fields."""

    def __init__(self, pictures: Pictures, epochs: int, seed: int) -> None:
        self._pictures, self._epochs, self._seed = pictures, epochs, seed

    def ahead(self) -> Iterator[list[Tensor]]:
        """Make them in a process of its own, while the last one is learnt from."""
        return iter(DataLoader(self, batch_size=None, num_workers=1, prefetch_factor=4))

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng(self._seed)
        things = self._pictures.things_of()
        for _ in range(self._epochs):
            order = rng.permutation(len(things))
            for start in range(0, len(order) - _BATCH + 1, _BATCH):
                chosen = order[start : start + _BATCH]
                yield _batch([augment(self._pictures.pictures[at], things[at], rng) for at in chosen])


def _batch(made: list[tuple[Bytes, Floats]]) -> tuple[Tensor, ...]:
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    batch = torch.from_numpy(np.stack([picture for picture, _ in made])).permute(0, 3, 1, 2)
    targets = [targets_of(things) for _, things in made]
    fields = ("heat", "care", "boxes", "box_weight")
    return (batch / 255 - mean) / std, *(
        torch.from_numpy(np.stack([getattr(one, of) for one in targets])) for of in fields
    )


def _follow(mean: Network, network: Network, keep: float) -> None:
    with torch.no_grad():
        for old, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
            if old.dtype.is_floating_point:
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "porch_demo_pictures.npz")
    parser.add_argument("--out", type=Path, default=PORCH_DEMO)
    parser.add_argument("--busy", type=int, default=340, help="scenes with people")
    parser.add_argument("--empty", type=int, default=140, help="scenes without")
    parser.add_argument("--render-only", action="store_true")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="that render")
    return parser.parse_args()


if __name__ == "__main__":
    main()
