"""How many things a caption says there are, where it says so plainly: "Two mugs", "A pair of boots". Pure, English."""

from __future__ import annotations

import re
from typing import Final

_NUMBERS: Final = {
    "single": 1, "one": 1, "pair": 2, "couple": 2, "two": 2, "three": 3, "trio": 3, "four": 4, "five": 5, "six": 6,
    "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6,
}  # fmt: skip
# At the head: behind "A photo of", before commas and parts ("with two handles" counts no kettles).
_COUNT: Final = re.compile(
    r"^\W*(?:(?:an?|the|this)\s+)?(?:[\w-]+\s+)?(?:(?:photo|photograph|picture|image|shot|view|packshot)\s+(?:of|showing)\s+)?"
    rf"(?:(?:an?|the|these|just|only|exactly|set of|group of|matching)\s+)*({'|'.join(_NUMBERS)})\s+(?:of\s+)?"
    r"((?:[\w-]+\s*){1,6})"
)
# What is one piece and called a pair; and words behind a number that count something else.
_ONE_PIECE: Final = frozenset(
    [
        "jeans",
        "trousers",
        "pants",
        "shorts",
        "leggings",
        "chinos",
        "joggers",
        "tights",
        "overalls",
        "dungarees",
        "glasses",
        "sunglasses",
        "goggles",
        "spectacles",
        "scissors",
        "pliers",
        "tweezers",
        "tongs",
        "binoculars",
        "headphones",
        "shears",
        "clippers",
        "compasses",
        "pyjamas",
        "pajamas",
        "briefs",
        "boxers",
    ]
)
_OTHER: Final = frozenset(
    [
        "tone",
        "toned",
        "colour",
        "color",
        "colours",
        "colors",
        "way",
        "ways",
        "piece",
        "size",
        "layer",
        "layers",
        "sided",
        "seater",
        "door",
        "button",
        "buttons",
        "pack",
        "packs",
        "l",
        "ml",
        "cl",
        "kg",
        "g",
        "mm",
        "cm",
        "m",
        "in",
        "inch",
        "inches",
        "oz",
        "lb",
        "litre",
        "litres",
        "liter",
        "liters",
        "person",
        "shoulder",
        "quarter",
    ]
)


def count_said(caption: str) -> tuple[str, int] | None:
    """How many things the caption says there are: its word, and the number.

    None where it makes no plain claim of one to six things.
    """
    head = re.split(r"[,;.:()]|\bwith\b|\bfeaturing\b|\band\b", caption.lower(), maxsplit=1)[0]
    match = _COUNT.match(head)
    if match is None:
        return None
    word, things = match.group(1), re.split(r"\b(?:on|against|in|over|at|by|for|from)\b", match.group(2))[0].split()
    if not things or things[0] in _OTHER or not _ONE_PIECE.isdisjoint(things):
        return None
    # "A single pair of boots", "two pairs of socks": how many pieces that is depends on the thing.
    if things[0] in ("pair", "pairs", "set", "sets", "box", "boxes", "bag", "bags"):
        return None
    return word, _NUMBERS[word]
