"""Surfaces without pictures: noise that tiles, and what stones, bricks and grass make of it."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np

_SIZE = 512


@functools.lru_cache(maxsize=16)
def fractal(seed: int, roughness: float = 1.6) -> Any:
    """Return float32 (512, 512) noise that tiles, mean 0, standard deviation 1; more `roughness` is smoother."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((_SIZE, _SIZE)))
    rows, columns = np.fft.fftfreq(_SIZE)[:, None], np.fft.rfftfreq(_SIZE)[None, :]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = 1.0
    spectrum /= frequency ** (roughness / 2 + 0.5)
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (_SIZE, _SIZE))
    return (field / field.std()).astype(np.float32)


def sample(field: Any, a: Any, b: Any) -> Any:
    """Return the noise at (a, b), in its own pixels, wherever they are."""
    across = np.mod(a, _SIZE - 1).astype(np.float32)
    down = np.mod(b, _SIZE - 1).astype(np.float32)
    return cv2.remap(field, across, down, cv2.INTER_LINEAR)


def cells(a: Any, b: Any, joint: float, *, bond: float = 0.5) -> tuple[Any, Any]:
    """Return which stone (a number -1..1, even over its face) and how much joint (0..1) lies at (a, b), 1 per stone."""
    row = np.floor(b)
    shifted = a + bond * np.mod(row, 2)
    column = np.floor(shifted)
    face = np.mod(np.sin(column * 127.1 + row * 311.7) * 43758.5453, 1.0) * 2 - 1
    edge = np.minimum(np.minimum(shifted - column, 1 - shifted + column), np.minimum(b - row, 1 - b + row) * 1.0)
    return face, np.clip(1 - edge / joint, 0, 1)
