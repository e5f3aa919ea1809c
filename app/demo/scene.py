"""What one drawn product picture shows: a frozen `Scene`, and the palettes it chooses from.

Everything a caption can say about a drawing is a field here, so the truth of every picture is known.
All colours are sRGB triples in 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rgb = tuple[int, int, int]
View = Literal["front", "side", "top", "three-quarter"]
Material = Literal["matte", "glossy", "steel", "wooden"]

COLOURS: dict[str, Rgb] = {
    "red": (214, 38, 40),
    "orange": (247, 135, 22),
    "yellow": (247, 213, 40),
    "green": (48, 160, 66),
    "blue": (34, 98, 212),
    "purple": (128, 56, 168),
    "pink": (246, 128, 176),
    "brown": (122, 74, 40),
    "black": (34, 34, 38),
    "white": (250, 250, 248),
}

BACKGROUNDS: dict[str, Rgb] = {
    "pure white": (255, 255, 255),
    "light grey": (208, 209, 211),
    "beige": (229, 210, 178),
    "pale blue": (186, 214, 240),
    "pale pink": (246, 203, 210),
    "pale green": (194, 226, 194),
    "dark grey": (68, 70, 74),
}
BUSY = "busy"

# Pairs of subject colour and background too close in Lab to make a readable packshot.
UNREADABLE = frozenset(
    {
        ("white", "pure white"),
        ("white", "light grey"),
        ("black", "dark grey"),
        ("brown", "dark grey"),
        ("pink", "pale pink"),
        ("white", BUSY),
    }
)

FRAMINGS: tuple[str, ...] = (
    "centred",
    "left of centre",
    "right of centre",
    "high",
    "low",
    "small in the frame",
    "close up",
    "cropped at the edge",
)

MATERIALS: tuple[Material, ...] = ("matte", "glossy", "steel", "wooden")


@dataclass(frozen=True, slots=True)
class Scene:
    """One product picture, completely described; the same scene always gives the same pixels.

    `centre_x` and `centre_y` are the middle of the product's box as fractions of the frame; `scale` is the
    box's longer side as a fraction of the frame's shorter side. `widening` widens the product a little
    (0.9..1.1), `tint` shifts its lightness (-1..1), `blur` is a defocus radius as a fraction of the shorter side.
    """

    kind: str
    colour: str
    material: Material
    background: str
    view: View
    framing: str
    centre_x: float
    centre_y: float
    scale: float
    shadow: float
    widening: float
    tint: float
    seed: int
    blur: float = 0.0
