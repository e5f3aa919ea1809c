"""Six kinds the base model has never seen: the demo catalogue's products. Parts are listed back to front."""

from __future__ import annotations

from app.demo.kinds.base import UP
from app.demo.scene import View
from app.demo.shapes import Flat, Kind, Puffed, ShapePart, disc, ellipse, points, rectangle, smooth, tube, turned


def kettle(view: View) -> list[ShapePart]:
    handle = points((-0.5, -0.18), (-0.62, -0.72), (-0.3, -1.06), (0.3, -1.06), (0.62, -0.72), (0.5, -0.18))
    spout = points((-0.45, 0.42), (-0.78, 0.3), (-0.86, -0.1), (-1.12, -0.28))
    return [
        tube(handle, 0.14, "dark"),
        tube(spout, 0.36, "main", 0.13),
        turned(((-0.3, 0.26), (-0.28, 0.42), (-0.1, 0.62), (0.3, 0.8), (0.72, 0.84), (0.8, 0.74)), 0.1),
        turned(((-0.36, 0.24), (-0.3, 0.34), (-0.27, 0.36)), 0.08, "light"),
        ShapePart(ellipse(0, -0.45, 0.1, 0.09), Puffed(0.06), "dark"),
    ]


def lamp(view: View) -> list[ShapePart]:
    return [
        turned(((0.78, 0.12), (0.86, 0.42), (0.93, 0.46)), 0.14),
        turned(((-0.3, 0.055), (0.84, 0.055)), 0.05, "steel"),
        turned(((-0.98, 0.34), (-0.14, 0.8)), 0.1),
        disc(0, -0.98, 0.34, 0.045, "light", UP),
    ]


def chair(view: View) -> list[ShapePart]:
    if view == "side":
        return [
            tube(points((-0.42, 0.1), (-0.48, 0.55), (-0.56, 1.0)), 0.16),
            tube(points((0.46, 0.1), (0.5, 0.55), (0.54, 1.0)), 0.16),
            tube(points((-0.66, -1.0), (-0.56, -0.6), (-0.46, -0.2), (-0.42, 0.1)), 0.22),
            ShapePart(rectangle(-0.55, -0.02, 0.64, 0.2, 0.08), Puffed(0.08), "light"),
        ]
    return [
        tube(points((-0.34, 0.1), (-0.34, 0.4), (-0.34, 0.72)), 0.1, "shade"),
        tube(points((0.5, 0.0), (0.52, 0.4), (0.54, 0.66)), 0.1, "shade"),
        ShapePart(smooth(points((-0.42, -1.02), (0.52, -1.1), (0.56, -0.12), (-0.38, -0.04)), 4), Puffed(0.1)),
        tube(points((-0.38, -0.9), (-0.37, -0.4), (-0.36, 0.1)), 0.11),
        tube(points((0.5, -0.95), (0.51, -0.4), (0.52, 0.05)), 0.11),
        ShapePart(points((-0.66, 0.28), (-0.38, -0.02), (0.56, -0.08), (0.42, 0.22)), Flat(UP), "light"),
        ShapePart(points((-0.66, 0.28), (0.42, 0.22), (0.42, 0.36), (-0.66, 0.42)), Flat((0, 0.1, 0.8))),
        ShapePart(points((0.42, 0.22), (0.56, -0.08), (0.56, 0.06), (0.42, 0.36)), Flat((0.7, 0.1, 0.4)), "shade"),
        tube(points((-0.6, 0.4), (-0.61, 0.7), (-0.62, 1.05)), 0.12),
        tube(points((0.36, 0.34), (0.37, 0.65), (0.38, 0.98)), 0.12),
    ]


def backpack(view: View) -> list[ShapePart]:
    grip = points((-0.2, -0.72), (-0.2, -1.02), (0.2, -1.02), (0.2, -0.72))
    if view == "side":
        body = points((-0.3, -0.8), (0.1, -0.86), (0.44, -0.5), (0.52, 0.3), (0.46, 0.9), (-0.36, 0.9), (-0.42, 0.0))
        pocket = points((0.36, 0.02), (0.72, 0.1), (0.74, 0.8), (0.36, 0.84))
        strap = points((-0.22, -0.7), (-0.78, -0.5), (-0.84, 0.3), (-0.34, 0.74))
        return [
            tube(strap, 0.14, "dark"),
            ShapePart(smooth(pocket, 2), Puffed(0.12), "shade"),
            ShapePart(smooth(body), Puffed(0.22)),
            tube(points((-0.1, -0.7), (0.26, -0.6), (0.3, 0.1)), 0.05, "dark"),
        ]
    body = points((-0.5, -0.82), (0.5, -0.82), (0.68, -0.4), (0.74, 0.9), (-0.74, 0.9), (-0.68, -0.4))
    return [
        tube(grip, 0.11, "dark"),
        tube(points((-0.6, -0.3), (-0.92, 0.1), (-0.88, 0.55), (-0.45, 0.76)), 0.15, "dark"),
        tube(points((0.6, -0.3), (0.92, 0.1), (0.88, 0.55), (0.45, 0.76)), 0.15, "dark"),
        ShapePart(smooth(body), Puffed(0.24)),
        tube(points((-0.44, -0.2), (-0.4, -0.54), (0.4, -0.54), (0.44, -0.2)), 0.05, "dark"),
        ShapePart(rectangle(-0.5, 0.14, 0.5, 0.76, 0.14), Puffed(0.14), "light"),
        ShapePart(rectangle(-0.42, 0.26, 0.42, 0.31), Flat(), "dark"),
    ]


