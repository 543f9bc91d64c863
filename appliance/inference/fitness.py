"""Does this model suit these settings? Values in; ModelError, in words for the owner, where it does not."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from appliance.inference.detector import ModelError

if TYPE_CHECKING:
    from appliance.config import Camera, Settings
    from appliance.inference.detector import ModelInfo


def demand_fit(info: ModelInfo, settings: Settings) -> None:
    """Refuse a model that would be blind here and look well: ModelError."""
    for camera in settings.cameras:
        if not knows(info, camera):
            raise ModelError(
                f"{info.name} works with {info.only_for}:// cameras only (it {info.notice}), and camera {camera.id} is "
                f"{_scheme(camera)}://; set model.path to an RF-DETR model (README.md says where to get one)"
            )
    known = list(info.classes.values())
    wanted = [settings.sentry.classes, *(camera.sentry.classes or () for camera in settings.cameras)]
    for name in dict.fromkeys(name for classes in wanted for name in classes):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"it knows {', '.join(known[:100])}"
            raise ModelError(f'classes: {info.name} knows no class "{name}"; {hint}')


def knows(info: ModelInfo, camera: Camera) -> bool:
    """Whether the model works with this kind of camera."""
    return not info.only_for or _scheme(camera) == info.only_for


def _scheme(camera: Camera) -> str:
    return camera.source.partition(":")[0].lower()
