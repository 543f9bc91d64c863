"""Polygons on a picture, in shares of its width and height: (0, 0) is its upper left corner, (1, 1) its lower right.

What an outline goes around is inside, its edges and corners too. Where it crosses itself, what it goes around more than
once is inside as well (nonzero winding): a household that draws a loop too many means no hole. Only what it goes around
as often one way as the other lies outside.
"""

from __future__ import annotations

from itertools import combinations
from math import dist
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Spot: TypeAlias = tuple[float, float]

SMALLEST_AREA = 1e-6
"""Of the picture; two pixels of a full HD one."""
_LINE_WIDTH = 1e-4
"""Points that stray less from one line than this are on it; a fifth of a pixel of a full HD picture's width."""


class PolygonError(ValueError):
    """These points make no polygon: `what` is wrong, and `hint` says what would be right."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint


class Polygon:
    """An outline, prepared for many questions. The last point is joined to the first."""

    __slots__ = ("_bottom", "_edges", "_left", "_right", "_top")

    def __init__(self, points: Sequence[Spot]) -> None:
        """`points` are taken as `usable` lets them pass."""
        across, down = zip(*points, strict=True)
        self._left, self._right = min(across), max(across)
        self._top, self._bottom = min(down), max(down)
        self._edges = tuple(_edge(points[at - 1], points[at]) for at in range(len(points)))

    def holds(self, x: float, y: float) -> bool:
        """Is the spot inside, or on the outline? NaN is nowhere.

        A spot within rounding (about 1e-16) of a sloping edge may be found on either side of it, but alike by every
        polygon with that edge: neighbours leave no gap.
        """
        if not (self._left <= x <= self._right and self._top <= y <= self._bottom):
            return False
        winding = 0
        for turn, ax, ay, bx, by in self._edges:
            if not ay <= y <= by:
                continue
            if ay == by:
                if ax <= x <= bx:
                    return True
                continue
            side = (bx - ax) * (y - ay) - (x - ax) * (by - ay)
            if side == 0:
                return True
            # To the right of the spot. Its lower end is the next edge's business: no corner counts twice.
            if side > 0 and y < by:
                winding += turn
        return winding != 0


def usable(points: Sequence[Spot]) -> Sequence[Spot]:
    """Return the points; PolygonError: they enclose nothing, or do not lie on the picture."""
    for number, (x, y) in enumerate(points, 1):
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise PolygonError(
                f"point {number}, ({x:g}, {y:g}), does not lie on the picture",
                "write shares of its width and height, from 0 to 1: [0, 0] is the upper left corner, "
                "[1, 1] the lower right one",
            )
    different = list(dict.fromkeys(points))
    if len(different) < 3:
        raise PolygonError(f"has {_counted(len(different))}", "write at least 3, the corners of an area")
    if _is_line(different):
        raise PolygonError("has all its points on one line", "write the corners of an area")
    if abs(_area(points)) < SMALLEST_AREA:
        raise PolygonError(
            "encloses nothing, or as much one way round as the other",
            "write the corners in the order in which one walks around the area",
        )
    return points


def _edge(one: Spot, other: Spot) -> tuple[int, float, float, float, float]:
    """Return +1 for a way down, -1 for one up, and the ends, the upper one first.

    Both neighbours of an edge have it in the same order, and so the same rounding.
    """
    upper, lower = sorted((one, other), key=lambda spot: (spot[1], spot[0]))
    return (1 if upper == one else -1, *upper, *lower)


def _area(points: Sequence[Spot]) -> float:
    """Return the shoelace area: positive one way round, negative the other."""
    ends = ((points[at - 1], points[at]) for at in range(len(points)))
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in ends) / 2


def _is_line(points: Sequence[Spot]) -> bool:
    (ax, ay), (bx, by) = ends = max(combinations(points, 2), key=lambda pair: dist(*pair))
    most = max(abs((bx - ax) * (y - ay) - (x - ax) * (by - ay)) for x, y in points)
    return most < _LINE_WIDTH * dist(*ends)


def _counted(different: int) -> str:
    match different:
        case 0:
            return "has no points"
        case 1:
            return "has only one point"
        case _:
            return f"has only {different} different points"
