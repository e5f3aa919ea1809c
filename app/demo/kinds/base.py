"""Ten everyday kinds the base model learns. Each function returns a product's parts, back to front."""

from __future__ import annotations

from app.demo.scene import View
from app.demo.shapes import (
    Flat,
    Kind,
    Puffed,
    ShapePart,
    Sphere,
    disc,
    ellipse,
    points,
    rectangle,
    smooth,
    smooth_line,
    stroke,
    tube,
    turned,
)

UP = (-0.1, -0.85, 0.5)


def mug(view: View) -> list[ShapePart]:
    if view == "top":
        return [
            ShapePart(rectangle(0.6, -0.13, 1.1, 0.13, 0.08), Puffed(0.1)),
            disc(0, 0, 0.75, 0.75, "main", (0, -0.2, 0.95)),
            disc(0, 0, 0.62, 0.62, "inside", (0, 0.2, 0.9)),
            disc(0.03, 0.05, 0.52, 0.52, "shade", (0, 0.1, 0.9)),
        ]
    loop = points((0.5, -0.42), (0.98, -0.5), (1.16, 0.0), (0.92, 0.5), (0.5, 0.38))
    return [
        tube(loop, 0.17),
        turned(((-0.72, 0.66), (0.45, 0.65), (0.68, 0.62), (0.74, 0.5)), 0.14),
        disc(0, -0.72, 0.66, 0.13, "light", UP),
        disc(0, -0.71, 0.58, 0.1, "inside", (0.2, 0.5, 0.6)),
    ]


def bottle(view: View) -> list[ShapePart]:
    return [
        turned(((-0.8, 0.14), (-0.48, 0.14), (-0.32, 0.36), (-0.14, 0.42), (0.92, 0.42), (0.97, 0.38)), 0.08),
        turned(((0.2, 0.422), (0.6, 0.422)), 0.08, "paper"),
        turned(((-1.0, 0.18), (-0.76, 0.18)), 0.1, "dark"),
    ]


def box(view: View) -> list[ShapePart]:
    if view == "front":
        return [
            ShapePart(points((-0.9, -0.62), (-0.72, -0.95), (0.72, -0.95), (0.9, -0.62)), Flat(UP), "light"),
            ShapePart(points((-0.12, -0.62), (-0.1, -0.95), (0.1, -0.95), (0.12, -0.62)), Flat(UP), "paper"),
            ShapePart(rectangle(-0.9, -0.62, 0.9, 0.75), Flat((0, 0.1, 0.9))),
            ShapePart(rectangle(-0.12, -0.62, 0.12, -0.3), Flat((0, 0.1, 0.9)), "paper"),
        ]
    return [
        ShapePart(points((-0.95, -0.4), (0.05, -0.82), (0.95, -0.45), (-0.1, -0.02)), Flat(UP), "light"),
        ShapePart(points((-0.95, -0.4), (-0.1, -0.02), (-0.1, 0.95), (-0.95, 0.45)), Flat((-0.45, 0, 0.6))),
        ShapePart(points((-0.1, -0.02), (0.95, -0.45), (0.95, 0.42), (-0.1, 0.95)), Flat((0.7, 0.1, 0.5))),
        ShapePart(points((-0.6, -0.243), (0.418, -0.669), (0.575, -0.605), (-0.44, -0.172)), Flat(UP), "paper"),
        ShapePart(points((-0.6, -0.243), (-0.44, -0.172), (-0.44, 0.1), (-0.6, 0.03)), Flat((-0.45, 0, 0.6)), "paper"),
    ]


def bowl(view: View) -> list[ShapePart]:
    return [
        turned(((-0.35, 1.0), (-0.1, 0.98), (0.28, 0.75), (0.45, 0.4), (0.48, 0.36), (0.6, 0.38)), 0.1),
        disc(0, -0.35, 1.0, 0.2, "light", UP),
        disc(0, -0.335, 0.89, 0.155, "inside", (0.2, 0.5, 0.6)),
    ]


def vase(view: View) -> list[ShapePart]:
    return [
        turned(
            (
                (-0.97, 0.36),
                (-0.85, 0.2),
                (-0.55, 0.14),
                (-0.3, 0.3),
                (-0.05, 0.66),
                (0.3, 0.66),
                (0.62, 0.34),
                (0.8, 0.24),
                (0.95, 0.36),
            ),
            0.12,
        ),
        disc(0, -0.97, 0.36, 0.06, "light", UP),
        disc(0, -0.965, 0.29, 0.04, "inside", (0.2, 0.5, 0.6)),
    ]


