"""The key of the filter language that asks for labels: `label:fit=slim` a label, `label:fit` any of a set.

Values of one set are alternatives, sets are asked for together: what `label:fit=slim,fit=wide,view=front` gives is
labelled front, and slim or wide. What a photo's index row holds are numbers of labels, and names are looked up as they
are asked for, so that a set or a label that is renamed costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select, true

from app.catalog.spelling import label_key
from app.labels.sets import ASSIGNED
from app.labels.tables import LabelSet, LabelValue
from app.selection.kinds import NOTHING, Around, Key, NotUnderstood

MOST_NAMED: Final = 200


def parted(value: str) -> tuple[str, str | None]:
    """The set and the label that a value names; the label is None where any of the set will do."""
    name, is_assigned, label = value.partition(ASSIGNED)
    return name, label if is_assigned else None


def joined(set_name: str, label: str | None = None) -> str:
    """The value that asks for a label of a set, or for any of it."""
    return set_name if label is None else f"{set_name}{ASSIGNED}{label}"


@dataclass(frozen=True, kw_only=True)
class Labelled(Key):
    """Photos by what people said of them in the sets of their catalog; `none` are those of which nobody said any."""

    most: int = MOST_NAMED

    def read(self, text: str, is_quoted: bool, position: int) -> str:
        name, label = parted(text)
        tidy = joined(" ".join(name.split()), None if label is None else " ".join(label.split()))
        if not tidy.strip(ASSIGNED) or tidy[0] == ASSIGNED or (label is not None and not label.strip()):
            raise NotUnderstood(f"“{text}” names no label; write {self.name}:fit=slim, or {self.name}:fit.", position)
        return NOTHING if tidy.lower() == NOTHING else tidy

    def identity(self, value: Any) -> Any:
        return tuple(part if part is None else label_key(part) for part in parted(value))

    def any_of(self, column: Any, values: Sequence[Any]) -> ColumnElement[bool]:
        raise NotImplementedError("labels are looked up in their catalog, see `clause`")

    def clause(
        self, values: Sequence[Any], is_not: bool = False, is_wide: bool = False, beside: Around = Around()
    ) -> ColumnElement[bool]:
        ways = [self.column == []] if NOTHING in values else []
        by_set = sets_of(values)
        held = [self.column.overlap(numbers_of(beside.catalog_id, name, labels)) for name, labels in by_set.items()]
        if is_not:
            return or_(*ways, *held).is_not(true())
        return or_(*ways, and_(*held)) if held else or_(*ways)


def sets_of(values: Sequence[str]) -> dict[str, list[str | None]]:
    """What is asked of each set, by its `label_key`: labels, and None where any will do."""
    asked: dict[str, list[str | None]] = {}
    for value in values:
        if value != NOTHING:
            name, label = parted(value)
            asked.setdefault(label_key(name), []).append(label)
    return asked


def said_of_labels(values: Sequence[str], is_left_out: bool = False) -> str:
    """Labels in words: "labelled fit “slim” or “wide”, and view “front”"; left out, "not labelled ... or ..."."""
    names: dict[str, str] = {}
    for value in values:
        names.setdefault(label_key(parted(value)[0]), parted(value)[0])
    ways = []
    for key, labels in sets_of(values).items():
        quoted = [f"“{label}”" for label in labels if label is not None]
        any_of = f"{names[key]} with anything" if None in labels else f"{names[key]} {' or '.join(quoted)}"
        ways.append(any_of)
    said = f"labelled {(' or ' if is_left_out else ', and ').join(ways)}" if ways else ""
    nothing = ["with some label" if is_left_out else "without any label"] if NOTHING in values else []
    if is_left_out:
        return " and ".join([*nothing, *([f"not {said}"] if said else [])])
    return ", or ".join([*nothing, *([said] if said else [])])


def numbers_of(catalog_id: int, set_key: str, labels: Sequence[str | None]) -> ColumnElement[Any]:
    """The numbers of these labels, as an array that is looked up once for a statement."""
    query = (
        select(LabelValue.id)
        .join(LabelSet, LabelSet.id == LabelValue.set_id)
        .where(LabelSet.catalog_id == catalog_id, LabelSet.name_key == set_key)
    )
    if None not in labels:
        query = query.where(LabelValue.name_key.in_([label_key(label) for label in labels if label is not None]))
    return func.array(query.scalar_subquery())
