"""The settings as frozen models.

A validation context is a set of words: "files" has the cameras' recordings looked for, "model" the model.
Without one no validator touches the disk.
"""

import os
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from appliance.config.alarm import Alarm, ArmMode
from appliance.config.camera import Camera
from appliance.config.kinds import Addresses, Hint, Host, LocalPath, Section, Token, Word
from appliance.config.mqtt import Mqtt
from appliance.config.problem import BadSettingError
from appliance.config.sentry import Sentry, Threshold, check_heights
from appliance.config.source import why_unreadable
from appliance.config.telemetry import Telemetry

MAX_CAMERAS = 24


class Model(Section):
    """The RF-DETR model and how it is run."""

    path: LocalPath | None = Field(
        default=None, validate_default=True, description="The RF-DETR model, an .onnx file. null: none yet."
    )
    backend: Literal[
        "auto",
        "onnxruntime",
        "openvino",
        "openvino_bf16",
        "onnxruntime_int8",
        "openvino_int8",
        "onnxruntime_cuda",
        "tensorrt",
        "tensorrt_int8",
    ] = Field(
        default="auto",
        description="What runs the model. auto: the fastest one installed that passes its self-test; int8 where "
        "`porchlight model quantize` has made the form.",
    )
    threads: Annotated[int, Field(strict=True, ge=1, le=64)] | Literal["auto"] = Field(
        default="auto", description="Processor threads for the model. auto: one to four, as was measured here."
    )
    threshold: Threshold = Field(
        default=0.5,
        description="The score from which a detection counts, 0 to 1. Lower sees more, also ghosts.",
    )

    @field_validator("path")
    @classmethod
    def _is_there(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "model" in (info.context or ()):
            right = "write the path of an RF-DETR model, an .onnx file"
            if value is None:
                raise BadSettingError("is not set, but there is a camera to watch", right)
            if reason := why_unreadable(value):
                raise BadSettingError(f'the file "{value}" {reason}', right)
        return value


class Gateway(Section):
    """The web server with the live view, and the camera picture in Home Assistant."""

    host: Host = Field(
        default="127.0.0.1",
        description="Address to listen on. 127.0.0.1: this machine alone; 0.0.0.0: any, needs a token.",
    )
    port: int = Field(default=8099, strict=True, ge=0, le=65535, description="TCP port to listen on. 0: any free one.")
    token: Token | None = Field(
        default=None,
        description="The secret that a viewer must show, 16 characters or more. null: none asked.",
    )
    trusted_proxies: Addresses = Field(
        default=(),
        validate_default=True,
        description="Addresses of proxies that let in only who may look, such as Home Assistant's ingress: no "
        "token is asked of them. They alone may come where there is no token.",
    )
    picture_fps_idle: float = Field(
        default=0.2,
        strict=True,
        ge=0.01,
        le=2,
        description="Pictures per second to Home Assistant while nobody is there; 0.2: one in 5 seconds.",
    )
    picture_fps_alarmed: float = Field(
        default=2.0,
        strict=True,
        ge=0.01,
        le=2,
        description="Pictures per second to Home Assistant while somebody is there.",
    )
    picture_width: int = Field(
        default=640, strict=True, ge=160, le=1280, description="Width of that picture, in pixels."
    )
    picture_max_bytes: int = Field(
        default=100_000,
        strict=True,
        ge=10_000,
        le=1_000_000,
        description="The largest such picture, in bytes; it is compressed until it fits.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _is_guarded(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        host = info.data.get("host")
        is_open = host is not None and not _is_loopback(host)
        if is_open and not value and info.data.get("token", "") is None:
            raise BadSettingError(
                f'"{host}" can be reached from other machines, and no token guards it',
                "set gateway.token (16 characters or more), or write 127.0.0.1",
                at=("host",),
            )
        return value


class Supervisor(Section):
    """How stages that die or fall silent are replaced."""

    restart_seconds_max: float = Field(
        default=30.0,
        strict=True,
        ge=1,
        le=600,
        description="The longest wait before a stage is started again, in seconds; the first are shorter.",
    )
    silence_seconds: float = Field(
        default=10.0,
        strict=True,
        ge=3,
        le=300,
        description="Seconds without a heartbeat after which a stage is replaced.",
    )


class Settings(Section):
    """Every setting of Porchlight."""

    instance: Word = Field(
        default="porchlight",
        description="Names this installation in shared memory, MQTT topics and devices. A second one on the "
        "same machine or broker needs another.",
    )
    state_dir: LocalPath | None = Field(
        default=None,
        description="Folder for what must survive a restart. null: porchlight/<instance> in $XDG_STATE_HOME "
        "or ~/.local/state.",
    )
    cameras: Annotated[
        tuple[Camera, ...],
        Field(max_length=MAX_CAMERAS),
        Hint(f'a list of at most {MAX_CAMERAS} cameras, each starting with "- id: ..."'),
    ] = Field(default=(), description=f"The cameras, at most {MAX_CAMERAS}.")
    model: Model = Field(default_factory=Model, description="The RF-DETR model.")
    sentry: Sentry = Field(default_factory=Sentry, description="When somebody counts as there.")
    alarm: Alarm = Field(default_factory=Alarm, description="The alarm panel.")
    mqtt: Mqtt = Field(default_factory=Mqtt, description="The way to Home Assistant.")
    gateway: Gateway = Field(default_factory=Gateway, description="Live view and pictures.")
    telemetry: Telemetry = Field(default_factory=Telemetry, description="Logs, traces and metrics.")
    supervisor: Supervisor = Field(default_factory=Supervisor, description="Restarts.")

    @property
    def state_path(self) -> Path:
        """The folder for what must survive a restart; not made here."""
        if self.state_dir is not None:
            return self.state_dir
        home = os.environ.get("XDG_STATE_HOME", "")
        # The XDG specification has a relative path ignored.
        above = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
        return above / "porchlight" / self.instance

    def sentry_of(self, camera: Camera) -> Sentry:
        """Return what holds for this camera: its own settings over those for all."""
        return camera.sentry.over(self.sentry)

    def threshold_of(self, camera: Camera) -> float:
        """Return the score from which somebody counts there."""
        return self.model.threshold if camera.sentry.threshold is None else camera.sentry.threshold

    @field_validator("sentry")
    @classmethod
    def _suits_each_camera(cls, value: Sentry, info: ValidationInfo) -> Sentry:
        for place, camera in enumerate(info.data.get("cameras", ())):
            own = camera.sentry.over(value)
            try:
                check_heights(own.min_height, own.max_height)
            except BadSettingError as error:
                at = ("cameras", place, "sentry", "max_height")
                raise BadSettingError(error.what, error.hint, at=at) from None
        return value

    @field_validator("alarm")
    @classmethod
    def _counts_what_there_is(cls, value: Alarm, info: ValidationInfo) -> Alarm:
        cameras = info.data.get("cameras")
        if cameras is None:
            return value
        known = [place for camera in cameras for place in camera.places]
        modes: dict[str, ArmMode] = {"home": value.home, "away": value.away, "night": value.night}
        for name, mode in modes.items():
            for place in mode.counts or ():
                if place not in known:
                    hint = f"there are {', '.join(known)}" if known else "there is no camera yet"
                    raise BadSettingError(f'names "{place}", which is none', hint, at=("alarm", name, "counts"))
        return value

    @field_validator("cameras")
    @classmethod
    def _ids_differ(cls, value: tuple[Camera, ...]) -> tuple[Camera, ...]:
        if repeated := repeats(camera.id for camera in value):
            raise repeated_id(value[repeated[0]].id, repeated[0])
        return value


def repeats(ids: Iterable[object]) -> list[int]:
    """Return the places (from 0) of ids that an earlier one already has."""
    listed = list(ids)
    return [place for place, one in enumerate(listed) if one is not None and one in listed[:place]]


def repeated_id(camera: object, place: int) -> BadSettingError:
    """Return the complaint about the camera at `place`, to be raised where the cameras are checked."""
    what = f'"{camera}" is the id of an earlier camera too'
    return BadSettingError(what, "give every camera its own", at=("cameras", place, "id"))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
