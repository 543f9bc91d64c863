"""What counts as a sighting: the rows of one frame in, who counts for the camera and for each zone out.

A row counts that is of the wanted classes, sure enough, neither too small nor too large, and whose feet are under no
mask. Masks stand above zones: what a mask drops counts nowhere. Zones only add a presence of their own; with
`only_in_zones` they also fence the camera in, and whoever is in none of them does not count for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from appliance.controller.zones import Zone, placed
from appliance.polygon import Polygon

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appliance.controller.zones import Box, ZoneSettings
    from appliance.messages import Rows
    from appliance.polygon import Spot


class SightingSettings(Protocol):
    """What a camera's sieve takes from config.yaml.

    Heights are shares, 0 to 1, of the picture's height. `only_in_zones` asks nothing of a camera without zones: it
    would never see anybody.
    """

    @property
    def classes(self) -> frozenset[int]: ...
    @property
    def threshold(self) -> float: ...
    @property
    def min_height(self) -> float: ...
    @property
    def max_height(self) -> float: ...
    @property
    def masks(self) -> Sequence[Sequence[Spot]]: ...
    @property
    def zones(self) -> Sequence[ZoneSettings]: ...
    @property
    def only_in_zones(self) -> bool: ...


class Counting(NamedTuple):
    """Those settings, put together from where they stand: the model's class ids, the camera's zones, its sentry."""

    classes: frozenset[int]
    threshold: float = 0.5
    min_height: float = 0.0
    max_height: float = 1.0
    masks: Sequence[Sequence[Spot]] = ()
    zones: Sequence[ZoneSettings] = ()
    only_in_zones: bool = False


class Seen(NamedTuple):
    """One row that counted, as the model gave it: `box` may reach over the picture's border."""

    score: float
    class_id: int
    box: Box


@dataclass(frozen=True, slots=True)
class Tally:
    """Who counted in one place. `best` has the highest score, None where nobody counted."""

    count: int
    best: Seen | None

    @property
    def score(self) -> float:
        """The best one's, 0 where nobody counted."""
        return self.best.score if self.best else 0.0


class LeftOut(NamedTuple):
    """How many rows did not count, each under the first reason that holds, in this order.

    `size` has those as well that are no box, or lie beside the picture.
    """

    other_class: int = 0
    score: int = 0
    size: int = 0
    mask: int = 0
    outside: int = 0


@dataclass(frozen=True, slots=True)
class Sightings:
    """One frame's answer. `zones` has every zone of the camera by its id, in the order of the settings."""

    camera: Tally
    zones: Mapping[str, Tally]
    left_out: LeftOut


class Sieve:
    """One camera's settings, prepared for many frames. Other settings, another sieve."""

    __slots__ = ("_classes", "_fenced", "_masks", "_max_height", "_min_height", "_threshold", "_zones")

    def __init__(self, settings: SightingSettings) -> None:
        self._classes = settings.classes
        # Scores are float32: 0.7 as one is a little less than 0.7.
        self._threshold = float(np.float32(settings.threshold))
        self._min_height, self._max_height = settings.min_height, settings.max_height
        self._masks = tuple(Polygon(points) for points in settings.masks)
        self._zones = tuple(Zone(zone) for zone in settings.zones)
        self._fenced = settings.only_in_zones and bool(settings.zones)

    def sift(self, rows: Rows, width: int, height: int) -> Sightings:
        """Return what counts in a frame of this size. A value exactly at a threshold or a bound counts."""
        other_class = score_low = wrong_size = masked = outside = 0
        seen: list[Seen] = []
        zones: list[tuple[Zone, list[Seen]]] = [(zone, []) for zone in self._zones]
        # Lists, not arrays: a frame has a handful of rows, and NumPy's calls cost more than the work.
        for class_id, score, corners in zip(
            rows.class_ids.tolist(), rows.scores.tolist(), rows.boxes.tolist(), strict=True
        ):
            if class_id not in self._classes:
                other_class += 1
                continue
            if not score >= self._threshold:  # NaN too
                score_low += 1
                continue
            place = placed(corners, width, height)
            if place is None or not self._min_height <= place.height <= self._max_height:
                wrong_size += 1
                continue
            if self._is_masked(place.feet):
                masked += 1
                continue
            around = [inside for zone, inside in zones if zone.holds(place)]
            if self._fenced and not around:
                outside += 1
                continue
            one = Seen(score, class_id, tuple(corners))
            for there in (seen, *around):
                there.append(one)
        return Sightings(
            _tally(seen),
            {zone.id: _tally(inside) for zone, inside in zones},
            LeftOut(other_class, score_low, wrong_size, masked, outside),
        )

    def _is_masked(self, feet: Spot) -> bool:
        x, y = feet
        return any(mask.holds(x, y) for mask in self._masks)


def _tally(seen: Sequence[Seen]) -> Tally:
    return Tally(len(seen), max(seen, key=_score, default=None))


def _score(one: Seen) -> float:
    return one.score
