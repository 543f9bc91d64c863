"""Parts of a camera's picture: zones with a presence of their own, and masks under which nothing counts."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from appliance.config.kinds import Hint, Section, Title, Word
from appliance.config.problem import BadSettingError
from appliance.polygon import PolygonError, Spot, usable

MOST_POINTS = 64
MOST_ZONES = 16


def _encloses(points: Sequence[Spot]) -> Sequence[Spot]:
    try:
        return usable(points)
    except PolygonError as error:
        raise BadSettingError(error.what, error.hint) from None


Outline = Annotated[
    tuple[Spot, ...],
    Field(max_length=MOST_POINTS),
    AfterValidator(_encloses),
    Hint(f"3 to {MOST_POINTS} corners such as [[0.1, 0.5], [0.6, 0.5], [0.6, 1], [0.1, 1]]"),
]
Masks = Annotated[
    tuple[Outline, ...],
    Field(max_length=MOST_ZONES),
    Hint(f"a list of at most {MOST_ZONES} areas, each with corners such as [[0, 0], [1, 0], [1, 0.2]]"),
]


class Zone(Section):
    """A part of the picture that has an occupancy sensor of its own."""

    id: Word = Field(description="Names the zone in MQTT topics and Home Assistant's entity ids. Keep it.")
    name: Title | None = Field(default=None, description="What people call it. null: the id in words.")
    polygon: Outline = Field(
        description="Its corners in the order of a walk around it, each [x, y] in shares of the picture's width and "
        "height: [0, 0] is the upper left corner, [1, 1] the lower right one."
    )
    point: Literal["feet", "centre"] = Field(
        default="feet",
        description="What of a box must lie in the zone: the middle of its lower edge, or its centre.",
    )

    @property
    def label(self) -> str:
        """The name for people."""
        return self.name or in_words(self.id)


def in_words(identity: str) -> str:
    """Return front_door as Front door."""
    return identity.replace("_", " ").strip().capitalize() or identity
