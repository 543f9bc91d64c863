# ruff: noqa: T201 -- speaks to people
"""How well a model knows the synthetic porch, in scenes that nothing was trained on.

python -m training.measure [MODEL]
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import simplejpeg

from appliance.capture.synthetic import Scene, SceneOptions
from appliance.config import Sentry as SentrySettings
from appliance.controller.sentry import Look, Sentry
from appliance.inference.backends.onnxruntime_cpu import OnnxRuntimeCpu
from appliance.inference.demo import PORCH_DEMO
from appliance.inference.rfdetr import postprocess
from appliance.messages import Frame, FrameInfo, PixelFormat, SentryState
from training.contract import COLUMNS, HELD_OUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from appliance.capture.synthetic import Truth, Visit

THRESHOLD = 0.5
"""The score from which somebody is there."""
MATCH = 0.4
"""A row and a person overlap at least so much (intersection over union), or they are not the same."""
CLEARLY_VISIBLE = 0.5
_BARELY_VISIBLE = 0.1
_QUALITY = 85
"""The synthetic camera's."""
_STEP_S = 1 / 3
"""Standby's pace."""
HOURS = (0.5, 3.0, 5.5, 6.5, 7.5, 9.0, 11.0, 12.5, 14.0, 16.0, 17.5, 18.5, 19.5, 20.5, 21.5, 23.0)


@dataclass(slots=True)
class Figures:
    """What came out so far."""

    people: int = 0
    """Those of whom at least half was visible."""
    found: int = 0
    overlaps: list[float] = field(default_factory=list)
    """Intersection over union of each person found, with the truth."""
    empty: int = 0
    """Pictures without anybody."""
    false: int = 0
    """Of these, pictures with a row for a person."""
    busy: int = 0
    surplus: int = 0
    """Rows in busy pictures that are nobody, or somebody a second time."""
    highest_empty: float = 0.0
    """The highest score for a person in an empty picture."""

    @property
    def recall(self) -> float:
        return self.found / self.people

    @property
    def overlap(self) -> float:
        return statistics.median(self.overlaps)

    @property
    def false_per_thousand(self) -> float:
        return 1000 * self.false / self.empty


@dataclass(frozen=True, slots=True)
class Met:
    """One visit as the detector met it: seconds of scene time from its beginning to the first sighting and to the
    alarm, None where there was none.
    """

    first: float | None
    alarm: float | None


class Eye:
    """The model, with all that the inference stage does around it."""

    def __init__(self, model: Path) -> None:
        self._model = OnnxRuntimeCpu(model, 2)

    def people(self, scene: Scene, t: float, threshold: float = THRESHOLD) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return boxes (n, 4), x1 y1 x2 y2 in pixels, and scores (n,) of the people in the scene at `t`."""
        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(scene.render(t)), _QUALITY, "RGB", "420")
        info = FrameInfo(0, 0, 0, scene.options.width, scene.options.height, PixelFormat.JPEG)
        self._model.take(Frame(info, memoryview(jpeg)))
        dets, labels = self._model.detect()
        rows = postprocess(dets, labels, scene.options.width, scene.options.height, threshold)
        people = rows.class_ids == COLUMNS["person"]
        return rows.boxes[people], rows.scores[people]

    def sees_somebody(self, scene: Scene, t: float) -> bool:
        return len(self.people(scene, t)[0]) > 0


def busy_moments(eye: Eye, scene: Scene, moments: int, figures: Figures) -> None:
    """Add what is found at so many moments spread over each of the scene's first visits."""
    for visit in first_visits(scene):
        for share in (np.arange(moments) + 0.5) / moments:
            t = visit.begin + (visit.end - visit.begin) * float(share)
            compare(eye.people(scene, t)[0], scene.truth(t), figures)


def empty_moments(eye: Eye, scene: Scene, moments: int, figures: Figures) -> None:
    """Add what is seen at so many moments of ten minutes of a scene that has nobody in it."""
    for share in (np.arange(moments) + 0.5) / moments:
        _, scores = eye.people(scene, 600.0 * float(share), threshold=0.05)
        figures.empty += 1
        figures.false += bool(np.any(scores >= THRESHOLD))
        figures.highest_empty = max(figures.highest_empty, float(scores.max(initial=0)))


def first_visits(scene: Scene) -> tuple[Visit, ...]:
    """Return two."""
    return scene.visits(180.0)[:2]


