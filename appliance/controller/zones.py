"""Where somebody stands: the spot of a box that must lie in a polygon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from appliance.polygon import Polygon, Spot

if TYPE_CHECKING:
    from collections.abc import Sequence

Box: TypeAlias = tuple[float, float, float, float]
"""x1 y1 x2 y2 in source pixels."""


class ZoneSettings(Protocol):
    """What a zone takes from config.yaml. `point` is the spot of a box that must lie in the polygon."""

    @property
    def id(self) -> str: ...
    @property
    def polygon(self) -> Sequence[Spot]: ...
    @property
    def point(self) -> Literal["feet", "centre"]: ...


class Place(NamedTuple):
    """The part of a box that lies in the picture, in shares of the picture's width and height.

    `feet` is the middle of its lower edge, `centre` the middle of the whole. Somebody whose feet are cut off by the
    picture's lower border stands at that border: a polygon drawn down to it holds them.
    """

    feet: Spot
    centre: Spot
    height: float


class Zone:
    """A part of the picture with a presence of its own."""

    __slots__ = ("_polygon", "_takes_centre", "id")

    def __init__(self, settings: ZoneSettings) -> None:
        self.id = settings.id
        self._polygon = Polygon(settings.polygon)
        self._takes_centre = settings.point == "centre"

    def holds(self, place: Place) -> bool:
        """Is somebody there in this zone? Its border belongs to it: on a shared border one is in both zones."""
        x, y = place.centre if self._takes_centre else place.feet
        return self._polygon.holds(x, y)


def placed(box: Box, width: int, height: int) -> Place | None:
    """Return where a box stands in a picture of this size; None: it is no box, or nothing of it lies in the picture."""
    x1, y1, x2, y2 = box
    # NaN fails each comparison.
    if not (0 <= x2 >= x1 <= width > 0 and 0 <= y2 >= y1 <= height > 0):
        return None
    across = (max(x1, 0) + min(x2, width)) / (2 * width)
    top, bottom = max(y1, 0) / height, min(y2, height) / height
    return Place((across, bottom), (across, (top + bottom) / 2), bottom - top)
