"""The sets and labels that a file names: found by their names, and made where nobody made them yet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import any_, func, insert, select, update
from sqlalchemy.orm import Session

from app.bulk.tables import ImportedLabel
from app.catalog.spelling import label_key
from app.database import array, utc_now
from app.errors import Refused
from app.labels import files, sets
from app.labels.tables import Labelling, LabelSet, LabelValue
from app.people import Person
from app.review.tables import Operation

_AT_ONCE: Final = 5_000


class NamedLabels:
    """The label sets of a catalog by name. What is made is made at `made_at`, by which it is known again: an undo
    retires it, and what an undo retired comes back where a file names it once more."""

    def __init__(self, session: Session, catalog_id: int, by: Person, made_at: datetime) -> None:
        self._session, self._catalog_id, self._by, self._made_at = session, catalog_id, by, made_at
        every = sets.of(session, catalog_id, with_retired=True)
        self._sets = {row.name_key: row for row in every}
        self._values = {row.id: {value.name_key: value for value in row.values} for row in every}
        self._texts: dict[tuple[int, str], str] = {}  # free texts, made all at once
        self._retiring: list[tuple[LabelSet, LabelValue | None]] = []
        self._undone = undone_at(session, catalog_id)

    def name(self, record: Mapping[str, str]) -> tuple[LabelSet, str]:
        """The set of a row and its label as it is kept, empty where it names none. Raises Refused."""
        label_set = self._set(record)
        label = " ".join(record.get("label", "").split())
        label = files.as_yes_no(label) if label_set.kind == "yes_no" else label
        is_retired = files.as_yes_no(record.get("retired", "")) == "yes"
        if not label:
            if is_retired and label_set.created_at == self._made_at:
                self._retiring.append((label_set, None))
            return label_set, ""
        known = self._values[label_set.id]
        value = known.get(label_key(label))
        if value is None and label_set.kind == "text":
            tidy = label.replace("\0", "")
            sets.check_text(label_set, tidy)
            self._texts.setdefault((label_set.id, label_key(tidy)), tidy)
            return label_set, tidy
        if value is None:
            value = self._make(label_set, label)
            if is_retired:
                self._retiring.append((label_set, value))
        elif value.retired_at in self._undone and label_set.kind in ("one", "many"):
            sets.retire_label(self._session, label_set, value.id, self._by, is_back=True)
        return label_set, value.name

    def known(self, name: str) -> LabelSet | None:
        """The set of this name, if it is there."""
        return self._sets.get(label_key(name))

    def finish(self) -> None:
        """Make the free texts, and retire what the file says is retired, of what is new."""
        fresh = [
            {"set_id": place[0], "name": text, "position": 0, "created_at": self._made_at}
            for place, text in self._texts.items()
        ]
        for start in range(0, len(fresh), _AT_ONCE):
            self._session.execute(insert(LabelValue), fresh[start : start + _AT_ONCE])
        for label_set, value in self._retiring:
            if value is not None:
                sets.retire_label(self._session, label_set, value.id, self._by)
            elif label_set.retired_at is None:
                sets.retire(self._session, label_set, self._by)
        self._session.flush()

    def _set(self, record: Mapping[str, str]) -> LabelSet:
        name = " ".join(record.get("set", "").split())
        if not name:
            raise Refused("it names no set.")
        kind = label_key(record.get("kind", "")) or "one"
        label_set = self._sets.get(label_key(name))
        if label_set is None:
            return self._define(sets.tidy_name(name), kind, label_key(record.get("key", "")))
        if record.get("kind") and kind != label_set.kind:
            raise Refused(
                f"“{label_set.name}” is {sets.IN_WORDS[label_set.kind]} here, not {sets.IN_WORDS.get(kind, kind)}."
            )
        if label_set.retired_at in self._undone:
            sets.retire(self._session, label_set, self._by, is_back=True)
        return label_set

    def _define(self, name: str, kind: str, key: str) -> LabelSet:
        sets.check_room(len(self._sets))
        is_free = len(key) == 1 and key in sets.KEYS and all(each.key != key for each in self._sets.values())
        made = sets.define(self._session, self._catalog_id, self._by, name, kind, (), key if key and is_free else None)
        made.created_at = self._made_at
        for value in made.values:
            value.created_at = self._made_at
        self._session.flush()
        self._sets[made.name_key] = made
        self._values[made.id] = {value.name_key: value for value in made.values}
        return made

    def _make(self, label_set: LabelSet, label: str) -> LabelValue:
        known = self._values[label_set.id]
        if label_set.kind == "yes_no":
            sets.value_of_text(self._session, label_set, label)  # says which labels there are
        sets.tidy_name(label)
        sets.check_room(len(known), label_set)
        value = sets.add_label(self._session, label_set, self._by, label)
        value.created_at = self._made_at
        self._session.flush()
        known[value.name_key] = value
        return value


def undone_at(session: Session, catalog_id: int) -> set[datetime | None]:
    """When imports of labels were taken back: what was retired at such a moment is so by the undo alone."""
    of_labels = (Operation.catalog_id == catalog_id, Operation.kind == "labels", Operation.undone_at.is_not(None))
    return set(session.scalars(select(Operation.undone_at).where(*of_labels)))


def tell_numbers(session: Session, catalog_id: int, import_id: int) -> None:
    """Tell rows of a file by which numbers the sets and labels that they name are known."""
    row = ImportedLabel
    in_set = (LabelSet.catalog_id == catalog_id, LabelSet.name_key == row.set_key)
    named = (LabelValue.set_id == LabelSet.id, LabelValue.name_key == row.label_key)
    session.execute(
        update(row)
        .where(row.import_id == import_id, *in_set, *named)
        .values(set_id=LabelSet.id, value_id=LabelValue.id)
        .execution_options(synchronize_session=False)
    )


def retire_unused(session: Session, operation: Operation) -> None:
    """Retire the sets and labels that an import made and no photo has any more, now that it is taken back."""
    at = operation.undone_at or utc_now()
    made = (LabelSet.catalog_id == operation.catalog_id, LabelSet.created_at == operation.created_at)
    said_now = (Labelling.superseded_at.is_(None), func.cardinality(Labelling.value_ids) > 0)
    used_sets = select(Labelling.set_id).where(*said_now)
    of_others = select(LabelValue.set_id).where(LabelValue.created_at != operation.created_at)
    unused = (LabelSet.id.not_in(used_sets), LabelSet.id.not_in(of_others), LabelSet.retired_at.is_(None))
    session.execute(update(LabelSet).where(*made, *unused).values(retired_at=at))
    here = list(
        session.scalars(
            select(LabelSet.id).where(
                LabelSet.catalog_id == operation.catalog_id, LabelSet.kind.in_(("one", "many")),
                LabelSet.retired_at.is_(None),
            )
        )
    )  # fmt: skip
    of_catalog = (LabelValue.set_id == any_(array(here)), LabelValue.created_at == operation.created_at)
    used = select(func.unnest(Labelling.value_ids)).where(Labelling.set_id == any_(array(here)), *said_now)
    is_unused = (LabelValue.id.not_in(used), LabelValue.retired_at.is_(None))
    session.execute(update(LabelValue).where(*of_catalog, *is_unused).values(retired_at=at))
    session.expire_all()
