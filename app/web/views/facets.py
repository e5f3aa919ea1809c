"""The facet pane as the template draws it: words for values, an address for every choice."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from app.selection.browse import BINS, Facets
from app.selection.keys import KEYS, LISTED, MEASURES, SEVERAL
from app.selection.kinds import Label, Measure, OneOf, Range, figure
from app.selection.query import Selection
from app.web.views import measures

SHOWN_AT_FIRST: Final = 8
# Of a longer list, the others are found by typing.
SHOWN_AT_MOST: Final = 200


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
    """A facet with a list of choices; those behind `SHOWN_AT_FIRST` wait under "show all". `beyond` more are not here:
    they are found by typing, as those here are where something was `sought`."""

    key: str
    name: str
    range: str
    choices: tuple[FacetChoice, ...]
    beyond: int
    sought: str
    is_open: bool

    @property
    def first(self) -> tuple[FacetChoice, ...]:
        """The choices that are always shown."""
        return self.choices if self.sought else self.choices[:SHOWN_AT_FIRST]

    @property
    def more(self) -> tuple[FacetChoice, ...]:
        """The others."""
        return () if self.sought else self.choices[SHOWN_AT_FIRST:]

    @property
    def count(self) -> int:
        """How many choices there are."""
        return len(self.choices) + self.beyond


@dataclass(frozen=True)
class Histogram:
    """A facet over a measured value. `low` and `high` are the handles, in the unit people see; `bottom` and `top` are
    where the bars begin and end, and `most` is how far the value goes, as a filter says it: the last bar reaches there.

    `untold` photos have no value, and `untold_href` gives these. `whole` is the address that limits the value to
    all of `bottom` to `most`, `free` the one that does not limit it.
    """

    key: str
    name: str
    range: str
    bars: tuple[Bar, ...]
    low: float
    high: float
    bottom: float
    top: float
    most: str
    step: float
    unit: str
    places: int
    ends: tuple[str, str]
    whole: str
    free: str
    untold: int
    untold_href: str
    is_open: bool = True


def address(catalog_id: int, query: str = "", sort: str = "newest", **more: int | str) -> str:
    """The address of a catalog's grid; what is as usual is left out."""
    parts = {"q": query, "sort": "" if sort == "newest" else sort, **more}
    parameters = urlencode({name: value for name, value in parts.items() if value != ""})
    return f"/catalogs/{catalog_id}{'?' if parameters else ''}{parameters}"


def draw(facets: Facets, selection: Selection, sort: str) -> list[Listing | Histogram]:
    """The facets in the order of the pane, with a histogram for each measure that was counted."""
    drawn: list[Listing | Histogram] = []
    for name in KEYS:
        if name in facets.bars:
            drawn.append(_histogram(MEASURES[name], facets, selection, sort))
        elif facets.options.get(name):
            drawn.append(listing(name, facets, selection, sort))
    return drawn


def listing(name: str, facets: Facets, selection: Selection, sort: str, sought: str = "") -> Listing:
    """The facet of a key with a list; where something is `sought`, only choices with it in their words, in any letter
    case, with or without accents."""
    key = LISTED.get(name) or SEVERAL[name]
    options = facets.options[name]
    longest = max([option.count for option in options] + [1])
    chosen = sum(option.is_on for option in options)
    wanted = [option for option in options if _folded(sought) in _folded(_word(key, option.value))]
    choices = tuple(
        FacetChoice(
            _word(key, option.value), option.count, option.count / longest, option.is_on,
            address(selection.catalog_id, selection.toggled(name, option.value).query, sort),
        )
        for option in wanted[:SHOWN_AT_MOST]
    )  # fmt: skip
    parts = choices, len(wanted) - len(choices), sought
    if name == "decision" and not chosen:
        return Listing(name, key.title, f"{facets.total:,}", *parts, True)
    said = f"{chosen} of {len(options):,}" if chosen else f"{len(options):,}" if isinstance(key, Label) else "any"
    return Listing(name, key.title, said, *parts, bool(chosen) or not key.is_closed)


def _folded(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text).casefold()
    return "".join(sign for sign in apart if not unicodedata.combining(sign)).strip()


def _word(key: OneOf | Label, value: str | None) -> str:
    if isinstance(key, OneOf):
        return key.choices[value or ""]
    return key.missing if value is None else value[:1].upper() + value[1:]


def _histogram(key: Measure, facets: Facets, selection: Selection, sort: str) -> Histogram:
    def href(*chosen: Range | None) -> str:
        return address(selection.catalog_id, selection.narrowed(**{key.name: chosen}).query, sort)

    counts = facets.bars[key.name]
    bottom, top, unit, places = key.bottom, key.last, measures.unit_of(key), measures.places_of(key)
    chosen: Range | None = next(iter(selection.values(key.name)), Range())
    # Photos without a value stand in no bar.
    bounds = chosen if chosen is not None else Range()
    low = bottom if bounds.low is None else min(bounds.low, top)
    high = top if bounds.high is None else min(bounds.high, top)
    limited = f"{low:.{places}f} to {high:.{places}f}{unit}"
    highest = max(*counts, 1)
    bars = []
    for place, count in enumerate(counts):
        left, right = (round(bottom + (top - bottom) * at / BINS, 6) for at in (place, place + 1))
        middle = (left + right) / 2
        own = Range(left, key.top if place == BINS - 1 else right)
        bars.append(Bar(count, count / highest, low <= middle <= high, href(own), f"{own}: {count:,}"))
    return Histogram(
        key=key.name,
        name=measures.title_of(key),
        range=limited if bounds != Range() else "any" if chosen is not None else "cannot tell",
        bars=tuple(bars),
        low=low,
        high=high,
        bottom=bottom,
        top=top,
        most=figure(key.top),
        step=10.0**-places,
        unit=unit,
        places=places,
        ends=key.ends
        if any(key.ends)
        else (f"{bottom:g}{unit}", f"{top:,g}{unit}" + (" and more" if top < key.top else "")),
        whole=href(Range(bottom, key.top)),
        free=href(),
        untold=facets.untold[key.name],
        untold_href=href(None),
    )
