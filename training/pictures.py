"""Pictures of the synthetic porch with what is to be seen in them, as the detector gets them: plainly resized."""

from __future__ import annotations

import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from appliance.capture.synthetic import Scene, SceneOptions
from appliance.inference.picture import Decoder
from appliance.messages import Frame, FrameInfo, PixelFormat
from training.contract import HELD_OUT, KINDS, SIDE

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.capture.synthetic import Visit

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

_PER_SCENE = 16
"""A scene's backdrop takes as long to paint as a hundred pictures take to render, and still more scenes teach more than
more pictures of each: what is mistaken for a person is nearly always a part of a backdrop."""
_BUSY_S = 150.0
_EMPTY_S = 600.0
_SIZES = (*[(640, 360)] * 4, *[(640, 480)] * 2, *[(1280, 720)] * 2)


@dataclass(frozen=True, slots=True)
class Pictures:
    """`pictures` uint8 [n, SIDE, SIDE, 3] RGB; `things` float32 (m, 7): the picture's number, the kind's index, x1 y1
    x2 y2 in 0..1, visible share.
    """

    pictures: Bytes
    things: Floats

    def things_of(self) -> list[Floats]:
        """Return for each picture its things (k, 6), without the number."""
        return [self.things[self.things[:, 0] == number, 1:] for number in range(len(self.pictures))]


def render(busy: int, empty: int, processes: int) -> Pictures:
    """Return pictures of so many scenes with people and so many without; the same for the same numbers."""
    plans = [(seed, seed < busy) for seed in range(busy + empty)]
    with ProcessPoolExecutor(processes, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        made = [one for scene in pool.map(_scene, plans, chunksize=4) for one in scene]
    things = [np.insert(things, 0, number, axis=1) for number, (_, things) in enumerate(made)]
    return Pictures(np.stack([picture for picture, _ in made]), np.concatenate(things).astype(np.float32))


def save(path: Path, pictures: Pictures) -> None:
    np.savez(path, pictures=pictures.pictures, things=pictures.things)


def load(path: Path) -> Pictures:
    with np.load(path) as file:
        return Pictures(file["pictures"], file["things"])


def _scene(plan: tuple[int, bool]) -> list[tuple[Bytes, Floats]]:
    seed, busy = plan
    if seed >= HELD_OUT:
        raise ValueError(f"seed {seed} is held out")
    rng = random.Random(f"training {seed}")
    width, height = rng.choice(_SIZES)
    scene = Scene(
        SceneOptions(
            seed=seed,
            width=width,
            height=height,
            hour=rng.uniform(0, 24),
            people_per_minute=rng.choice((2, 4, 6, 6, 9, 12)) if busy else 0,
            rain=rng.choice((True, False, False)),
            timestamps=rng.random() < 0.3,
        )
    )
    return [_moment(scene, t, rng) for t in _moments(scene, rng)]


def _moments(scene: Scene, rng: random.Random) -> list[float]:
    """Choose the times: half of a visit's are close to its beginning or end, where people are small or cut off."""
    visits = scene.visits(_BUSY_S) if scene.options.people_per_minute else ()
    return [max(0.0, _moment_of(scene, visits, number, rng)) for number in range(_PER_SCENE)]


def _moment_of(scene: Scene, visits: tuple[Visit, ...], number: int, rng: random.Random) -> float:
    if not visits or number % 8 == 0:
        return _without_visitors(scene, visits, rng)
    visit = rng.choice(visits)
    match number % 4:
        case 1:
            return visit.begin + rng.uniform(-0.2, 2.5)
        case 2:
            return visit.end - rng.uniform(-0.2, 2.5)
        case _:
            return rng.uniform(visit.begin, visit.end)


def _without_visitors(scene: Scene, visits: tuple[Visit, ...], rng: random.Random) -> float:
    """Choose a time at which a car, a cat or a parcel is about rather than nothing at all."""
    until = visits[-1].begin if visits else _EMPTY_S
    times = [rng.uniform(0, until) for _ in range(rng.choice((1, 8)))]
    return next((t for t in times if any(one.kind != "person" for one in scene.truth(t))), times[0])


def _moment(scene: Scene, t: float, rng: random.Random) -> tuple[Bytes, Floats]:
    sides = np.array((scene.options.width, scene.options.height) * 2, np.float32)
    things = [
        (KINDS.index(thing.kind), *(np.array(thing.box, np.float32) / sides), thing.visible)
        for thing in scene.truth(t)
        if thing.kind in KINDS
    ]
    picture = scene.render(t)
    if rng.random() < 0.7:
        quality = rng.randint(50, 95)
        jpeg = simplejpeg.encode_jpeg(picture, quality, colorsubsampling="420")
        info = FrameInfo(0, 0, 0, scene.options.width, scene.options.height, PixelFormat.JPEG)
        picture = Decoder(SIDE).decode(Frame(info, memoryview(jpeg)))
    square = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(square, np.uint8), np.array(things, np.float32).reshape(-1, 6)
