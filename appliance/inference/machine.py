"""What this machine computes with: what was found out or built on one is worth nothing on another."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path

CUPY = ("cupy-cuda12x", "cupy-cuda13x")
_DRIVER = Path("/proc/driver/nvidia")
_L4T = Path("/etc/nv_tegra_release")
_BOARD = Path("/proc/device-tree/model")
"""A Jetson's graphics processor is the board's."""


def processor() -> str:
    """Return this machine's processor and how many of its cores are ours."""
    lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    facts = [line.partition(":")[::2] for line in lines]
    words = {key.strip(): value.strip() for key, value in facts}
    model = words.get("model name") or words.get("CPU part") or platform.processor()
    return f"{platform.machine()} {model} x{len(os.sched_getaffinity(0))}"


def card() -> str:
    """Return the driver's version, which cards these are, and which CuPy is here, as a digest."""
    told = [f"{name} {each.version}" for name in CUPY for each in importlib.metadata.distributions(name=name)]
    return f"card {_digest([*told, *_read(_DRIVER / 'version', _L4T), *_models()])}"


def card_model() -> str:
    """Return which cards these are, and which of them is meant, as a digest: what an engine is built for.

    Not the driver: an engine outlives its updates. Where nothing can be read (WSL), all cards are alike.
    """
    return f"card {_digest([os.environ.get('CUDA_VISIBLE_DEVICES', ''), *_models()])}"


def _models() -> list[str]:
    """Return the cards' models. What else the driver says of a card changes while it is used for the first time."""
    said = _read(*sorted(_DRIVER.glob("gpus/*/information")))
    return [line for text in said for line in text.splitlines() if line.startswith("Model:")] + _read(_BOARD)


def _read(*files: Path) -> list[str]:
    texts = []
    for file in files:
        with contextlib.suppress(OSError):
            texts.append(file.read_text(errors="replace"))
    return texts


def _digest(told: list[str]) -> str:
    return hashlib.sha256("|".join(told).encode()).hexdigest()[:16]
