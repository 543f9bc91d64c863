"""What can be had: the variants that the rfdetr package exports, and those that are refused. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from appliance.inference.store.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of RF-DETR. AP on COCO and milliseconds on a T4 (TensorRT FP16) are published figures, not ours."""

    name: str
    class_name: str
    side: int
    ap: float
    t4_ms: float


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("nano", "RFDETRNano", 384, 48.4, 2.3),
        Variant("small", "RFDETRSmall", 512, 53.0, 3.5),
        Variant("medium", "RFDETRMedium", 576, 54.7, 4.4),
        Variant("large", "RFDETRLarge", 704, 56.5, 6.8),
    )
}
REFUSED = {
    "xl": "XL",
    "xlarge": "XL",
    "2xl": "2XL",
    "xxl": "2XL",
    "2xlarge": "2XL",
    "xxlarge": "2XL",
}
WHY_REFUSED = (
    "RF-DETR XL and 2XL are not Apache-2.0: Roboflow licenses them, and the package that has them (rfdetr_plus), under "
    "its Platform Model License, which must be agreed to and does not fit an appliance that anybody may run; take large"
)
APACHE = "RF-DETR {name} by Roboflow, Apache-2.0"

_SPELT_OUT = re.compile(r"(?:rf-?detr|^)[-_]?(2xl|xxl|xl)(?:arge)?(?![a-z0-9])")


def variant(name: str) -> Variant:
    """Return the variant called so. RefusedError: there is none, or none that may be used."""
    refuse_platform_models(name)
    found = VARIANTS.get(name.lower())
    if found is None:
        raise RefusedError(f"there is no RF-DETR {name!r}; there are {', '.join(VARIANTS)}")
    return found


def refuse_platform_models(name: str) -> None:
    """RefusedError: the last part of this name or address says that it is an RF-DETR XL or 2XL."""
    last = name.lower().rstrip("/").rpartition("/")[2]
    if last in REFUSED or _SPELT_OUT.search(last):
        raise RefusedError(f"{name}: {WHY_REFUSED}")
