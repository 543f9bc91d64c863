"""The settings of one camera."""

from pydantic import Field, ValidationInfo, field_validator

from appliance.config.kinds import Section, Title, Url, Word
from appliance.config.problem import BadSettingError
from appliance.config.source import FileSource, SourceSettings, parse_source, why_unreadable

TOPIC_NAMES = frozenset({"alarm", "stage", "status", "health", "picture"})


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

    @property
    def label(self) -> str:
        """The name for people."""
        return self.name or self.id.replace("_", " ").strip().capitalize() or self.id

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

    @field_validator("source")
    @classmethod
    def _can_be_opened(cls, value: str, info: ValidationInfo) -> str:
        source = parse_source(value)
        if isinstance(source, FileSource) and "files" in (info.context or ()):
            reason = why_unreadable(source.path)
            if reason:
                raise BadSettingError(f'the file "{source.path}" {reason}', "check the path after file://")
        return value
