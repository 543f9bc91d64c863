"""What was set for a camera while the appliance ran, laid over what config.yaml says.

The newer word wins: a choice is kept with what config.yaml said when it was made, and goes when that was edited. The
text that keeps it changes only when a choice does, so whoever keeps it writes it whenever it differs from the last one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from appliance.config import Settings

VERSION = 1
LARGEST = 100_000
"""Characters; two dozen cameras with every setting chosen take about 6,000."""


class Setting(StrEnum):
    """Named as in MQTT topics."""

    DETECTION = "detection"
    LIVE_VIEW = "live_view"
    THRESHOLD = "threshold"
    CLEAR_SECONDS = "clear_seconds"


Value: TypeAlias = bool | float

RANGES: Final[Mapping[Setting, tuple[float, float]]] = {
    Setting.THRESHOLD: (0.05, 0.99),
    Setting.CLEAR_SECONDS: (0.0, 3600.0),
}
"""Least and most of those that are numbers, as config.yaml has them too. The others are on or off."""


class OverlayError(ValueError):
    """The text holds no choices; the message says why."""


class NewerOverlayError(OverlayError):
    """The text is a newer version's, and may well be whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraChoices:
    """What holds for one camera, of all that can be set while it is watched. `threshold` is a share, 0 to 1."""

    threshold: float
    clear_seconds: float
    detection: bool = True
    live_view: bool = True

    def value(self, setting: Setting) -> Value:
        value: Value = getattr(self, setting)
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """A value, and what config.yaml said when it was chosen."""

    value: Value
    over: Value


Choices: TypeAlias = Mapping[Setting, Choice]


@dataclass(frozen=True, slots=True)
class Overlay:
    """The choices, over `written`: what config.yaml says of each camera that it has.

    The choices of a camera that is not in config.yaml stay until the next choice is made: who takes a camera out for an
    hour finds it as it was, and who gives its name to another one a year later does not find that one switched off.
    """

    written: Mapping[str, CameraChoices]
    chosen: Mapping[str, Choices] = field(default_factory=dict)

    def of(self, camera: str) -> CameraChoices:
        """Return what holds for a camera of config.yaml."""
        values = {str(setting): choice.value for setting, choice in self.chosen.get(camera, {}).items()}
        # Each value has the type of its setting: only `choose` and `from_json` make choices.
        return replace(self.written[camera], **values)  # type: ignore[arg-type]

    def choose(self, camera: str, setting: Setting, value: Value) -> "Overlay":
        """Return the overlay with this choice made. What config.yaml says anyway is no choice.

        KeyError: config.yaml has no such camera. ValueError: the setting cannot have this value.
        """
        over = self.written[camera].value(setting)
        if not allowed(setting, value):
            raise ValueError(f"{setting} cannot be {value!r}")
        kept = {name: choices for name, choices in self.chosen.items() if name in self.written}
        choices = {name: choice for name, choice in kept.pop(camera, {}).items() if name is not setting}
        if value != over:
            choices[setting] = Choice(value, over)
        return Overlay(self.written, {**kept, camera: choices} if choices else kept)

    def over(self, written: Mapping[str, CameraChoices]) -> "Overlay":
        """Return the overlay over an edited config.yaml: without the choices whose setting was edited there."""
        lasting = {
            camera: {
                setting: choice
                for setting, choice in choices.items()
                if camera not in written or written[camera].value(setting) == choice.over
            }
            for camera, choices in self.chosen.items()
        }
        return Overlay(written, {camera: choices for camera, choices in lasting.items() if choices})

    def to_json(self) -> str:
        """Return the text to keep."""
        cameras = {camera: dict(sorted(choices.items())) for camera, choices in sorted(self.chosen.items())}
        return _Kept(cameras=cameras).model_dump_json(indent=1)


class _Kept(BaseModel):
    """The file, in its order."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1] = 1
    cameras: dict[str, dict[Setting, Choice]]


def written_in(settings: "Settings") -> dict[str, CameraChoices]:
    """Return what config.yaml says of each camera."""
    return {
        camera.id: CameraChoices(
            threshold=settings.threshold_of(camera), clear_seconds=settings.sentry_of(camera).clear_seconds
        )
        for camera in settings.cameras
    }


def allowed(setting: Setting, value: Value) -> bool:
    """Return whether the setting can have this value; neither NaN nor a bool is a number."""
    if setting not in RANGES:
        return isinstance(value, bool)
    least, most = RANGES[setting]
    return not isinstance(value, bool) and least <= value <= most


def from_json(text: str, written: Mapping[str, CameraChoices]) -> Overlay:
    """Return what was kept, over what config.yaml says by now.

    NewerOverlayError or OverlayError where nothing is to be had.
    """
    if len(text) > LARGEST:
        raise OverlayError(f"the kept settings are {len(text):,} characters long")
    _check_version(text)
    try:
        kept = _Kept.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise OverlayError(f"the kept settings are broken: {place}: {first['msg']}") from None
    for camera, choices in kept.cameras.items():
        for setting, choice in choices.items():
            of_one_kind = isinstance(choice.over, bool) is isinstance(choice.value, bool)
            if not allowed(setting, choice.value) or not of_one_kind:
                raise OverlayError(f"the kept settings are broken: {camera}.{setting} cannot be {choice.value}")
    return Overlay({}, kept.cameras).over(written)


def _check_version(text: str) -> None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise OverlayError("the kept settings are no JSON") from None
    version = value.get("version") if isinstance(value, dict) else None
    if type(version) is not int or version < 1:
        raise OverlayError("the kept settings have no version")
    if version > VERSION:
        raise NewerOverlayError(
            f"the settings were kept by a newer Porchlight (version {version}, this one reads {VERSION}): install "
            "that one again and give the file its name back, or choose them anew"
        )
