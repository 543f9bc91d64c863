"""Do the settings load, and what do they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance import needs
from appliance.config import Camera, ConfigError, Settings, load
from appliance.doctor.finding import Finding, amount, ok, problem, several

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUBJECT = "configuration"


def read(path: Path, environ: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    """Return the settings, None where they cannot be used, and what is to be said of them."""
    try:
        settings = load(path, environ)
    except ConfigError as error:
        return None, [problem(SUBJECT, str(each).removesuffix(f"; {each.hint}"), each.hint) for each in error.problems]
    if not settings.cameras:
        return settings, [
            problem(SUBJECT, f"{path}: cameras: there is none to watch", "add one, with an id and a source")
        ]
    each = ", ".join(f"{camera.id} {amount(needs.camera_bytes(camera))}" for camera in settings.cameras)
    cameras = several(len(settings.cameras), "camera")
    return settings, [ok(SUBJECT, f"{path}: instance {settings.instance}, {cameras} ({each} of shared memory)")]


def yardstick() -> Settings:
    """Return what the machine is measured against where the settings name no camera: one camera, all else default."""
    return Settings(instance="doctor", cameras=(Camera(id="camera", source="synthetic://porch"),))