def sneaker(view: View) -> list[ShapePart]:
    if view == "top":
        sole = points(
            (-0.06, -1.02),
            (0.34, -0.8),
            (0.42, -0.3),
            (0.3, 0.3),
            (0.34, 0.8),
            (0.0, 1.05),
            (-0.34, 0.8),
            (-0.28, 0.3),
            (-0.4, -0.3),
            (-0.36, -0.8),
        )
        laces = [tube(points((-0.17, y), (0.0, y - 0.02), (0.17, y)), 0.06, "paper") for y in (-0.42, -0.26, -0.1)]
        return [
            ShapePart(smooth(sole), Puffed(0.06), "paper"),
            ShapePart(smooth(sole * (0.88, 0.95)), Puffed(0.2)),
            ShapePart(ellipse(0, 0.42, 0.2, 0.4), Flat((0, 0.5, 0.5)), "dark"),
            *laces,
        ]
    upper = points(
        (-0.98, -0.5),
        (-0.62, -0.56),
        (-0.3, -0.5),
        (0.0, -0.24),
        (0.42, -0.06),
        (0.86, 0.04),
        (1.06, 0.24),
        (1.06, 0.46),
        (-1.0, 0.46),
        (-0.92, 0.0),
    )
    sole = points((-1.04, 0.3), (1.1, 0.3), (1.16, 0.46), (1.02, 0.58), (-1.0, 0.58), (-1.1, 0.46))
    toe = points((0.66, 0.0), (0.9, 0.06), (1.08, 0.24), (1.08, 0.4), (0.62, 0.4))
    laces = [
        tube(points((x, y), (x + 0.07, y + 0.1), (x + 0.06, y + 0.2)), 0.065, "paper")
        for x, y in ((-0.14, -0.34), (0.04, -0.22), (0.22, -0.14))
    ]
    return [
        ShapePart(ellipse(-0.62, -0.49, 0.29, 0.07), Flat((0, 0.5, 0.5)), "dark"),
        ShapePart(smooth(upper), Puffed(0.16)),
        ShapePart(smooth(toe, 2), Puffed(0.12), "light"),
        tube(points((-0.72, 0.2), (-0.3, 0.2), (0.08, 0.02)), 0.09, "paper"),
        *laces,
        ShapePart(smooth(sole, 2), Puffed(0.06), "paper"),
    ]


def watch(view: View) -> list[ShapePart]:
    strap_up = points((-0.27, -1.05), (0.27, -1.05), (0.36, -0.4), (-0.36, -0.4))
    strap_down = points(
        (-0.36, 0.3), (0.36, 0.3), (0.36, 0.45), (0.26, 0.98), (0.1, 1.12), (-0.1, 1.12), (-0.26, 0.98), (-0.36, 0.45)
    )
    return [
        ShapePart(strap_up, Puffed(0.1)),
        ShapePart(smooth(strap_down, 2), Puffed(0.1)),
        ShapePart(rectangle(0.5, -0.08, 0.66, 0.08, 0.03), Puffed(0.05), "steel"),
        ShapePart(ellipse(0, 0, 0.58, 0.58), Puffed(0.1), "steel"),
        disc(0, 0, 0.46, 0.46, "dark", (-0.1, -0.2, 0.9)),
        disc(0, 0, 0.42, 0.42, "light", (-0.1, -0.2, 0.9)),
        tube(points((0, 0.04), (0, -0.15), (0, -0.32)), 0.08, "paper"),
        tube(points((-0.03, 0), (0.1, 0.05), (0.24, 0.12)), 0.08, "paper"),
    ]


KINDS: dict[str, Kind] = {
    "kettle": Kind(kettle, ("side",), ("matte", "glossy", "steel")),
    "lamp": Kind(lamp, ("front",), ("matte", "glossy", "steel")),
    "chair": Kind(chair, ("three-quarter", "side"), ("matte", "glossy", "wooden")),
    "backpack": Kind(backpack, ("front", "side"), ("matte", "glossy")),
    "sneaker": Kind(sneaker, ("side", "top"), ("matte", "glossy"), frozenset({"top"})),
    "watch": Kind(watch, ("front",), ("matte", "glossy"), frozenset({"front"})),
}
