"""Do a model and its int8 form see the same? Answers to the same pictures in, figures out. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from appliance.inference.selftest import overlap

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from appliance.inference.selftest import Answer, Find

LEAST = 0.95
"""Below this share of finds in common a form is refused."""
OVERLAP = 0.5
"""Two boxes are of the same thing from this intersection over union on: COCO's own measure."""
SLACK = 0.15
"""A find counts from the threshold on, and is found by the other down to so much below: who stands at the threshold
would else be lost by the last bit."""
LEAST_FINDS = 10
"""Of the model, in all the pictures held back; fewer say nothing."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """`shared` of `finds` (of either, from the threshold on) are the other's too.

    `overlap` is the median of their boxes', 0..1. `presence` of `pictures` have somebody in both or in neither.
    """

    pictures: int
    finds: int
    shared: int
    presence: int
    overlap: float

    @property
    def share(self) -> float:
        """0..1; 0 where there are no finds."""
        return self.shared / self.finds if self.finds else 0.0

    def complaint(self) -> str:
        """Return why the form must not be used; empty: it may."""
        if self.share < LEAST:
            return f"it agrees in {self.share:.1%} of {self.finds} finds, and {LEAST:.0%} are asked"
        if self.presence < LEAST * self.pictures:
            return f"it agrees on whether somebody is there in {self.presence} of {self.pictures} pictures"
        return ""

    def __str__(self) -> str:
        return (
            f"{self.share:.1%} of {self.finds} finds in common, median overlap of their boxes {self.overlap:.2f}, "
            f"somebody or nobody there alike in {self.presence} of {self.pictures} pictures"
        )


def too_few(answers: Sequence[Answer], threshold: float, somebody: Collection[int]) -> str:
    """Return that the model's finds in the pictures held back are too few to judge by; empty: they are enough."""
    there = sum(len(_counted(answer, threshold, somebody)) for answer in answers)
    if there >= LEAST_FINDS:
        return ""
    return (
        f"in the {len(answers)} pictures held back the model sees somebody {there} times, and it takes {LEAST_FINDS} "
        "to judge: give more pictures with people in them"
    )


def agreement(
    before: Sequence[Answer], after: Sequence[Answer], threshold: float, somebody: Collection[int]
) -> Agreement:
    """Compare the answers to the same pictures. `somebody` are the class ids that count; a parked car is none."""
    overlaps: list[float] = []
    finds = presence = 0
    for old, new in zip(before, after, strict=True):
        presence += bool(_counted(old, threshold, somebody)) == bool(_counted(new, threshold, somebody))
        for mine, other in ((old, new), (new, old)):
            counted = _counted(mine, threshold, somebody)
            finds += len(counted)
            fits = (_best(find, other.finds, threshold - SLACK) for find in counted)
            overlaps += [fit for fit in fits if fit >= OVERLAP]
    return Agreement(len(before), finds, len(overlaps), presence, median(overlaps) if overlaps else 0.0)


def _counted(answer: Answer, threshold: float, somebody: Collection[int]) -> list[Find]:
    return [find for find in answer.finds if find.score >= threshold and find.class_id in somebody]


def _best(find: Find, others: Sequence[Find], least: float) -> float:
    alike = (other for other in others if other.class_id == find.class_id and other.score >= least)
    return max((overlap(find.box, other.box) for other in alike), default=0.0)
