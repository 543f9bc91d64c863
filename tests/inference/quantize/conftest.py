"""A gateway for a moment, and a household's folder without settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.inference.quantize.house import Gateway


@pytest.fixture
def gateways() -> Iterator[Callable[..., Gateway]]:
    """Opens gateways; closes them."""
    opened: list[Gateway] = []

    def open_one(**how: Any) -> Gateway:
        opened.append(Gateway(**how))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, without settings; a state folder and a temporary folder of the test's own."""
    for name in ("state", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    return tmp_path
