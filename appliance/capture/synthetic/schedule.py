"""Who comes when: made from the seed, one visit after the other, as far as anybody asks."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.capture.synthetic.looks import as_courier, draw_look
from appliance.capture.synthetic.routes import Line, Walk

if TYPE_CHECKING:
    from appliance.capture.synthetic.looks import Look
    from appliance.capture.synthetic.options import SceneOptions
    from appliance.capture.synthetic.perspective import Point3D
    from appliance.capture.synthetic.routes import Point

GAP_S = 8.5
"""Nobody at all is about for so long between two visits."""
_DOOR: Point = (-2.3, 5.62)
_SPOTS: tuple[Point, ...] = (
    _DOOR, (-1.62, 5.45), (-2.98, 5.4), (-3.3, 5.75), (-2.3, 4.9), (-3.2, 4.75), (-1.4, 4.8), (-0.3, 4.7)
)  # fmt: skip
_GARDEN: tuple[Point, ...] = ((3.87, 15.2), (3.1, 12.0), (1.5, 8.8), (0.1, 6.4), (-0.6, 4.95))
_WAYS: dict[str, tuple[Point, ...]] = {
    "from the right along the street": ((12.8, 17.0), (8.0, 16.9), (4.7, 16.6), *_GARDEN),
    "from the left along the street": ((-2.6, 17.0), (1.5, 16.9), (3.3, 16.5), *_GARDEN),
    "along the wall": ((-5.6, 4.9), (-4.3, 4.85), (-3.2, 4.8)),
    "across the forecourt": ((5.2, 5.75), (3.2, 5.6), (1.2, 5.15), (-0.5, 4.8)),
}
_PARTIES_PER_RATE = 0.55
"""Parties in one visit for each person per minute: more, and they must come together, for a visit takes its time."""
_CARGO_S = 1.5
"""A courier puts the parcel down so long after they stand before the door."""
_PARCEL_SPOTS: tuple[Point, ...] = ((-2.52, 6.02), (-2.16, 5.98), (-2.34, 6.14), (-1.75, 6.1))


@dataclass(frozen=True, slots=True)
class Parcel:
    """A box: its size (wide, high, deep), where it is put down, how it is turned."""

    size: Point3D
    spot: Point
    turn: float


@dataclass(frozen=True, slots=True)
class Guest:
    """One person of a visit."""

    look: Look
    walk: Walk
    phase: float
    """Of their steps, in radians."""
    brings: Parcel | None = None
    takes: Parcel | None = None
    rings: bool = False

    @property
    def handover(self) -> float:
        """The moment at which a parcel changes between hands and ground."""
        return self.walk.arrival + _CARGO_S


@dataclass(frozen=True, slots=True)
class Call:
    """One visit as it was made: the people, and the stretch in which any of them could be anywhere in the picture."""

    begin: float
    end: float
    guests: tuple[Guest, ...]


@dataclass(frozen=True, slots=True)
class Lying:
    """A parcel on the ground, from one moment on and, once it is known, to another."""

    parcel: Parcel
    begin: float
    end: float | None = None


class Schedule:
    """The visits of one scene, and the parcels that they leave."""

    def __init__(self, options: SceneOptions, *, rain: bool) -> None:
        self._options = options
        self._rain = rain
        self._calls: list[Call] = []
        self._made = 0
        self._lying: list[Lying] = []
        self._free_from = 0.0

    def calls(self, until: float) -> list[Call]:
        """Return every visit that begins before `until`, and was not forgotten."""
        if self._options.people_per_minute <= 0:
            return []
        while self._free_from <= until:
            self._make()
        return [call for call in self._calls if call.begin < until]

    def forget(self, before: float) -> None:
        """Keep nothing of visits that were over by then: a camera that runs for a year has had many."""
        while self._calls and self._calls[0].end < before:
            del self._calls[0]
        while self._lying and self._lying[0].end is not None and self._lying[0].end < before:
            del self._lying[0]

    def at(self, t: float) -> Call | None:
        """Return the visit that is under way."""
        latest = self.calls(t + 1e-6)[-1:]
        return next((call for call in latest if call.begin <= t < call.end), None)

    def lying(self, t: float) -> list[Parcel]:
        """Return the parcels that wait at the door."""
        self.calls(t + 1e-6)
        return [one.parcel for one in self._lying if one.begin <= t and (one.end is None or t < one.end)]

    def _make(self) -> None:
        rng = random.Random(f"{self._options.seed} visit {self._made}")
        rate = self._options.people_per_minute
        parties = max(1, round(_PARTIES_PER_RATE * rate + rng.uniform(-0.4, 0.4)))
        sizes = [rng.choice((1, 1, 1, 1, 2, 2, 3)) for _ in range(parties)]
        cycle = 60 * sum(sizes) / rate * rng.uniform(0.75, 1.25)
        begin = self._free_from + (rng.uniform(1.5, 5.0) if not self._made else 0.0)
        stagger = min(4.0, max(0.8, (cycle - 34) / len(sizes)))
        guests: list[Guest] = []
        spots = list(_SPOTS)
        for party, size in enumerate(sizes):
            guests += self._party(rng, begin + party * stagger, size, spots)
        end = max(guest.walk.end for guest in guests)
        self._calls.append(Call(begin, end, tuple(guests)))
        self._made += 1
        self._free_from = end + max(GAP_S + rng.uniform(0, 3), cycle - (end - begin))

    def _party(self, rng: random.Random, begin: float, size: int, spots: list[Point]) -> list[Guest]:
        come, leave = (rng.choices(list(_WAYS.values()), (3, 3, 2, 2))[0] for _ in range(2))
        wait, speed = rng.uniform(3.5, 8.0), rng.uniform(1.15, 1.6)
        at_door = bool(spots) and spots[0] == _DOOR
        fetches = self._oldest(begin) if at_door and rng.random() < 0.7 else None
        courier = size == 1 and at_door and fetches is None and rng.random() < 0.4
        if courier:
            wait, speed = rng.uniform(3.2, 4.2), rng.uniform(1.4, 1.75)
        guests = []
        for member in range(size):
            spot = spots.pop(0) if spots else (rng.uniform(-3.6, 0.8), rng.uniform(4.3, 4.9))
            late = member * rng.uniform(0.35, 0.8)
            aside = (0.0, 0.32, -0.32)[member] + rng.uniform(-0.06, 0.06)
            turned = rng.uniform(-0.15, 0.15) if spot == _DOOR else rng.uniform(-0.8, 0.5)
            walk = Walk(
                begin=begin + late,
                speed=speed * rng.uniform(0.97, 1.03),
                come=Line([*_shifted(come, aside), *_entry(spot)]),
                wait=max(3.2, wait - late),
                facing=turned,
                leave=Line([*reversed([*_shifted(leave, aside), *_entry(spot)])]),
            )
            look = draw_look(rng, rain=self._rain, hour=self._options.hour)
            guest = Guest(look, walk, rng.uniform(0, 6.28), rings=spot == _DOOR and not courier)
            if courier:
                guest = self._bring(Guest(as_courier(look), walk, guest.phase, brings=self._parcel(rng)))
            elif fetches is not None and spot == _DOOR:
                guest = self._fetch(Guest(look, walk, guest.phase, takes=fetches.parcel), fetches)
            guests.append(guest)
        return guests

    def _oldest(self, t: float) -> Lying | None:
        """Return the parcel that has waited longest, if that is half a minute or more."""
        return next((one for one in self._lying if one.end is None and one.begin < t - 30), None)

    def _bring(self, guest: Guest) -> Guest:
        if guest.brings is not None:
            self._lying.append(Lying(guest.brings, guest.handover))
            if sum(one.end is None for one in self._lying) > 3:
                oldest = next(i for i, one in enumerate(self._lying) if one.end is None)
                self._lying[oldest] = Lying(self._lying[oldest].parcel, self._lying[oldest].begin, guest.walk.begin)
        return guest

    def _fetch(self, guest: Guest, lying: Lying) -> Guest:
        self._lying[self._lying.index(lying)] = Lying(lying.parcel, lying.begin, guest.handover)
        return guest

    def _parcel(self, rng: random.Random) -> Parcel:
        taken = {one.parcel.spot for one in self._lying if one.end is None}
        free = [spot for spot in _PARCEL_SPOTS if spot not in taken] or list(_PARCEL_SPOTS)
        size = rng.uniform(0.26, 0.42), rng.uniform(0.12, 0.26), rng.uniform(0.22, 0.32)
        return Parcel(size, rng.choice(free), rng.uniform(-0.35, 0.35))


def _shifted(way: tuple[Point, ...], aside: float) -> list[Point]:
    return [(x + aside * 0.7, z + aside * 0.7) for x, z in way]


def _entry(spot: Point) -> list[Point]:
    """Return the end of a way to where somebody waits: round the pillar, up the step."""
    x, z = spot
    return [spot] if z < 5.1 else [((2 * x - 1.5) / 3, 4.95), spot]
