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
LEAST_FINDS = 20
"""Fewer in all the pictures held back say nothing."""


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
        """Return why the form must not be used, or what would have to be known to say so; empty: it may."""
        if self.finds < LEAST_FINDS:
            return (
                f"in the {self.pictures} pictures held back there are {self.finds} finds, and it takes {LEAST_FINDS} "
                "to judge: give more pictures with people in them"
            )
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


def agreement(
    before: Sequence[Answer], after: Sequence[Answer], threshold: float, people: Collection[int]
) -> Agreement:
    """Compare the answers to the same pictures. `people` are the class ids that are somebody."""
    overlaps: list[float] = []
    finds = presence = 0
    for old, new in zip(before, after, strict=True):
        presence += _somebody(old, threshold, people) == _somebody(new, threshold, people)
        for mine, other in ((old, new), (new, old)):
            counted = [find for find in mine.finds if find.score >= threshold]
            finds += len(counted)
            fits = (_best(find, other.finds, threshold - SLACK) for find in counted)
            overlaps += [fit for fit in fits if fit >= OVERLAP]
    return Agreement(len(before), finds, len(overlaps), presence, median(overlaps) if overlaps else 0.0)


def _best(find: Find, others: Sequence[Find], least: float) -> float:
    alike = (other for other in others if other.class_id == find.class_id and other.score >= least)
    return max((overlap(find.box, other.box) for other in alike), default=0.0)


def _somebody(answer: Answer, threshold: float, people: Collection[int]) -> bool:
    return any(find.class_id in people and find.score >= threshold for find in answer.finds)
