"""A real Home Assistant, driven by the harness of ../shared/tools/ha."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.rig import SHARED

PYTHON = Path(os.environ.get("HA_PYTHON", "/opt/ha-venv/bin/python"))
TOOLS = SHARED / "tools" / "ha"


class Hass:
    """One Home Assistant, onboarded and connected to the broker. Skips the test where there is none to start."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        if not PYTHON.exists() or not TOOLS.exists():
            pytest.skip(f"not here: Home Assistant ({PYTHON}; ../shared/tools/ha/setup.sh makes it)")
        self._folder = folder
        told = json.loads(self.run("up", "--broker", f"127.0.0.1:{broker_port}"))
        self._url, self._token = told["url"], told["token"]
        self.version: str = told["version"]

    def run(self, *words: str, fine: bool = True) -> str:
        """Call the harness; AssertionError with what it said unless it ended with 0 (or `fine` is false)."""
        command = [str(PYTHON), str(TOOLS / "hass_run.py"), *words, "--dir", str(self._folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0 or not fine, f"{' '.join(words)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def entities(self) -> dict[str, dict[str, Any]]:
        """Return all MQTT entities by unique id."""
        return {entity["unique_id"]: entity for entity in json.loads(self.run("entities", "--json"))}

    def state(self, entity_id: str) -> str:
        request = urllib.request.Request(
            f"{self._url}/api/states/{entity_id}", headers={"Authorization": f"Bearer {self._token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(json.load(answer)["state"])

    def down(self) -> None:
        self.run("down", fine=False)


def lint(payload: Path) -> str:
    """Hold a discovery payload against Home Assistant's own schemas: also finds keys that are dropped in silence."""
    done = subprocess.run(
        [str(PYTHON), str(TOOLS / "lint_discovery.py"), str(payload)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
