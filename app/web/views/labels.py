"""Label sets and what was said of photos in them, as the catalog, the desk and their own page show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from app.catalog.tables import Catalog
from app.labels import giving, sets
from app.labels.giving import Said
from app.labels.sets import DIGITS, IN_WORDS, KEYS, given_ways
from app.labels.tables import LabelSet, LabelValue
from app.selection.label_facets import KEY, LabelFacet, counts, label_facets
from app.selection.labelled import joined
from app.selection.query import Selection
from app.web.views.facets import FacetChoice, Listing, address


@dataclass(frozen=True)
class LabelLine:
    """One label of a set: how many photos have it, as a share of the most frequent one's, and the digit that gives it.

    `href` is the grid with them. Its digit is empty from the eleventh on, and where it is not given any more.
    """

    value: LabelValue
    count: int
    share: float
    digit: str
    href: str


@dataclass(frozen=True)
class SetLine:
    """One set on the page of a catalog's labels. `said` photos have a label in it; `unsaid` leads to the others."""

    label_set: LabelSet
    kind: str
    labels: tuple[LabelLine, ...]
    said: int
    unsaid: str


@dataclass(frozen=True)
class LabelsView:
    """The label sets of a catalog."""

    catalog: Catalog
    photos: int
    sets: tuple[SetLine, ...]
    retired: tuple[SetLine, ...]
    kinds: dict[str, str]
    free_keys: str


@dataclass(frozen=True)
class Way:
    """One label that can be given by a press, with its digit; `is_on` where the photo has it."""

    value: LabelValue
    digit: str
    is_on: bool


@dataclass(frozen=True)
class LabelStrip:
    """One set beside a photo: what can be given, what was said and by whom. `seen` is its labelling, 0: none."""

    label_set: LabelSet
    ways: tuple[Way, ...]
    seen: int
    text: str
    by: str

    def unseen(self) -> LabelStrip:
        """It, as for somebody who shall not see who said it."""
        return replace(self, by="somebody" if self.by else "")


def read(session: Session, catalog: Catalog, photos: int) -> LabelsView:
    """The sets of a catalog with what was said in them so far."""
    every = sets.of(session, catalog.id, with_retired=True)
    counted = counts(session, Selection(catalog.id))
    lines = [_line(session, each, counted) for each in every]
    taken = {each.key for each in every if each.retired_at is None}
    return LabelsView(
        catalog=catalog,
        photos=photos,
        sets=tuple(line for line in lines if line.label_set.retired_at is None),
        retired=tuple(line for line in lines if line.label_set.retired_at is not None),
        kinds=IN_WORDS,
        free_keys="".join(key for key in KEYS if key not in taken),
    )


def strips(session: Session, catalog_id: int, history: Sequence[Said] = ()) -> tuple[LabelStrip, ...]:
    """The sets that are asked, with what was said of a photo where its `history` is given."""
    now = {each.labelling.set_id: each for each in history if each.labelling.superseded_at is None}
    drawn = []
    for label_set in sets.of(session, catalog_id):
        said = now.get(label_set.id)
        labelling = said.labelling if said is not None else None
        on = set(labelling.value_ids) if labelling is not None else set()
        ways = [Way(value, _digit(place), value.id in on) for place, value in enumerate(given_ways(label_set))]
        retired = [
            Way(value, "", True) for value in label_set.values if value.id in on and value.retired_at is not None
        ]
        text = ", ".join(said.labels) if said is not None and label_set.kind == "text" else ""
        by = said.person if said is not None and said.labels else ""
        drawn.append(LabelStrip(label_set, (*ways, *retired), labelling.id if labelling else 0, text, by))
    return tuple(drawn)


def facets(session: Session, selection: Selection, sort: str) -> list[Listing]:
    """The label sets in the facet pane; one of free text once somebody wrote something."""
    return [_listing(facet, selection, sort) for facet in label_facets(session, selection) if facet.options]


def _listing(facet: LabelFacet, selection: Selection, sort: str) -> Listing:
    longest = max([option.count for option in facet.options] + [1])
    name = facet.label_set.name
    choices = tuple(
        FacetChoice(
            (option.value or "")[len(name) + 1 :], option.count, option.count / longest, option.is_on,
            address(selection.catalog_id, selection.toggled(KEY, option.value).query, sort),
        )
        for option in facet.options
    )  # fmt: skip
    on = sum(option.is_on for option in facet.options)
    return Listing(
        f"label-{facet.label_set.id}", name, f"{on} of {len(choices)}" if on else "any", choices, 0, "", True
    )


def _line(session: Session, label_set: LabelSet, counted: dict[int, int]) -> SetLine:
    catalog_id = label_set.catalog_id
    longest = max([counted.get(value.id, 0) for value in label_set.values] + [1])
    places = {value.id: place for place, value in enumerate(given_ways(label_set))}
    shown: Sequence[LabelValue] = label_set.values
    if label_set.kind == "text":
        shown = sorted((value for value in shown if counted.get(value.id)), key=lambda value: -counted[value.id])[:12]
    labels = tuple(
        LabelLine(
            value, counted.get(value.id, 0), counted.get(value.id, 0) / longest, _digit(places.get(value.id)),
            address(catalog_id, Selection(catalog_id).with_term(KEY, (joined(label_set.name, value.name),)).query),
        )
        for value in shown
    )  # fmt: skip
    unsaid = Selection(catalog_id).with_term(KEY, (label_set.name,), is_not=True)
    said = giving.said_in(session, label_set)
    return SetLine(label_set, IN_WORDS[label_set.kind], labels, said, address(catalog_id, unsaid.query))


def _digit(place: int | None) -> str:
    return DIGITS[place] if place is not None and place < len(DIGITS) else ""
