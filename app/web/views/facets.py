"""The facet pane as the template draws it: words for values, an address for every choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from app.selection.browse import BINS, Facets, Option
from app.selection.query import Range, Selection

NAMES: Final = {
    "decision": "Decision", "by": "Decided by", "rule": "Suggested by rules", "background": "Background",
    "sharpness": "Subject sharpness", "fill": "Longest-side fill",
    "category": "Category", "colour": "Subject colour", "caption": "Caption", "note": "Noted at intake",
}  # fmt: skip
WORDS: Final = {
    "decision": {"kept": "Kept", "rejected": "Rejected", "needs_work": "Needs work", "unseen": "Not seen yet"},
    "by": {"person": "A person", "rule": "Only a rule suggests", "none": "Nobody"},
    "background": {"white": "White", "plain": "Plain", "scene": "Scene", "cannot tell": "Cannot tell"},
    "caption": {
        "none": "No caption", "captioner": "By a captioner", "given": "Given in a file", "person": "By a person",
    },
    "rule": {
        "empty": "Reject: empty", "small": "Reject: too small", "blurred": "Reject: blurred",
        "contradicted": "Look: caption contradicts", "uncaptioned": "Look: no caption",
        "cropped": "Look: cropped", "busy": "Look: a scene", "bare": "Look: a packshot",
        "clean": "Keep: no fault found",
    },
    "note": {
        "none": "No note", "cmyk-without-profile": "CMYK without a profile", "broken-profile": "Broken profile",
        "large-profile": "Large profile", "large-text": "Large text", "first-of-several": "First of several pictures",
        "largest-page": "Largest page", "missing-end-mark": "End mark missing", "laid-on-white": "Laid on white",
        "reduced-to-8-bit": "Reduced to 8 bit",
    },
}  # fmt: skip
MISSING: Final = {"category": "No category", "colour": "Cannot tell"}
# Facets that few people need all the time start closed.
CLOSED: Final = ("colour", "note")
SHOWN_AT_FIRST: Final = 8


@dataclass(frozen=True)
class FacetChoice:
    """One line of a listed facet; `share` of the longest line, 0..1."""

    label: str
    count: int
    share: float
    is_on: bool
    href: str


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram, as a link to its range."""

    count: int
    share: float
    is_in: bool
    href: str
    label: str


@dataclass(frozen=True)
class Listing:
    """A facet with a list of choices; those behind `SHOWN_AT_FIRST` wait under "more"."""

    key: str
    name: str
    range: str
    choices: tuple[FacetChoice, ...]
    is_open: bool

    @property
    def first(self) -> tuple[FacetChoice, ...]:
        """The choices that are always shown."""
        return self.choices[:SHOWN_AT_FIRST]

    @property
    def more(self) -> tuple[FacetChoice, ...]:
        """The others."""
        return self.choices[SHOWN_AT_FIRST:]


@dataclass(frozen=True)
class Histogram:
    """A facet over a measured value. `low` and `high` are the handles, in the unit people see; `top` is the end.

    `whole` is the address that limits the value to all of 0 to `top`, `free` the one that does not limit it.
    """

    key: str
    name: str
    range: str
    bars: tuple[Bar, ...]
    low: float
    high: float
    top: float
    step: float
    ends: tuple[str, str]
    whole: str
    free: str
    is_open: bool = True


def address(catalog_id: int, query: str = "", sort: str = "newest", **more: int | str) -> str:
    """The address of a catalog's grid; what is as usual is left out."""
    parts = {"q": query, "sort": "" if sort == "newest" else sort, **more}
    parameters = urlencode({name: value for name, value in parts.items() if value != ""})
    return f"/catalogs/{catalog_id}{'?' if parameters else ''}{parameters}"


def draw(facets: Facets, selection: Selection, sort: str) -> list[Listing | Histogram]:
    """The facets in the order of the pane."""

    def href(chosen: Selection) -> str:
        return address(chosen.catalog_id, chosen.query, sort)

    drawn: list[Listing | Histogram] = []
    for key in NAMES:
        if key in facets.bars:
            drawn.append(_histogram(key, facets.bars[key], selection, href))
        elif facets.options[key]:
            drawn.append(_listing(key, facets.options[key], facets.total, selection, href))
    return drawn


def _listing(
    key: str, options: tuple[Option, ...], total: int, selection: Selection, href: Callable[[Selection], str]
) -> Listing:
    longest = max([option.count for option in options] + [1])
    chosen = sum(option.is_on for option in options)
    choices = tuple(
        FacetChoice(
            _word(key, option.value), option.count, option.count / longest, option.is_on,
            href(selection.toggled(key, option.value)),
        )
        for option in options
    )  # fmt: skip
    if key == "decision" and not chosen:
        return Listing(key, NAMES[key], f"{total:,}", choices, True)
    said = f"{chosen} of {len(options)}" if chosen else f"{len(options):,}" if key == "category" else "any"
    return Listing(key, NAMES[key], said, choices, bool(chosen) or key not in CLOSED)


def _word(key: str, value: str | None) -> str:
    if value is None:
        return MISSING[key]
    return WORDS[key][value] if key in WORDS else value[:1].upper() + value[1:]


def _histogram(key: str, counts: tuple[int, ...], selection: Selection, href: Callable[[Selection], str]) -> Histogram:
    top = 100.0 if key == "fill" else 1.0
    bounds: Range | None = getattr(selection, key)
    low = 0.0 if bounds is None or bounds.low is None else min(bounds.low, top)
    high = top if bounds is None or bounds.high is None else min(bounds.high, top)
    highest = max(*counts, 1)
    bars = []
    for place, count in enumerate(counts):
        left, right = round(top * place / BINS, 6), round(top * (place + 1) / BINS, 6)
        middle = (left + right) / 2
        own = Range(left, right)
        there = href(selection.narrowed(**{key: own}))
        bars.append(Bar(count, count / highest, low <= middle <= high, there, f"{own}: {count:,}"))
    said = f"{low:.0f} to {high:.0f} %" if key == "fill" else f"{low:.2f} to {high:.2f}"
    ends = ("0 %", "100 %") if key == "fill" else ("soft", "sharp")
    return Histogram(
        key, NAMES[key], said if bounds else "any", tuple(bars), low, high, top, 1.0 if key == "fill" else 0.01, ends,
        whole=href(selection.narrowed(**{key: Range(0.0, top)})), free=href(selection.narrowed(**{key: None})),
    )  # fmt: skip
