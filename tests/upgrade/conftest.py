"""A home on what the newest version that was recorded has left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.upgrade.home import Home
from tests.upgrade.recording import RECORDED


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, RECORDED[-1])
