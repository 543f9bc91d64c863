"""A real Home Assistant, driven by the harness of ../shared/tools/ha."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.rig import SHARED

PYTHON = Path(os.environ.get("HA_PYTHON", "/opt/ha-venv/bin/python"))
TOOLS = SHARED / "tools" / "ha"


class RefusedError(Exception):
    """Home Assistant did not do what it was asked for; its status, and what it said."""


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

    def devices(self) -> dict[str, str]:
        """Return the names of all MQTT devices by our identifiers."""
        return {one["identifiers"][0][1]: one["name"] for one in json.loads(self.run("devices"))}

    def state(self, entity: str) -> str:
        return str(self._states(entity)["state"])

    def attributes(self, entity: str) -> dict[str, Any]:
        found: dict[str, Any] = self._states(entity)["attributes"]
        return found

    def call(self, service: str, entity: str, **data: Any) -> None:
        """Call a service, `switch.turn_off`, as a button of the dashboard does. RefusedError where it does not run."""
        self.http("POST", f"/api/services/{service.replace('.', '/')}", {"entity_id": entity, **data})

    def history(self, entity: str, since: datetime) -> list[str]:
        """Return the states that the recorder has of the time since then, in their order."""
        moment = urllib.parse.quote(since.isoformat())
        kept = json.loads(self.http("GET", f"/api/history/period/{moment}?filter_entity_id={entity}&no_attributes"))
        return [one["state"] for states in kept for one in states]

    def http(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """Ask its REST API. RefusedError unless the answer is a good one."""
        request = urllib.request.Request(
            self._url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(f"{error.code}: {error.read().decode(errors='replace')}") from None

    def _states(self, entity: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.http("GET", f"/api/states/{entity}"))
        return found

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
