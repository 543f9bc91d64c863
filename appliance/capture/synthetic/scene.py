"""The synthetic porch: pictures, and what is to be seen in them, as functions of scene time."""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from appliance.capture.synthetic import backdrop
from appliance.capture.synthetic.cast import Cast
from appliance.capture.synthetic.light import light_at
from appliance.capture.synthetic.options import Truth, Visit
from appliance.capture.synthetic.perspective import Perspective
from appliance.capture.synthetic.schedule import Schedule
from appliance.capture.synthetic.sprites import cast_shadow, nearer, outline_mask, paste
from appliance.capture.synthetic.timestamp import write_timestamp
from appliance.capture.synthetic.weather import Dapples, Grain, Leaves, Rain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appliance.capture.synthetic.options import SceneOptions
    from appliance.capture.synthetic.schedule import Call
    from appliance.capture.synthetic.sprites import Sprite

_TRUTH_WIDTH = 640
"""The truth is measured on a grid this wide, whatever the picture's size: it is the same for all of them."""
_SEEN = 0.3
_LOOK_S = 0.25


class Scene:
    """A doorstep. Both `render` and `truth` depend on the options and the time alone, whatever was asked before."""

    def __init__(self, options: SceneOptions) -> None:
        self.options = options
        seed = options.seed
        self._rains = options.rain if options.rain is not None else random.Random(f"{seed} rain").random() < 0.25
        self._light = light_at(options.hour, rain=self._rains)
        self._schedule = Schedule(options, rain=self._rains)
        self._leaves = Leaves(seed)
        view = Perspective(options.height / options.width)
        self._cast = Cast(self._schedule, view, self._light, self._leaves.at, seed)

    def render(self, t: float) -> Any:
        """Return the picture at `t` seconds of scene time: uint8 (height, width, 3), RGB."""
        return self._compose(t, self._cast.sprites(t))

    def truth(self, t: float) -> tuple[Truth, ...]:
        """Return what is to be seen at `t`, the farthest first."""
        return tuple(reversed([*self._seen(self._cast.sprites(t))]))

    def visits(self, until: float) -> tuple[Visit, ...]:
        """Return every visit that begins before `until`, whole."""
        found = (self._visit(call) for call in self._schedule.calls(until))
        return tuple(visit for visit in found if visit is not None and visit.begin < until)

    def forget(self, before: float) -> None:
        """Keep nothing of visits that were over by then; only what comes after can be asked for from now on."""
        self._schedule.forget(before)

    def _compose(self, t: float, sprites: Iterable[Sprite]) -> Any:
        picture = self._dapples.render(t) if self._dapples else self._backdrop.lit.copy()
        sprites = list(sprites)
        for sprite in sprites:
            cast_shadow(picture, sprite)
        for sprite in sprites:
            paste(picture, sprite, self._backdrop.hides)
        if self._rain is not None:
            self._rain.add(picture, t)
        self._grain.add(picture, t)
        if self.options.timestamps:
            write_timestamp(picture, t)
        return picture

    @functools.cached_property
    def _backdrop(self) -> backdrop.Backdrop:
        options = self.options
        return backdrop.paint(options.width, options.height, options.seed, self._light, wet=self._rains)

    @functools.cached_property
    def _dapples(self) -> Dapples | None:
        return Dapples(self._backdrop, self._leaves) if max(self._light.sun) > 0.03 else None

    @functools.cached_property
    def _grain(self) -> Grain:
        return Grain(self.options.width, self.options.height, self._light.noise, self.options.seed)

    @functools.cached_property
    def _rain(self) -> Rain | None:
        bright = sum(self._light.sky_bottom) / 765
        return Rain(self.options.width, self.options.height, self.options.seed, bright) if self._rains else None

    @functools.cached_property
    def _hides(self) -> Any:
        rows = max(1, round(_TRUTH_WIDTH * self.options.height / self.options.width))
        return backdrop.hiding(_TRUTH_WIDTH, rows)

    def _seen(self, sprites: Iterable[Sprite]) -> Iterator[Truth]:
        """Yield what can be seen, the nearest first: what is nearer covers what comes behind it."""
        rows = self._hides.shape[0]
        covered = np.zeros((rows, _TRUTH_WIDTH), np.uint8)
        for sprite in reversed([*sprites]):
            mask, left, top = outline_mask(sprite, _TRUTH_WIDTH)
            x1, y1 = max(0, left), max(0, top)
            x2, y2 = min(_TRUTH_WIDTH, left + mask.shape[1]), min(rows, top + mask.shape[0])
            if x1 >= x2 or y1 >= y2:
                continue
            inside = mask[y1 - top : y2 - top, x1 - left : x2 - left]
            region = covered[y1:y2, x1:x2]
            hidden = cv2.bitwise_or(region, nearer(self._hides[y1:y2, x1:x2], sprite.z))
            seen = cv2.bitwise_and(inside, cv2.bitwise_not(hidden))
            area = cv2.countNonZero(seen)
            if area and sprite.kind is not None:
                x, y, wide, high = cv2.boundingRect(seen)
                share = min(1.0, area / cv2.countNonZero(mask))
                yield Truth(sprite.kind, self._box(sprite, x1 + x, y1 + y, wide, high), share)
            cv2.bitwise_or(region, inside, dst=region)

    def _box(self, sprite: Sprite, x: int, y: int, wide: int, high: int) -> tuple[float, float, float, float]:
        """Return in pixels what lies within both a rectangle of the grid and the outline's own, which is exact."""
        left, top, right, bottom = sprite.extent
        width, scale = self.options.width, self.options.width / _TRUTH_WIDTH
        return (
            max(x * scale, left * width),
            max(y * scale, top * width),
            min((x + wide) * scale, right * width, width),
            min((y + high) * scale, bottom * width, self.options.height),
        )

    def _visit(self, call: Call) -> Visit | None:
        begin = self._edge(call.begin, call.end, _LOOK_S)
        end = self._edge(call.end, call.begin, -_LOOK_S)
        return None if begin is None or end is None else Visit(begin, end, len(call.guests))

    def _edge(self, start: float, stop: float, step: float) -> float | None:
        """Return the first moment from `start` on, in either direction, at which somebody is seen."""
        t = start
        while (stop - t) * step >= 0:
            if self._is_occupied(t):
                empty, occupied = t - step, t
                while abs(occupied - empty) > 1e-4:
                    middle = (empty + occupied) / 2
                    empty, occupied = (empty, middle) if self._is_occupied(middle) else (middle, occupied)
                return occupied
            t += step
        return None

    def _is_occupied(self, t: float) -> bool:
        return any(one.kind == "person" and one.visible >= _SEEN for one in self._seen(self._cast.sprites(t)))
