"""Pictures whose faults are known, drawn: the cases that research on comparing checkpoints names (4.2), and some more.

Each is a product on plain ground as a model would draw it, with what its prompt asks for, the check that has to fail,
and the checks that have to pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter, ImageFont

Picture = Pillow.Image
Box = tuple[float, float, float, float]

PACKSHOT: Final[dict[str, Any]] = {"background": "white", "count": 1}
RED: Final = (196, 42, 40)
BLUE: Final = (40, 82, 176)
GOOD: Final[Box] = (0.06, 0.16, 0.94, 0.84)


@dataclass(frozen=True)
class DrawnCase:
    """A picture, what is asked for, and what has to come of it: the checks that fail, and those that may."""

    name: str
    picture: Callable[[int], Picture]
    atoms: dict[str, Any] = field(default_factory=lambda: dict(PACKSHOT))
    fails: tuple[str, ...] = ()  # each of these
    may_fail: tuple[str, ...] = ()  # follows from the fault, or may


def paper(side: int, ground: tuple[int, int, int] = (255, 255, 255)) -> Picture:
    """Plain ground."""
    return Pillow.new("RGB", (side, side), ground)


def put(picture: Picture, box: Box, colour: tuple[int, int, int] = RED, handle: bool = False) -> Picture:
    """A mug: a body with rounded corners that light falls on from the left, a dark rim, and maybe a handle."""
    side = picture.width
    scale = 4 if side < 1024 else 2
    large = Pillow.new("L", (side * scale, side * scale))
    x0, y0, x1, y1 = (edge * side * scale for edge in box)
    draw = ImageDraw.Draw(large)
    right = x1 - (x1 - x0) * 0.25 if handle else x1
    draw.rounded_rectangle((x0, y0, right, y1), radius=(x1 - x0) / 8, fill=255)
    if handle:
        thick = round((x1 - x0) * 0.07)
        draw.ellipse((right - (x1 - right), y0 + (y1 - y0) * 0.2, x1, y0 + (y1 - y0) * 0.8), outline=255, width=thick)
        draw.rounded_rectangle((x0, y0, right, y1), radius=(x1 - x0) / 8, fill=255)
    mask = large.resize(picture.size, Pillow.Resampling.LANCZOS)
    lit = np.linspace(1.12, 0.72, side)[None, :, None] * np.array(colour, dtype=np.float64)
    body = np.broadcast_to(lit, (side, side, 3)).copy()
    top, rim = round(box[1] * side), max(2, round((box[3] - box[1]) * side / 16))
    body[top : top + rim] *= 0.7
    stripe = round((box[1] + (box[3] - box[1]) * 0.6) * side)
    body[stripe : stripe + rim] *= 0.85
    painted = Pillow.fromarray(np.clip(body, 0, 255).astype(np.uint8))
    picture.paste(painted, (0, 0), mask)
    return picture


def good(side: int) -> Picture:
    """A red mug as a marketplace wants it."""
    return put(paper(side), GOOD)


def on_grey(level: int) -> Callable[[int], Picture]:
    """The mug on a uniform grey."""
    return lambda side: put(paper(side, (level, level, level)), GOOD)


def on_gradient(fall: int) -> Callable[[int], Picture]:
    """The mug on white that falls off to the bottom by so many levels."""

    def drawn(side: int) -> Picture:
        levels = np.linspace(255, 255 - fall, side)[:, None, None]
        ground = np.broadcast_to(levels, (side, side, 3)).round().astype(np.uint8)
        return put(Pillow.fromarray(ground.copy()), GOOD)

    return drawn


def at(*boxes: Box, colour: tuple[int, int, int] = RED) -> Callable[[int], Picture]:
    """Mugs at these boxes."""

    def drawn(side: int) -> Picture:
        picture = paper(side)
        for box in boxes:
            put(picture, box, colour)
        return picture

    return drawn


def with_shadow(side: int) -> Picture:
    """The mug above a soft contact shadow."""
    picture = paper(side)
    x0, _, x1, y1 = (edge * side for edge in GOOD)
    high = side * 0.05
    ImageDraw.Draw(picture).ellipse((x0 + side * 0.06, y1 - high, x1 - side * 0.06, y1 + high), fill=(205, 205, 205))
    return put(picture.filter(ImageFilter.GaussianBlur(side * 0.012)), GOOD)


def noisy(side: int) -> Picture:
    """The mug as a decoder gives it: noise of 1.5 levels on white and product alike."""
    pixels = np.asarray(good(side), dtype=np.float64)
    rough = pixels + np.random.default_rng(7).normal(0, 1.5, pixels.shape)
    return Pillow.fromarray(np.clip(np.rint(rough), 0, 255).astype(np.uint8))


def blurred(share: float) -> Callable[[int], Picture]:
    """The mug out of focus, by a share of the side."""
    return lambda side: good(side).filter(ImageFilter.GaussianBlur(side * share))


def lettered(
    text: str, place: tuple[float, float], high: float = 0.045, colour: str = "black"
) -> Callable[[int], Picture]:
    """The mug with a line of text at a place of the frame."""

    def drawn(side: int) -> Picture:
        picture = put(paper(side), (0.06, 0.2, 0.94, 0.82))
        font = ImageFont.load_default(size=max(10, round(side * high)))
        ImageDraw.Draw(picture).text((place[0] * side, place[1] * side), text, fill=colour, font=font)
        return picture

    return drawn


def tiled(side: int) -> Picture:
    """The mug under a text that stands all over."""
    picture = good(side)
    ink = Pillow.new("RGBA", picture.size)
    draw, font = ImageDraw.Draw(ink), ImageFont.load_default(size=round(side * 0.045))
    for row in range(10):
        for column in range(4):
            draw.text(
                ((column + row % 2 / 2) * side / 3.4, row * side / 9), "stockphoto.com", (120, 120, 120, 150), font=font
            )
    return Pillow.alpha_composite(picture.convert("RGBA"), ink).convert("RGB")


def framed(share: float) -> Callable[[int], Picture]:
    """The mug in a dark frame as wide as a share of the side."""

    def drawn(side: int) -> Picture:
        picture = put(paper(side), (0.1, 0.2, 0.9, 0.8))
        ImageDraw.Draw(picture).rectangle(
            (0, 0, side - 1, side - 1), outline=(30, 30, 30), width=max(2, round(side * share))
        )
        return picture

    return drawn


def with_inset(side: int) -> Picture:
    """Two pictures beside each other."""
    picture = paper(side)
    half = side // 2
    put(picture, (0.03, 0.3, 0.47, 0.7))
    wood = Pillow.new("RGB", (side - half, side), (150, 110, 70))
    picture.paste(wood, (half, 0))
    return put(picture, (0.56, 0.3, 0.95, 0.7))


def scene(side: int) -> Picture:
    """The mug on a table before a wall with tiles."""
    rng = np.random.default_rng(3)
    picture = paper(side, (120, 150, 140))
    draw = ImageDraw.Draw(picture)
    step = side // 8
    for row in range(5):
        for column in range(8):
            shade = tuple(int(each) for each in rng.integers(70, 210, 3))
            draw.rectangle((column * step, row * step, column * step + step - 4, row * step + step - 4), fill=shade)
    draw.rectangle((0, side * 0.62, side, side), fill=(120, 80, 45))
    for line in range(12):
        y = side * (0.62 + line * 0.032)
        draw.line((0, y, side, y + side * 0.01), fill=(95, 60, 32), width=max(2, side // 200))
    return put(picture, (0.3, 0.35, 0.7, 0.8))


def disc(level: int, ground: int = 255, edge: int = 0) -> Callable[[int], Picture]:
    """A pale disc on white ground, 0.9 of the frame, with an edge so many levels darker."""

    def drawn(side: int) -> Picture:
        picture = paper(side, (ground, ground, ground))
        box = (side * 0.05, side * 0.05, side * 0.95, side * 0.95)
        shade = (level - edge,) * 3
        ImageDraw.Draw(picture).ellipse(
            box, fill=(level,) * 3, outline=shade if edge else None, width=max(2, side // 120)
        )
        return picture

    return drawn


def transparent(side: int) -> Picture:
    """The mug cut out, without ground, as an RGBA picture laid on white by whoever decodes it."""
    picture = good(side).convert("RGBA")
    pixels = np.asarray(picture).copy()
    pixels[..., 3] = np.where(pixels[..., :3].min(axis=2) > 250, 0, 255)
    return Pillow.fromarray(pixels)


ASKED_BLUE: Final = PACKSHOT | {"colour": "blue"}
TWO: Final = ((0.04, 0.3, 0.46, 0.7), (0.54, 0.3, 0.96, 0.7))
THREE: Final = ((0.06, 0.38, 0.32, 0.64), (0.37, 0.38, 0.63, 0.64), (0.68, 0.38, 0.94, 0.64))
FOLLOW_A_FRAME: Final = ("cropped", "whiteness", "off_white", "background", "count", "props", "fill_most")
CASES: Final[tuple[DrawnCase, ...]] = (
    DrawnCase("good", good),
    DrawnCase("good, red asked for", good, PACKSHOT | {"colour": "red"}),
    DrawnCase("good, three asked for and drawn", at(*THREE), {"background": "white", "count": 3}),
    DrawnCase("contact shadow", with_shadow),
    DrawnCase("noisy white", noisy),
    DrawnCase("handle with a hole", lambda side: put(paper(side), GOOD, handle=True)),
    DrawnCase("transparent", transparent),
    DrawnCase("too small", at((0.4, 0.42, 0.6, 0.58)), fails=("fill_least",)),
    DrawnCase("off centre", at((0.02, 0.02, 0.7, 0.62)), fails=("centring",), may_fail=("fill_least",)),
    DrawnCase("clipped", at((0.3, 0.2, 1.2, 0.8)), fails=("cropped",), may_fail=("centring", "fill_least")),
    DrawnCase("grey 245", on_grey(245), fails=("whiteness",), may_fail=("off_white",)),
    DrawnCase("grey 235", on_grey(235), fails=("whiteness", "off_white"), may_fail=("background",)),
    DrawnCase("gradient 10", on_gradient(10), fails=("whiteness",), may_fail=("off_white",)),
    DrawnCase("gradient 25", on_gradient(25), fails=("whiteness", "off_white"), may_fail=("background",)),
    DrawnCase("two objects", at(*TWO), fails=("props", "count")),
    DrawnCase(
        "a small prop", at((0.04, 0.2, 0.72, 0.8), (0.78, 0.62, 0.97, 0.8)), fails=("props",), may_fail=("count",)
    ),
    DrawnCase("two where three are asked for", at(*TWO), {"background": "white", "count": 3}, fails=("count",)),
    DrawnCase("thin frame", framed(0.006), fails=("border",), may_fail=FOLLOW_A_FRAME),
    DrawnCase("hairline frame", framed(0.003), fails=("border",), may_fail=FOLLOW_A_FRAME),
    DrawnCase("wide frame", framed(0.03), fails=("border",), may_fail=FOLLOW_A_FRAME),
    DrawnCase(
        "inset picture",
        with_inset,
        fails=("inset",),
        may_fail=(
            "props",
            "count",
            "whiteness",
            "off_white",
            "background",
            "cropped",
            "fill_least",
            "centring",
            "colour",
        ),
    ),
    DrawnCase(
        "a scene",
        scene,
        fails=("whiteness", "off_white"),
        may_fail=("background", "count", "props", "cropped", "fill_least", "inset", "centring"),
    ),
    DrawnCase("a packshot where a scene is asked for", good, {"background": "scene"}, fails=("background",)),
    DrawnCase("wrong colour", at(GOOD, colour=RED), ASKED_BLUE, fails=("colour",)),
    DrawnCase("blurred", blurred(0.02), fails=("sharpness",), may_fail=("fill_most",)),
    DrawnCase(
        "text in the corner", lettered("SUMMER SALE", (0.03, 0.04)), fails=("text_beside",), may_fail=("props", "count")
    ),
    DrawnCase("watermark", lettered("© stockphoto.com", (0.3, 0.48), colour="white"), fails=("watermark",)),
    DrawnCase(
        "tiled watermark",
        tiled,
        fails=("watermark",),
        may_fail=("text_beside", "props", "count", "whiteness", "cropped", "background", "off_white", "fill_most"),
    ),
    DrawnCase("label as asked for", lettered("FRESH", (0.3, 0.42), 0.12, "white"), {"text": "FRESH"}),
    DrawnCase("another label", lettered("FRIHS", (0.3, 0.42), 0.12, "white"), {"text": "NORTH"}, fails=("text",)),
    DrawnCase("no label", good, {"text": "NORTH"}, fails=("text",)),
    DrawnCase(
        "a text where none is wanted",
        lettered("FRESH", (0.3, 0.42), 0.12, "white"),
        PACKSHOT | {"absent": ["text"]},
        fails=("no_text",),
    ),
    DrawnCase("a shadow where none is wanted", with_shadow, PACKSHOT | {"absent": ["shadow"]}, fails=("no_shadow",)),
    DrawnCase("white on white", disc(252)),
    DrawnCase("cream on white", disc(243)),
    DrawnCase("nothing at all", lambda side: paper(side)),
)
