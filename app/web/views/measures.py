"""The measures whose histograms stand in the facet pane: those a browser chose, kept in its cookie."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from app.catalog.measures import SCALE_OF
from app.selection.keys import MEASURED, MEASURES
from app.selection.kinds import Measure
from app.selection.query import Selection

COOKIE: Final = "packshot-measures"


@dataclass(frozen=True)
class MeasureChoice:
    """A measure that the pane may show, and whether it does."""

    key: str
    name: str
    is_on: bool


def choices(shown: Container[str]) -> list[MeasureChoice]:
    """Every measure, by its name for people."""
    every = [MeasureChoice(name, title_of(key), name in shown) for name, key in MEASURES.items()]
    return sorted(every, key=lambda choice: choice.name)


def shown(cookie: str | None, selection: Selection) -> dict[str, Measure]:
    """The measures to show, in the order of the keys: those in the cookie ("fill.contrast"), without one the usual
    ones, and whichever the selection limits: what filters must be seen."""
    chosen = set(MEASURED) if cookie is None else set(cookie.split("."))
    chosen |= {term.key for term in selection.terms}
    return {name: key for name, key in MEASURES.items() if name in chosen}


def title_of(key: Measure) -> str:
    """A measure's name for people."""
    scale = SCALE_OF.get(key.column.key)
    return key.title or (scale.title if scale else key.name.capitalize())


def unit_of(key: Measure) -> str:
    """Its unit with a space before it, or none."""
    scale = SCALE_OF.get(key.column.key)
    return f" {scale.unit}" if scale and scale.unit else ""


def places_of(key: Measure) -> int:
    """How many digits a handle's value has behind the point: a hundred steps or more lie in any range."""
    reach = key.last - key.bottom
    return 2 if reach <= 4 else 1 if reach <= 10 else 0