def jar(view: View) -> list[ShapePart]:
    body = turned(((-0.5, 0.5), (-0.42, 0.66), (-0.3, 0.7), (0.7, 0.7), (0.8, 0.6)), 0.1)
    return [
        body,
        ShapePart(rectangle(-0.4, 0.0, 0.4, 0.46, 0.05), body.surface, "paper"),
        turned(((-0.84, 0.56), (-0.5, 0.56)), 0.1, "steel"),
        disc(0, -0.84, 0.56, 0.07, "steel", UP),
    ]


def plate(view: View) -> list[ShapePart]:
    if view == "top":
        return [
            disc(0, 0, 1.0, 1.0, "main", (-0.2, -0.3, 0.85)),
            disc(0, 0, 0.7, 0.7, "shade", (0.1, 0.1, 0.85)),
            disc(0.015, 0.02, 0.65, 0.65, "light", (-0.15, -0.2, 0.9)),
        ]
    return [
        ShapePart(ellipse(0, 0.12, 0.97, 0.42), Puffed(0.1), "shade"),
        disc(0, 0, 1.0, 0.44, "main", (-0.1, -0.5, 0.7)),
        disc(0, 0.01, 0.68, 0.28, "shade", (0.1, 0.1, 0.85)),
        disc(0, 0.03, 0.64, 0.25, "light", (-0.1, -0.5, 0.7)),
    ]


def ball(view: View) -> list[ShapePart]:
    sphere = Sphere(0, 0, 1, 1)
    left = points((-0.62, -0.78), (-0.2, -0.4), (-0.2, 0.4), (-0.62, 0.78))
    right = points((0.62, -0.78), (0.2, -0.4), (0.2, 0.4), (0.62, 0.78))
    belt = points((-1.0, 0.0), (-0.4, 0.2), (0.4, 0.2), (1.0, 0.0))
    seams = [ShapePart(stroke(smooth_line(line), 0.06), Flat(), "dark") for line in (left, right, belt)]
    return [ShapePart(ellipse(0, 0, 1, 1), sphere), *seams]


def book(view: View) -> list[ShapePart]:
    if view == "front":
        return [
            ShapePart(rectangle(-0.66, -0.96, 0.74, 0.98), Flat((0.3, 0.2, 0.8)), "paper"),
            ShapePart(rectangle(-0.7, -1.0, 0.68, 0.94, 0.04), Flat((0, 0, 1))),
            ShapePart(rectangle(-0.7, -1.0, -0.54, 0.94), Flat((-0.3, 0, 0.3)), "shade"),
            ShapePart(rectangle(-0.3, -0.62, 0.46, -0.24), Flat(), "paper"),
        ]
    return [
        ShapePart(points((-0.85, -0.72), (-0.5, -0.9), (0.72, -0.98), (0.42, -0.83)), Flat(UP), "paper"),
        ShapePart(points((-0.85, -0.72), (-0.5, -0.68), (-0.5, 0.98), (-0.85, 0.82)), Flat((-0.2, 0, 0.3)), "shade"),
        ShapePart(points((-0.5, -0.68), (0.74, -0.96), (0.74, 0.68), (-0.5, 0.98)), Flat((0.1, 0, 1))),
        ShapePart(points((-0.28, -0.42), (0.52, -0.6), (0.52, -0.26), (-0.28, -0.06)), Flat(), "paper"),
    ]


def candle(view: View) -> list[ShapePart]:
    flame = smooth(points((0, -1.15), (0.13, -0.75), (0.1, -0.58), (-0.1, -0.58), (-0.13, -0.75)))
    return [
        turned(((0.72, 0.72), (0.84, 0.64), (0.9, 0.4)), 0.16, "steel"),
        disc(0, 0.72, 0.72, 0.11, "steel", UP),
        turned(((-0.36, 0.4), (0.7, 0.4)), 0.14),
        disc(0, -0.36, 0.4, 0.08, "light", UP),
        ShapePart(rectangle(-0.025, -0.6, 0.025, -0.36), Flat(), "dark"),
        ShapePart(flame, Puffed(0.12), "flame"),
    ]


KINDS: dict[str, Kind] = {
    "mug": Kind(mug, ("side", "top"), ("matte", "glossy", "steel"), frozenset({"top"})),
    "bottle": Kind(bottle, ("front",), ("matte", "glossy", "steel")),
    "box": Kind(box, ("three-quarter", "front"), ("matte", "glossy", "wooden")),
    "bowl": Kind(bowl, ("side",), ("matte", "glossy", "steel", "wooden")),
    "vase": Kind(vase, ("front",), ("matte", "glossy", "wooden")),
    "jar": Kind(jar, ("front",), ("matte", "glossy")),
    "plate": Kind(plate, ("three-quarter", "top"), ("matte", "glossy", "wooden"), frozenset({"top"})),
    "ball": Kind(ball, ("front",), ("matte", "glossy")),
    "book": Kind(book, ("three-quarter", "front"), ("matte", "glossy")),
    "candle": Kind(candle, ("front",), ("matte",)),
}
