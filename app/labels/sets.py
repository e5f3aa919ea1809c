"""Label sets: defined by a team for one catalog, renamed, retired, put in another order; what was said in them stays.

Who defined or changed one is in the audit log; a set and its labels are known by number, so that a new name is the same
set. A retired set or label is given no more; filters still know it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from app import audit
from app.catalog import reading
from app.catalog.spelling import is_unseen, label_key
from app.database import utc_now
from app.errors import NotFound, Refused
from app.labels.tables import LabelSet, LabelValue
from app.own_keys import LABEL_LETTERS
from app.people import Person

Kind = Literal["one", "many", "yes_no", "text"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
IN_WORDS: Final[dict[str, str]] = {"one": "one of", "many": "many of", "yes_no": "yes or no", "text": "free text"}
YES_NO: Final = ("yes", "no")
KEYS: Final = LABEL_LETTERS
"""Letters that neither the grid nor the desk needs for something else (a test looks), and no person may take."""
DIGITS: Final = "1234567890"
TAGS: Final = "Tags"
"""The set that tags are labels of; it is defined by the first one."""
MOST_SETS: Final = 30
MOST_LABELS: Final = 200
NAME_AT_MOST: Final = 60
TEXT_AT_MOST: Final = 300
ASSIGNED: Final = "="  # between a set and its label, wherever both are written in one word


def of(session: Session, catalog_id: int, with_retired: bool = False) -> list[LabelSet]:
    """The sets of a catalog in their order, with all their labels."""
    query = select(LabelSet).where(LabelSet.catalog_id == catalog_id).order_by(LabelSet.position, LabelSet.id)
    if not with_retired:
        query = query.where(LabelSet.retired_at.is_(None))
    loaded = query.options(selectinload(LabelSet.values)).execution_options(populate_existing=True)
    return list(session.scalars(loaded))


def get(session: Session, set_id: int, catalog_id: int | None = None) -> LabelSet:
    """A set, of this catalog where one is given. Raises NotFound."""
    row = session.get(LabelSet, set_id, populate_existing=True)
    if row is None or catalog_id not in (None, row.catalog_id):
        raise NotFound(f"There is no label set {set_id} here.")
    return row


def named(session: Session, catalog_id: int, name: str) -> LabelSet:
    """The set of this name, in whatever letter case, retired or not. Raises NotFound."""
    for row in of(session, catalog_id, with_retired=True):
        if row.name_key == label_key(name):
            return row
    raise NotFound(f"There is no label set “{name}” in this catalog.")


def given_ways(label_set: LabelSet) -> list[LabelValue]:
    """The labels of a set that can be given now, in the order of their digits; of free text there are none."""
    return [] if label_set.kind == "text" else [value for value in label_set.values if value.retired_at is None]


def define(
    session: Session,
    catalog_id: int,
    by: Person,
    name: str,
    kind: str,
    labels: Sequence[str] = (),
    key: str | None = None,
) -> LabelSet:
    """A new set at the end, with a free key where none is given. Raises Refused with what to do instead."""
    reading.get(session, catalog_id)
    _lock(session, catalog_id)
    every = of(session, catalog_id, with_retired=True)
    if kind not in KINDS:
        raise Refused(f"“{kind}” is no kind of label set. Kinds are: {', '.join(KINDS)}.")
    check_room(len(every))
    tidy = _unused_set_name(name, every)
    row = LabelSet(
        catalog_id=catalog_id, name=tidy, kind=kind, position=len(every), person_id=by.id,
        key=_unused_key(key, every) if key else _free_key(tidy, every),
    )  # fmt: skip
    session.add(row)
    session.flush()
    for label in YES_NO if kind == "yes_no" else () if kind == "text" else labels:
        if label.strip():
            _add_value(session, row, label)
    _told(session, by, row, "defined")
    return get(session, row.id)


def rename(session: Session, label_set: LabelSet, by: Person, name: str, key: str | None = None) -> None:
    """Another name or key; what was said in the set stays. Raises Refused where another set has it."""
    _lock(session, label_set.catalog_id)
    others = [each for each in of(session, label_set.catalog_id, with_retired=True) if each.id != label_set.id]
    before = label_set.name
    label_set.name = _unused_set_name(name, others)
    label_set.key = _unused_key(key, others) if key else None
    _told(session, by, label_set, "renamed", before=before)


def retire(session: Session, label_set: LabelSet, by: Person, is_back: bool = False) -> None:
    """Ask the set no more, or again (`is_back`); its key is free meanwhile."""
    _lock(session, label_set.catalog_id)
    if is_back:
        others = of(session, label_set.catalog_id)
        if label_set.key and any(each.key == label_set.key for each in others):
            label_set.key = _free_key(label_set.name, others)
    label_set.retired_at = None if is_back else utc_now()
    _told(session, by, label_set, "brought back" if is_back else "retired")


def move(session: Session, label_set: LabelSet, by: Person, places: int) -> None:
    """Move a set up (-1) or down (1) among those that are asked."""
    _lock(session, label_set.catalog_id)
    every = of(session, label_set.catalog_id)
    every = [each for each in every if each.id != label_set.id]
    at = next((place for place, each in enumerate(every) if each.position > label_set.position), len(every))
    every.insert(min(max(at + places, 0), len(every)), label_set)
    for place, each in enumerate(every):
        each.position = place
    _told(session, by, label_set, "moved")


def add_label(session: Session, label_set: LabelSet, by: Person, name: str) -> LabelValue:
    """One more label at the end. Raises Refused for a set that has none of its own, and for a name that is there."""
    if label_set.kind not in ("one", "many"):
        raise Refused(f"“{label_set.name}” is {IN_WORDS[label_set.kind]}; it takes no labels of its own.")
    _lock(session, label_set.catalog_id)
    value = _add_value(session, label_set, name)
    _told(session, by, label_set, "label added", label=value.name)
    return value


def rename_label(session: Session, label_set: LabelSet, value_id: int, by: Person, name: str) -> None:
    """Another name for a label; photos that have it keep it. Raises Refused where another label has the name."""
    value = _label_to_change(session, label_set, value_id)
    _lock(session, label_set.catalog_id)
    others = [(each.name, each.retired_at is not None) for each in _values(session, label_set) if each.id != value.id]
    before, value.name = value.name, _unused_name(name, others)
    _told(session, by, label_set, "label renamed", label=value.name, before=before)


def retire_label(session: Session, label_set: LabelSet, value_id: int, by: Person, is_back: bool = False) -> None:
    """Give a label no more, or again; photos that have it keep it."""
    value = _label_to_change(session, label_set, value_id)
    value.retired_at = None if is_back else utc_now()
    _told(session, by, label_set, "label brought back" if is_back else "label retired", label=value.name)


def move_label(session: Session, label_set: LabelSet, value_id: int, by: Person, places: int) -> None:
    """Move a label up (-1) or down (1), and so to another digit."""
    value = _label_to_change(session, label_set, value_id)
    _lock(session, label_set.catalog_id)
    every = [each for each in _values(session, label_set) if each.retired_at is None]
    at = every.index(value) if value in every else len(every)
    every = [each for each in every if each.id != value.id]
    every.insert(min(max(at + places, 0), len(every)), value)
    for place, each in enumerate(every):
        each.position = place
    _told(session, by, label_set, "label moved", label=value.name)


def value_of_text(session: Session, label_set: LabelSet, text: str) -> LabelValue:
    """The label of a set that is named so: of free text, made where nobody wrote it yet. Raises Refused."""
    tidy = " ".join(text.replace("\0", "").split())
    known = session.scalars(
        select(LabelValue).where(LabelValue.set_id == label_set.id, LabelValue.name_key == label_key(tidy))
    ).one_or_none()
    if known is not None:
        if known.retired_at is not None:
            raise Refused(f"“{known.name}” of “{label_set.name}” is retired; bring it back to give it again.")
        return known
    if label_set.kind != "text":
        possible = ", ".join(value.name for value in given_ways(label_set))
        raise Refused(f"“{tidy}” is no label of “{label_set.name}”. Labels are: {possible or 'none yet'}.")
    check_text(label_set, tidy)
    _lock(session, label_set.catalog_id)
    made = LabelValue(set_id=label_set.id, name=tidy, position=0)
    session.add(made)
    session.flush()
    return made


def check_text(label_set: LabelSet, text: str) -> None:
    """Raises Refused for what says nothing in a set of free text, or too much."""
    if is_unseen(text):
        raise Refused(f"Write something in “{label_set.name}”, or take it away.")
    if len(text) > TEXT_AT_MOST:
        raise Refused(f"A text has at most {TEXT_AT_MOST} characters.")


def check_room(count: int, label_set: LabelSet | None = None) -> None:
    """Raises Refused where a catalog with so many sets takes no other, or a set with so many labels."""
    if label_set is None and count >= MOST_SETS:
        raise Refused(f"A catalog has at most {MOST_SETS} label sets.")
    if label_set is not None and count >= MOST_LABELS:
        raise Refused(f"A label set has at most {MOST_LABELS} labels.")


def tidy_name(name: str) -> str:
    """A name as it is kept. Raises Refused for one that cannot be read, or not be written in a filter."""
    tidy = " ".join(re.sub(r"[\0-\x1f]", " ", name).split())
    if is_unseen(tidy):
        raise Refused("A name needs a letter or a digit.")
    if len(tidy) > NAME_AT_MOST:
        raise Refused(f"A name has at most {NAME_AT_MOST} characters.")
    if ASSIGNED in tidy:
        raise Refused(f"A name cannot hold “{ASSIGNED}”, which parts sets and labels in filters.")
    return tidy


def tag(session: Session, catalog_id: int, by: Person, name: str, is_new: bool = True) -> tuple[LabelSet, LabelValue]:
    """The label of this name in the catalog's set of tags; both are made where they are not there yet.

    Raises Refused for a name that a label cannot have, or is retired, and, unless it may be a new one (`is_new`), for
    a tag that nobody gave yet.
    """
    _lock(session, catalog_id)
    known = {label_key(each.name): each for each in of(session, catalog_id, with_retired=True)}
    label_set = known.get(label_key(TAGS))
    if label_set is None and is_new:
        label_set = define(session, catalog_id, by, TAGS, "many")
    if label_set is None:
        raise Refused("No photo of this catalog has a tag yet.")
    if label_set.kind != "many":
        raise Refused(f"“{label_set.name}” is {IN_WORDS[label_set.kind]}; tags want a set that takes many labels.")
    is_known = any(label_key(value.name) == label_key(name) for value in label_set.values)
    if is_new and not is_known and label_set.retired_at is None:
        add_label(session, label_set, by, name)
    return label_set, value_of_text(session, label_set, name)


def _label_to_change(session: Session, label_set: LabelSet, value_id: int) -> LabelValue:
    value = session.get(LabelValue, value_id)
    if value is None or value.set_id != label_set.id:
        raise NotFound(f"“{label_set.name}” has no label {value_id}.")
    if label_set.kind not in ("one", "many"):
        raise Refused(f"The answers of “{label_set.name}” are fixed: it is {IN_WORDS[label_set.kind]}.")
    return value


def _values(session: Session, label_set: LabelSet) -> list[LabelValue]:
    query = select(LabelValue).where(LabelValue.set_id == label_set.id)
    return list(session.scalars(query.order_by(LabelValue.position, LabelValue.id)))


def _add_value(session: Session, label_set: LabelSet, name: str) -> LabelValue:
    every = _values(session, label_set)
    check_room(len(every), label_set)
    tidy = _unused_name(name, [(each.name, each.retired_at is not None) for each in every])
    value = LabelValue(set_id=label_set.id, name=tidy, position=len(every))
    session.add(value)
    session.flush()
    return value


def _unused_set_name(name: str, others: Sequence[LabelSet]) -> str:
    if name.strip().lower() == "none":
        raise Refused("“none” stands for photos without labels in a filter; choose another name.")
    return _unused_name(name, [(each.name, each.retired_at is not None) for each in others])


def _unused_name(name: str, others: Sequence[tuple[str, bool]]) -> str:
    """The name as it is kept. Raises Refused where it cannot be told from another, or not be written in a filter."""
    tidy = tidy_name(name)
    for other, is_retired in others:
        if label_key(other) == label_key(tidy):
            raise Refused(f"“{other}” is there already{', retired: bring it back' if is_retired else ''}.")
    return tidy


def _unused_key(key: str, others: Sequence[LabelSet]) -> str:
    low = key.strip().lower()
    taken = {each.key: each.name for each in others if each.retired_at is None and each.key}
    free = ", ".join(letter.upper() for letter in KEYS if letter not in taken)
    if low in taken:
        raise Refused(f"{low.upper()} is the key of “{taken[low]}”. Free are: {free}.")
    if low not in KEYS or len(low) != 1:
        raise Refused(f"{key.strip().upper() or 'That'} is needed on the grid or the desk. Free are: {free}.")
    return low


def _free_key(name: str, others: Sequence[LabelSet]) -> str | None:
    """A letter of the name where one is free, or any; None where all are taken."""
    taken = {each.key for each in others if each.retired_at is None}
    free = [letter for letter in KEYS if letter not in taken]
    return next((letter for letter in name.lower() if letter in free), free[0] if free else None)


def _lock(session: Session, catalog_id: int) -> None:
    """Changes of the sets of one catalog follow each other."""
    session.execute(select(func.pg_advisory_xact_lock(0x6C61626C, catalog_id)))


def _told(session: Session, by: Person, label_set: LabelSet, what: str, **facts: str) -> None:
    about: dict[str, str | int] = {
        "catalog": label_set.catalog_id,
        "set": label_set.name,
        "change": what,
        "key": label_set.key or "",
    }
    audit.record(session, "labels_defined", by.id, None, **(about | facts))
