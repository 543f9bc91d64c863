"""What an appliance shows: cameras and images."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from .entity import Entity
from .vocabulary import Platform


class ImageEncoding(StrEnum):
    """How a picture travels where not as the bytes of its file."""

    BASE64 = "b64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera(Entity):
    """One picture per message on `topic`; Home Assistant shows two a second at most."""

    platform: ClassVar[Platform] = Platform.CAMERA

    topic: str
    image_encoding: ImageEncoding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Entity):
    """A picture, or the address of one; each message is a change of state and a row in the recorder."""

    platform: ClassVar[Platform] = Platform.IMAGE

    image_topic: str | None = None
    content_type: str | None = None
    image_encoding: ImageEncoding | None = None
    url_topic: str | None = None
    url_template: str | None = None

    def _check(self) -> None:
        one = (self.image_topic is None) != (self.url_topic is None)
        wrong = "is missing" if self.image_topic is None else "stands beside url_topic"
        self._demand(one, "image_topic", wrong, "give either image_topic or url_topic")
        self._needs("content_type", "image_topic")
        self._needs("image_encoding", "image_topic")
        self._needs("url_template", "url_topic")
