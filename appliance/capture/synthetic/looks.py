"""What people look like: drawn once for each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import random

    from appliance.capture.synthetic.light import Rgb

Wear = Literal["jacket", "shirt", "coat", "dress", "hoodie"]
Below = Literal["trousers", "shorts", "skirt"]
Hair = Literal["short", "long", "bun", "bald", "curly"]
Hat = Literal["none", "cap", "beanie", "hood"]
Bag = Literal["none", "backpack", "shoulder"]

_SKINS: tuple[Rgb, ...] = (
    (238, 200, 176), (226, 182, 152), (205, 156, 122), (178, 126, 92), (141, 94, 64), (104, 68, 48), (78, 52, 40),
)  # fmt: skip
_HAIRS: tuple[Rgb, ...] = (
    (32, 26, 24), (52, 36, 28), (88, 58, 36), (132, 92, 54), (196, 160, 104), (150, 146, 142), (120, 54, 30),
)  # fmt: skip
_CLOTHES: tuple[Rgb, ...] = (
    (38, 44, 58), (30, 30, 34), (92, 96, 104), (150, 34, 38), (36, 78, 128), (54, 92, 64), (196, 178, 148),
    (222, 216, 206), (116, 74, 46), (204, 150, 44), (96, 60, 110), (58, 124, 132), (206, 108, 92), (70, 72, 50),
    (166, 176, 188), (214, 136, 150),
)  # fmt: skip
_TROUSERS: tuple[Rgb, ...] = (
    (44, 56, 84), (62, 78, 108), (36, 36, 40), (94, 84, 70), (120, 112, 98), (70, 74, 78), (50, 58, 48),
)  # fmt: skip
_SHOES: tuple[Rgb, ...] = ((34, 30, 30), (82, 56, 38), (206, 204, 198), (52, 56, 66), (140, 40, 40))
COURIER: Rgb = (168, 118, 40)


@dataclass(frozen=True, slots=True)
class Look:
    """One person. Lengths in metres, colours RGB in white light."""

    height: float
    build: float
    """1 is average; it widens all but the head."""
    skin: Rgb
    hair: Rgb
    hair_kind: Hair
    wear: Wear
    top: Rgb
    below: Below
    bottom: Rgb
    shoes: Rgb
    hat: Hat
    hat_colour: Rgb
    bag: Bag
    bag_colour: Rgb
    umbrella: Rgb | None
    gait: float
    """How far arms and legs swing; 1 is average."""


def draw_look(rng: random.Random, *, rain: bool, hour: float) -> Look:
    cold = rng.random() < (0.6 if rain or not 8 <= hour < 20 else 0.35)
    woman = rng.random() < 0.5
    height = min(1.96, max(1.5, rng.gauss(1.68 if woman else 1.79, 0.07)))
    wear: Wear = rng.choice(("jacket", "coat", "coat", "hoodie") if cold else ("shirt", "shirt", "jacket", "hoodie"))
    below: Below = "trousers" if cold or rng.random() < 0.55 else "shorts"
    if woman and rng.random() < 0.4:
        wear, below = ("coat", "skirt") if cold else (rng.choice(("dress", "dress", "shirt")), "skirt")
    hair_kind: Hair = rng.choice(
        ("long", "long", "bun", "curly", "short") if woman else ("short",) * 4 + ("bald", "curly")
    )
    hats: tuple[Hat, ...] = (
        ("hood", "hood", "none", "cap")
        if rain
        else ("beanie", "none", "none", "cap")
        if cold
        else ("none",) * 5 + ("cap",)
    )
    carries = rng.random()
    return Look(
        height=height,
        build=min(1.3, max(0.85, rng.gauss(1.0, 0.1))),
        skin=rng.choice(_SKINS),
        hair=_vary(rng, rng.choice(_HAIRS)),
        hair_kind=hair_kind,
        wear=wear,
        top=_vary(rng, rng.choice(_CLOTHES)),
        below=below,
        bottom=_vary(rng, rng.choice(_TROUSERS if below != "skirt" else _CLOTHES)),
        shoes=rng.choice(_SHOES),
        hat=rng.choice(hats),
        hat_colour=_vary(rng, rng.choice(_CLOTHES)),
        bag="backpack" if carries < 0.2 else "shoulder" if carries < 0.4 else "none",
        bag_colour=_vary(rng, rng.choice(_CLOTHES)),
        umbrella=_vary(rng, rng.choice(_CLOTHES)) if rain and rng.random() < 0.55 else None,
        gait=rng.uniform(0.85, 1.15),
    )


def as_courier(look: Look) -> Look:
    """Return the same person at work."""
    return replace(
        look, wear="jacket", top=COURIER, below="trousers", bottom=(52, 46, 40), hat="cap", hat_colour=COURIER,
        bag="none", umbrella=None, shoes=_SHOES[0],
    )  # fmt: skip


def _vary(rng: random.Random, colour: Rgb) -> Rgb:
    brightness = rng.uniform(0.85, 1.15)
    red, green, blue = (min(240.0, max(18.0, tone * brightness + rng.uniform(-8, 8))) for tone in colour)
    return red, green, blue