def compare(rows: NDArray[Any], truths: tuple[Truth, ...], figures: Figures) -> None:
    """Pair rows with people, the best pair first, and add it up."""
    people = [one for one in truths if one.kind == "person" and one.visible >= _BARELY_VISIBLE]
    pairs = sorted(
        ((intersection_over_union(row, one.box), i, j) for i, row in enumerate(rows) for j, one in enumerate(people)),
        reverse=True,
    )
    paired: dict[int, float] = {}
    used: set[int] = set()
    for overlap, i, j in pairs:
        if overlap >= MATCH and i not in used and j not in paired:
            used.add(i)
            paired[j] = overlap
    figures.busy += 1
    figures.surplus += len(rows) - len(used)
    for j, one in enumerate(people):
        if one.visible >= CLEARLY_VISIBLE:
            figures.people += 1
            if j in paired:
                figures.found += 1
                figures.overlaps.append(paired[j])


def meet(eye: Eye, scene: Scene, visit: Visit) -> Met:
    """Watch a visit from its beginning on, at standby's pace, until the sentry raises the alarm."""
    sentry, settings = Sentry(), SentrySettings()
    first: float | None = None
    for step in range(int((visit.end - visit.begin) / _STEP_S)):
        after = step * _STEP_S
        sighting = eye.sees_somebody(scene, visit.begin + after)
        if sighting and first is None:
            first = after
        sentry = sentry.observe(Look(round(after * 1e9), sighting), settings)
        if sentry.state is SentryState.TRACKING:
            return Met(first, after)
    return Met(first, None)


def intersection_over_union(one: Any, other: Any) -> float:
    left, top = np.maximum(one[:2], other[:2])
    right, bottom = np.minimum(one[2:], other[2:])
    shared = max(0.0, float(right - left)) * max(0.0, float(bottom - top))
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other)]
    return shared / (sum(areas) - shared) if shared else 0.0


def busy_scenes(count: int, width: int, height: int) -> Iterator[Scene]:
    for seed in range(HELD_OUT, HELD_OUT + count):
        yield _scene(seed, width, height, people_per_minute=(2, 4)[seed % 2])


def empty_scenes(count: int, width: int, height: int) -> Iterator[Scene]:
    for seed in range(2 * HELD_OUT, 2 * HELD_OUT + count):
        yield _scene(seed, width, height, people_per_minute=0)


def _scene(seed: int, width: int, height: int, people_per_minute: float) -> Scene:
    """One hour of HOURS after the other, far apart; every third scene in the rain."""
    hour = HOURS[seed * 5 % len(HOURS)]
    return Scene(SceneOptions(seed, width, height, hour, people_per_minute, rain=seed % 3 == 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=PORCH_DEMO)
    parser.add_argument("--scenes", type=int, default=32, help="with people; and as many without")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720))
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    eye, figures, met = Eye(chosen.model), Figures(), []
    for scene in busy_scenes(chosen.scenes, *chosen.size):
        busy_moments(eye, scene, 10, figures)
        met += [meet(eye, scene, visit) for visit in first_visits(scene)]
    for scene in empty_scenes(chosen.scenes, *chosen.size):
        empty_moments(eye, scene, 60, figures)
    _print(figures)
    _print_visits("first sighting", [one.first for one in met])
    _print_visits("alarm", [one.alarm for one in met])


def _print(figures: Figures) -> None:
    low, quarter = (float(value) for value in np.quantile(figures.overlaps, (0.05, 0.25)))
    print(f"people: {figures.people} in {figures.busy} pictures, recall {figures.recall:.3f}")
    print(f"overlap: median {figures.overlap:.3f}, a quarter below {quarter:.2f}, one in twenty below {low:.2f}")
    print(f"surplus rows: {1000 * figures.surplus / figures.busy:.1f} per 1000 busy pictures")
    print(
        f"empty pictures: {figures.false} of {figures.empty} with a person, highest score {figures.highest_empty:.2f}"
    )


def _print_visits(what: str, times: list[float | None]) -> None:
    happened = [time for time in times if time is not None]
    print(
        f"{what}: {len(happened)} of {len(times)} visits, after {statistics.median(happened):.2f} s in the median, "
        f"{max(happened):.2f} s at the most"
    )


if __name__ == "__main__":
    main()
