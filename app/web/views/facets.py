"""The facet pane as the template draws it: words for values, an address for every choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from app.selection.browse import BINS, Facets, Option
from app.selection.keys import KEYS, LISTED, MEASURED, SEVERAL
from app.selection.kinds import Label, Measure, OneOf, Range
from app.selection.query import Selection

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
    for name in KEYS:
        if name in MEASURED:
            drawn.append(_histogram(MEASURED[name], facets.bars[name], selection, href))
        elif facets.options.get(name):
            listed = LISTED.get(name) or SEVERAL[name]
            drawn.append(_listing(listed, facets.options[name], facets.total, selection, href))
    return drawn


def _listing(
    key: OneOf | Label,
    options: tuple[Option, ...],
    total: int,
    selection: Selection,
    href: Callable[[Selection], str],
) -> Listing:
    longest = max([option.count for option in options] + [1])
    chosen = sum(option.is_on for option in options)
    choices = tuple(
        FacetChoice(
            _word(key, option.value), option.count, option.count / longest, option.is_on,
            href(selection.toggled(key.name, option.value)),
        )
        for option in options
    )  # fmt: skip
    if key.name == "decision" and not chosen:
        return Listing(key.name, key.title, f"{total:,}", choices, True)
    said = f"{chosen} of {len(options)}" if chosen else f"{len(options):,}" if key.name == "category" else "any"
    return Listing(key.name, key.title, said, choices, bool(chosen) or not key.is_closed)


def _word(key: OneOf | Label, value: str | None) -> str:
    if isinstance(key, OneOf):
        return key.choices[value or ""]
    return key.missing if value is None else value[:1].upper() + value[1:]


def _histogram(
    key: Measure, counts: tuple[int, ...], selection: Selection, href: Callable[[Selection], str]
) -> Histogram:
    top = key.top
    chosen: Range | None = next(iter(selection.values(key.name)), Range())
    # Photos without a value stand in no bar.
    bounds = chosen if chosen is not None else Range()
    low = 0.0 if bounds.low is None else min(bounds.low, top)
    high = top if bounds.high is None else min(bounds.high, top)
    shown = key.shown.format(low, high) if bounds != Range() else "any" if chosen is not None else "cannot tell"
    highest = max(*counts, 1)
    bars = []
    for place, count in enumerate(counts):
        left, right = round(top * place / BINS, 6), round(top * (place + 1) / BINS, 6)
        middle = (left + right) / 2
        own = Range(left, right)
        there = href(selection.narrowed(**{key.name: (own,)}))
        bars.append(Bar(count, count / highest, low <= middle <= high, there, f"{own}: {count:,}"))
    return Histogram(
        key.name, key.title, shown, tuple(bars), low, high, top,
        key.step, key.ends,
        whole=href(selection.narrowed(**{key.name: (Range(0.0, top),)})),
        free=href(selection.narrowed(**{key.name: ()})),
    )  # fmt: skip
