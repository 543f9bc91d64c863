"""COCO's category ids and names: what an RF-DETR model knows that brings no names of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_GROUPS = (
    (1, "person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant"),
    (13, "stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe"),
    (27, "backpack umbrella"),
    (31, "handbag tie suitcase frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard"),
    (42, "surfboard tennis_racket bottle"),
    (46, "wine_glass cup fork knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake"),
    (62, "chair couch potted_plant bed"),
    (67, "dining_table"),
    (70, "toilet"),
    (72, "tv laptop mouse remote keyboard cell_phone microwave oven toaster sink refrigerator"),
    (84, "book clock vase scissors teddy_bear hair_drier toothbrush"),
)
"""Each run of ids by its first; ids 12, 26, 29, 30, 45, 66, 68, 69, 71 and 83 were never given out."""

NAMES: Mapping[int, str] = {
    first + place: word.replace("_", " ") for first, words in _GROUPS for place, word in enumerate(words.split())
}
PERSON = 1
COLUMNS = 91
"""Of a COCO model's `labels`: a column for each category id from 0 to 90."""
