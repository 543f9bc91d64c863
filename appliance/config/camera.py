"""The settings of one camera."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from appliance.config.kinds import Hint, Section, Title, Url, Word
from appliance.config.problem import BadSettingError
from appliance.config.sentry import CameraSentry
from appliance.config.source import FileSource, SourceSettings, parse_source, why_unreadable
from appliance.config.zone import MOST_ZONES, Masks, Zone, in_words

TOPIC_NAMES = frozenset({"alarm", "stage", "status", "health", "latency", "picture", "restart"})


class Camera(Section):
    """One camera: what it is called, where its pictures come from, how often it looks."""

    id: Word = Field(description="Names the camera in MQTT topics and Home Assistant's entity ids. Keep it.")
    source: Url = Field(
        repr=False,
        description="Where the pictures come from. A camera on this machine: "
        "v4l2:///dev/video0?size=1280x720&fps=30&format=mjpg&exposure=20ms, or v4l2:///dev/v4l/by-id/... to keep it "
        "when cameras change places. An IP camera: rtsp://user:password@host/path, with #transport=udp behind it if "
        "it cannot do TCP. An MJPEG camera: http://user:password@host/stream.mjpeg. A recording: "
        "file:///clip.mp4?loop=true&rate=realtime; loop: true or false (default false); rate: realtime or lockstep "
        "(default realtime). Or synthetic://porch, a doorstep that is computed: "
        "?seed=7&size=1280x720&fps=15&hour=18.5&people_per_minute=2&rain=true, and more.",
    )
    name: Title | None = Field(
        default=None, description="What people call it. null: the id in words, front_door becomes Front door."
    )
    area: Title | None = Field(default=None, description="The area that Home Assistant suggests. null: none.")
    standby_fps: float = Field(
        default=3.0,
        strict=True,
        ge=0.2,
        le=30,
        description="Frames per second while nobody is there. More sees sooner, and costs computing time.",
    )
    alarmed_fps: float | None = Field(
        default=None,
        strict=True,
        ge=0.2,
        le=120,
        description="Frames per second while somebody is, or may be, there. null: all that the camera gives.",
    )
    stall_seconds: float = Field(
        default=2.0,
        strict=True,
        ge=0.5,
        le=60,
        description="Seconds without a picture after which a live camera counts as stalled, and is opened again.",
    )
    max_jpeg_bytes: int = Field(
        default=2_000_000,
        strict=True,
        ge=50_000,
        le=16_000_000,
        description="The largest JPEG picture of this camera, in bytes; a larger one is dropped and counted. "
        "Takes four times as much shared memory.",
    )

    zones: Annotated[
        tuple[Zone, ...],
        Field(max_length=MOST_ZONES),
        Hint(f'a list of at most {MOST_ZONES} zones, each starting with "- id: ..."'),
    ] = Field(
        default=(), description=f"Parts of the picture with an occupancy sensor of their own, at most {MOST_ZONES}."
    )
    masks: Masks = Field(
        default=(),
        description=f"Areas in which nobody counts: who stands there is not there. At most {MOST_ZONES}, "
        "each a list of corners as a zone has them.",
    )
    only_in_zones: bool = Field(
        default=False,
        strict=True,
        validate_default=True,
        description="true: who is in none of the zones does not count for the camera either.",
    )
    sentry: CameraSentry = Field(
        default_factory=CameraSentry, description="What differs for this camera from the sentry settings for all."
    )

    @property
    def label(self) -> str:
        """The name for people."""
        return self.name or in_words(self.id)

    @property
    def places(self) -> tuple[str, ...]:
        """As the alarm's settings name them: front_door, front_door/driveway."""
        return (self.id, *(f"{self.id}/{zone.id}" for zone in self.zones))

    @property
    def parsed(self) -> SourceSettings:
        """What `source` names."""
        return parse_source(self.source)

    @field_validator("id")
    @classmethod
    def _is_no_topic(cls, value: str) -> str:
        if value in TOPIC_NAMES:
            raise BadSettingError(f'"{value}" is the name of an MQTT topic of Porchlight', "choose another id")
        return value

    @field_validator("zones")
    @classmethod
    def _zones_differ(cls, value: tuple[Zone, ...]) -> tuple[Zone, ...]:
        ids = [zone.id for zone in value]
        for place, one in enumerate(ids):
            if one in ids[:place]:
                what = f'"{one}" is the id of an earlier zone too'
                raise BadSettingError(what, "give every zone its own", at=("zones", place, "id"))
        return value

    @field_validator("only_in_zones")
    @classmethod
    def _has_zones(cls, value: bool, info: ValidationInfo) -> bool:
        if value and not info.data.get("zones", True):
            raise BadSettingError("is true, but there is no zone", "add a zone, or write false")
        return value

    @field_validator("source")
    @classmethod
    def _can_be_opened(cls, value: str, info: ValidationInfo) -> str:
        source = parse_source(value)
        if isinstance(source, FileSource) and "files" in (info.context or ()):
            reason = why_unreadable(source.path)
            if reason:
                raise BadSettingError(f'the file "{source.path}" {reason}', "check the path after file://")
        return value
