"""The blueprints are ones to Home Assistant; that they fire is not shown yet."""

from __future__ import annotations

import subprocess

import pytest

from tests.home_assistant.hass import PYTHON
from tests.rig import ROOT

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

BLUEPRINTS = sorted((ROOT / "blueprints").rglob("*.yaml"))
CHECK = """
import sys
from homeassistant.components.automation.config import AUTOMATION_BLUEPRINT_SCHEMA
from homeassistant.components.blueprint.models import Blueprint
from homeassistant.util.yaml import load_yaml

for path in sys.argv[1:]:
    Blueprint(load_yaml(path), path=path, expected_domain="automation", schema=AUTOMATION_BLUEPRINT_SCHEMA)
"""


def test_home_assistants_own_schema_takes_every_blueprint() -> None:
    if not PYTHON.exists():
        pytest.skip(f"not here: Home Assistant ({PYTHON}; ../shared/tools/ha/setup.sh makes it)")
    assert len(BLUEPRINTS) == 4
    command = [str(PYTHON), "-c", CHECK, *map(str, BLUEPRINTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
