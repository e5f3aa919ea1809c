"""What is drawn over a photo to show why it was measured so: for each signal its own, and what was found as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.catalog import lettering, text_kinds
from app.catalog.drawing import Mark
from app.catalog.measures import SCALE_OF
from app.catalog.outlines import Points, area_of, outer_rings
from app.catalog.tables import Image, Lettering, Signals
from app.catalog.text_lines import Box, TextLine
from app.review.rules import LIMITS
from app.selection.keys import KEYS
from app.selection.kinds import Key, Measure, OneOf
from app.web.views.measures import title_of

# What is less is measured, and nothing that an eye would find: not drawn unless somebody asks for that signal alone.
BLOCKS_SHOW: Final = LIMITS["blocky_above"].usual
SHADOW_SHOWS: Final = 2.0
SHADOW_DEEP: Final = 0.04  # of the subject, as `workers/signals/light.py` looks for it
PART_SHARE: Final = 0.15  # of the largest, as `workers/signals/layout.py` counts them
OVERVIEW: Final = "all"
KIND_WORDS: Final[dict[str, str]] = {"price": "a price", "watermark": "a watermark", "text": "other text"}


@dataclass(frozen=True)
class Overlay:
    """How one signal is shown over a photo. `parts` are those of the drawing (`templates/catalog/_evidence.html`),
    `mark` what is marked pixel by pixel; `shows` says what one sees, `untold` why it may be that nobody can tell."""

    shows: str
    parts: tuple[str, ...] = ()
    mark: Mark | None = None
    untold: str = "No subject was told from its background."


_UNMEASURED: Final = "It was not measured yet."
_UNREAD: Final = "The text in it was not read yet."
# By the key of the filter language that asks for the signal.
OVERLAYS: Final[dict[str, Overlay]] = {
    "background": Overlay("What counts as background.", mark="ground"),
    "backdrop": Overlay("What counts as background, whose middle colour it is.", mark="ground"),
    "cropped": Overlay("The edges of the frame that the subject touches.", ("outline", "sides")),
    "colour": Overlay(
        "What has the subject’s leading colour; in the square, that colour.", ("outline",), "colour",
        untold="No colour has a third of the subject, or no subject was told.",
    ),
    "contrast": Overlay("What differs most from one smooth surface.", mark="differing", untold=_UNMEASURED),
    "sharpness": Overlay(
        "The strongest edges, by which it was measured.", ("outline",), "edges",
        untold="No edge is strong enough to be told from noise.",
    ),
    "detail": Overlay(
        "All of the detail would fit into this frame.", ("room",), untold="The photo is too small or too flat for it.",
    ),
    "blockiness": Overlay("Steps along a grid of 8 px.", mark="blocks", untold="The photo is too small or too flat."),
    "brightness": Overlay("The subject; in the square, its middle lightness.", ("outline",)),
    "clipped": Overlay("Pixels of the subject that are white in all channels.", ("outline",), "light"),
    "crushed": Overlay("Pixels of the subject that are black in all channels.", ("outline",), "dark"),
    "shadow": Overlay(
        "The band below the subject that was held against the ground.", ("outline", "shadow"),
        untold="It is told on plain ground alone, and where there is some below the subject.",
    ),
    "chroma": Overlay("The most colourful hundredth.", mark="colourful", untold=_UNMEASURED),
    "fill": Overlay("The subject’s box.", ("box",)),
    "coverage": Overlay("What the subject covers.", ("outline", "area")),
    "offsetx": Overlay("From the frame’s middle to the subject’s.", ("box", "centres")),
    "offsety": Overlay("From the frame’s middle to the subject’s.", ("box", "centres")),
    "offwhite": Overlay("Background that is not pure white.", mark="offwhite"),
    "whiteness": Overlay("Background that is not pure white.", mark="offwhite"),
    "uniformity": Overlay("The tenth of the background that is furthest from its middle colour.", mark="uneven"),
    "border": Overlay("Where bars or a frame end.", ("border",), untold="The photo is too small for it."),
    "seam": Overlay(
        "Lines along which two pictures seem to meet, from 70 % of the frame on.", ("seam",),
        untold="The photo is too small for it.",
    ),
    "parts": Overlay("Each part of the subject that counts.", ("parts",)),
    "outline": Overlay("The outline that all else rests on.", ("outline",)),
    "lettering": Overlay("Text that was read; dashed where it stands beside the product.", ("text",), untold=_UNREAD),
    "writing": Overlay("Text that was read, and text that stands all over the picture.", ("text",), untold=_UNREAD),
    "textshare": Overlay("What the text covers.", ("text", "ink"), untold=_UNREAD),
    "width": Overlay("The whole picture.", ("size",)),
    "height": Overlay("The whole picture.", ("size",)),
    "longside": Overlay("The whole picture.", ("size",)),
    "shortside": Overlay("The whole picture.", ("size",)),
    "ratio": Overlay("The whole picture.", ("size",)),
    "size": Overlay("The whole picture, as its file came.", ("size",)),
    "apart": Overlay(
        "It is of the whole picture: what looks most like it stands under “Similar photos”.", ("size",),
        untold="It is not on the map of the catalog, or the only photo there.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class SignalShown:
    """One signal of one photo as people may choose it: its key, its name, its value, what is drawn, or why nobody can
    tell. `swatch` is a colour that CSS knows."""

    key: str
    title: str
    value: str
    says: str
    is_told: bool
    swatch: str = ""


@dataclass(frozen=True)
class Evidence:
    """What is drawn over a photo, in shares of the frame.

    `outline` is a path in thousandths of it; `lines` are ends of borders and seams, each with a kind, "x" or "y" and a
    place. `shadow_deep` is how far below the outline the shadow was looked for, None where it could not be. `marks` are
    what `/images/N/evidence` shows of all signals together: `light`, `dark`, `blocks`. `box` is the subject's, `sides`
    are the frame's edges that it touches, `parts` the boxes of its separate parts, `room` is the share of the frame's
    sides that its detail would fill.
    """

    outline: str = ""
    lines: tuple[tuple[str, str, float], ...] = ()
    texts: tuple[TextLine, ...] = ()
    shadow_deep: float | None = None
    has_shadow: bool = False
    marks: tuple[Mark, ...] = ()
    box: Box | None = None
    sides: tuple[str, ...] = ()
    parts: tuple[Box, ...] = ()
    room: float | None = None
    signals: tuple[SignalShown, ...] = ()

    @property
    def is_any(self) -> bool:
        """Whether there is anything to draw of all signals together."""
        return bool(self.outline or self.lines or self.texts or self.marks)

    def of(self, part: str, is_found: bool = False) -> str:
        """The signals with which a part of the drawing is shown; `is_found`: also where all are shown together."""
        names = [signal.key for signal in self._told if part in OVERLAYS[signal.key].parts]
        return " ".join([OVERVIEW] * is_found + names)

    @property
    def marked(self) -> str:
        """The signals that are shown pixel by pixel."""
        names = [signal.key for signal in self._told if OVERLAYS[signal.key].mark]
        return " ".join([OVERVIEW] * bool(self.marks) + names)

    @property
    def _told(self) -> list[SignalShown]:
        return [signal for signal in self.signals if signal.is_told]


def read(image: Image, signals: Signals | None, read_text: Lettering | None, apart: float | None) -> Evidence:
    """What there is to draw over a photo. `apart`: see `PhotoMap`."""
    of_lines = lettering.lines_of(read_text) if read_text else []
    texts = tuple(line for line, kind in zip(of_lines, text_kinds.kinds_of(of_lines), strict=True) if kind)
    shown = tuple(_shown(key, value, signals) for key, value in values_of(image, signals, read_text, apart).items())
    if signals is None:
        return Evidence(texts=texts, signals=shown)
    box = None if signals.box is None else (signals.box[0], signals.box[1], signals.box[2], signals.box[3])
    return Evidence(
        outline=signals.outline or "",
        lines=tuple(
            (kind, axis, place)
            for kind, of_kind in (("border", signals.border_lines), ("seam", signals.seam_lines))
            for axis, place in of_kind
        ),
        texts=texts,
        shadow_deep=round(SHADOW_DEEP * max(box[2] - box[0], box[3] - box[1]), 4) if box else None,
        has_shadow=(signals.shadow or 0.0) >= SHADOW_SHOWS,
        marks=marks_of(signals),
        box=box,
        sides=tuple(signals.cropped_edges),
        parts=parts_of(signals.outline or ""),
        room=signals.detail,
        signals=shown,
    )


def values_of(
    image: Image, signals: Signals | None, read_text: Lettering | None, apart: float | None
) -> Mapping[str, Any]:
    """The value of every signal of a photo by the key that asks for it; None is "cannot tell"."""
    by_column: dict[str, Any] = {
        "cropped": None if signals is None or signals.is_cropped is None else "yes" if signals.is_cropped else "no",
        "colour": signals and signals.subject_colour,
        "lettering": read_text.place if read_text else "not read",
        "writing": read_text and read_text.kinds,
        "text_share": read_text and read_text.share,
        "longest_px": max(image.width_px, image.height_px),
        "shortest_px": min(image.width_px, image.height_px),
        "apart": apart,
    }
    return {key: _value(KEYS[key], by_column, image, signals) for key in OVERLAYS}


def _value(key: Key, by_column: Mapping[str, Any], image: Image, signals: Signals | None) -> Any:
    column = key.column.key
    if column in by_column:
        return by_column[column]
    return getattr(image, column) if key.column.class_ is Image else signals and getattr(signals, column)


def _shown(key: str, value: Any, signals: Signals | None) -> SignalShown:
    declared, overlay = KEYS[key], OVERLAYS[key]
    title = title_of(declared) if isinstance(declared, Measure) else declared.title
    # Where text stands may not be known, and yet it was read.
    is_told = value is not None and value not in (("not read",) if key == "lettering" else ("cannot tell",))
    swatch = ""
    if is_told and signals is not None and key == "colour" and signals.subject_lab:
        swatch = "lab({} {} {})".format(*signals.subject_lab)
    elif is_told and key == "brightness":
        swatch = f"lab({value} 0 0)"
    return SignalShown(
        key, title, _in_words(declared, value), overlay.shows if is_told else overlay.untold, is_told, swatch
    )


def _in_words(key: Key, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(KIND_WORDS[kind] for kind in text_kinds.KINDS if kind in value) or "none"
    if isinstance(key, Measure):
        return SCALE_OF[key.column.key].written(value)
    if value is None:
        return "cannot tell"
    return key.choices[value].lower() if isinstance(key, OneOf) and value not in ("yes", "no") else str(value)


def marks_of(signals: Signals) -> tuple[Mark, ...]:
    """What is marked pixel by pixel where all signals are shown: what was measured of them, and nothing else."""
    values: dict[Mark, float | None] = {
        "light": signals.clipped_light, "dark": signals.clipped_dark,
        "blocks": max(0.0, (signals.blockiness or 0.0) - BLOCKS_SHOW),
    }  # fmt: skip
    return tuple(mark for mark, value in values.items() if value)


def parts_of(outline: str) -> tuple[Box, ...]:
    """The boxes of an outline's parts, the largest first; holes are none."""
    outer = outer_rings(outline)
    return tuple(_box(ring) for ring in outer if area_of(ring) >= PART_SHARE * area_of(outer[0]))


def _box(ring: Points) -> Box:
    x, y = zip(*ring, strict=True)
    return min(x), min(y), max(x), max(y)
