"""Giving labels: to one photo, or to many for an operation, taken away, taken back; what others said is never lost in
silence.

Where a set takes one answer, another person's answer is replaced only by somebody who has seen it. Where it takes many,
labels are added and taken away one by one, so that two people who label at once both are heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, any_, cast, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.catalog.tables import Image
from app.database import utc_now
from app.errors import Conflict, NotFound, Refused
from app.labels.tables import Labelling, LabelSet, LabelValue
from app.people import Person
from app.review.decisions import lock, name_of
from app.review.undoing import Undone


@dataclass(frozen=True, slots=True)
class LabelAct:
    """What is done in one set: a label given, or taken away; all of the set's, where `value` is None."""

    label_set: LabelSet
    value: LabelValue | None
    is_taken: bool = False

    @property
    def adds(self) -> bool:
        """Whether it leaves the other labels of the set as they are."""
        return self.label_set.kind == "many" and self.value is not None

    def after(self, before: Sequence[int]) -> list[int]:
        """The labels of a photo in this set once it is done, by number, ascending."""
        if self.value is None:
            return []
        if self.is_taken:
            return [number for number in before if number != self.value.id]
        return sorted({*before, self.value.id}) if self.adds else [self.value.id]


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of a photo in one set: labels by name, who said it and when."""

    set_name: str
    labels: tuple[str, ...]
    person: str
    labelling: Labelling


def give(
    session: Session, image: Image, person: Person, act: LabelAct, expected_id: int | None = None
) -> Labelling | None:
    """Do this on one photo; what is so already stays as it is. None where nothing was said and nothing is.

    `expected_id` is the labelling of this set that the person saw (0: none); None asks for no check. Raises Refused for
    a set or label that is retired, NotFound for a set of another catalog, and Conflict where another person has
    answered otherwise since.
    """
    check(act, image.catalog_id)
    lock(session, image.catalog_id, func.pg_advisory_xact_lock_shared)
    session.execute(select(Image.id).where(Image.id == image.id).with_for_update(key_share=True))
    before = current(session, image.id, act.label_set.id)
    labels = act.after(before.value_ids if before else [])
    if labels == (before.value_ids if before else []):
        return before
    is_others = before is not None and before.person_id != person.id
    if before is not None and is_others and not act.adds and expected_id not in (None, before.id):
        raise _conflict(session, act.label_set, before)
    now = utc_now()
    if before is not None:
        before.superseded_at = now
        session.flush()
    labelling = Labelling(
        image_id=image.id, set_id=act.label_set.id, value_ids=labels, person_id=person.id, created_at=now,
        parent_id=before.id if before is not None else None,
    )  # fmt: skip
    session.add(labelling)
    session.flush()
    return labelling


def current(session: Session, image_id: int, set_id: int) -> Labelling | None:
    """What is said of a photo in a set at this moment, or None."""
    return session.scalars(
        select(Labelling)
        .where(Labelling.image_id == image_id, Labelling.set_id == set_id, Labelling.superseded_at.is_(None))
        .execution_options(populate_existing=True)
    ).one_or_none()


def said_in(session: Session, label_set: LabelSet) -> int:
    """How many photos have a label in a set."""
    now = (
        Labelling.set_id == label_set.id,
        Labelling.superseded_at.is_(None),
        func.cardinality(Labelling.value_ids) > 0,
    )
    return session.scalar(select(func.count()).select_from(Labelling).where(*now)) or 0


def history(session: Session, image_id: int) -> list[Said]:
    """All that was ever said of a photo, newest first."""
    rows = session.execute(
        select(Labelling, LabelSet.name, Person.name)
        .join(LabelSet, LabelSet.id == Labelling.set_id)
        .join(Person, Person.id == Labelling.person_id)
        .where(Labelling.image_id == image_id)
        .order_by(Labelling.id.desc())
    ).all()
    names = _names(session, {number for row, _, _ in rows for number in row.value_ids})
    return [Said(of, tuple(names[number] for number in row.value_ids), by, row) for row, of, by in rows]


def newest(session: Session, person: Person) -> Labelling | None:
    """The newest labelling of this person that still stands."""
    mine = (Labelling.person_id == person.id, Labelling.superseded_at.is_(None))
    return session.scalars(select(Labelling).where(*mine).order_by(Labelling.id.desc()).limit(1)).first()


def undo(session: Session, newest_one: Labelling) -> Undone:
    """Take back the act that a labelling is of, as far as nobody labelled again since."""
    image = session.get_one(Image, newest_one.image_id)
    lock(session, image.catalog_id)
    now = utc_now()
    undone = session.execute(
        update(Labelling)
        .where(Labelling.person_id == newest_one.person_id, Labelling.created_at == newest_one.created_at)
        .where(Labelling.superseded_at.is_(None))
        .values(superseded_at=now, undone_at=now)
        .returning(Labelling.image_id, Labelling.parent_id)
        .execution_options(synchronize_session=False)
    ).all()
    parents = [row.parent_id for row in undone if row.parent_id is not None]
    session.execute(
        update(Labelling)
        .where(Labelling.id == any_(cast(parents, ARRAY(BigInteger))))
        .values(superseded_at=None)
        .execution_options(synchronize_session=False)
    )
    session.expire_all()
    name = session.get_one(LabelSet, newest_one.set_id).name
    if len(undone) == 1:
        return Undone(f"{name_of(image)} has its earlier labels of “{name}” again.", image.id, 1)
    return Undone(f"Took back the labels of “{name}” on {len(undone):,} photos.", image.id, len(undone))


def replace(session: Session, ids: list[int], act: LabelAct, person_id: int, now: datetime, operation_id: int) -> None:
    """Label many photos anew, by the very statement that supersedes: the photo index follows each statement.

    The caller holds the catalog's decisions.
    """
    if not ids:
        return
    chosen = func.unnest(cast(ids, ARRAY(BigInteger))).table_valued("id").render_derived()
    old = (
        update(Labelling)
        .where(Labelling.image_id == any_(cast(ids, ARRAY(BigInteger))), Labelling.set_id == act.label_set.id)
        .where(Labelling.superseded_at.is_(None))
        .values(superseded_at=now)
        .returning(Labelling.id, Labelling.image_id, Labelling.value_ids)
        .cte("superseded")
    )
    rows = (
        select(
            chosen.c.id, literal(act.label_set.id), old.c.id, literal(now), _after_in_sql(act, old.c.value_ids),
            literal(person_id), literal(operation_id),
        )
        .select_from(chosen)
        .outerjoin(old, old.c.image_id == chosen.c.id)
    )  # fmt: skip
    names = ["image_id", "set_id", "parent_id", "created_at", "value_ids", "person_id", "operation_id"]
    session.execute(insert(Labelling).from_select(names, rows))
    session.expire_all()


def _after_in_sql(act: LabelAct, before: ColumnElement[list[int]]) -> ColumnElement[list[int]]:
    """`LabelAct.after` as SQL."""
    numbers: Any = ARRAY(BigInteger)
    there = func.coalesce(before, cast([], numbers))
    if act.value is None:
        return cast([], numbers)
    if act.is_taken:
        return func.array_remove(there, cast(act.value.id, BigInteger))
    if not act.adds:
        return cast([act.value.id], numbers)
    each = func.unnest(func.array_append(there, cast(act.value.id, BigInteger))).column_valued("number")
    return func.array(select(each).distinct().order_by(each).scalar_subquery())


def check(act: LabelAct, catalog_id: int) -> None:
    """Raises NotFound for a set of another catalog or a label of another set, Refused for what is retired."""
    label_set, value = act.label_set, act.value
    if label_set.catalog_id != catalog_id:
        raise NotFound(f"“{label_set.name}” is a label set of another catalog.")
    if label_set.retired_at is not None:
        raise Refused(f"“{label_set.name}” is retired; bring it back to label in it.")
    if value is not None and value.set_id != label_set.id:
        raise NotFound(f"“{label_set.name}” has no such label.")
    if value is not None and value.retired_at is not None and not act.is_taken:
        raise Refused(f"“{value.name}” of “{label_set.name}” is retired; bring it back to give it again.")


def _names(session: Session, numbers: set[int]) -> dict[int, str]:
    if not numbers:
        return {}
    rows = session.execute(select(LabelValue.id, LabelValue.name).where(LabelValue.id.in_(numbers)))
    return {row.id: row.name for row in rows}


def _conflict(session: Session, label_set: LabelSet, before: Labelling) -> Conflict:
    names = _names(session, set(before.value_ids))
    said = ", ".join(names[number] for number in before.value_ids) or "nothing any more"
    person = session.get_one(Person, before.person_id)
    return Conflict(f"{person.name} said {said} in “{label_set.name}” meanwhile.", said)
