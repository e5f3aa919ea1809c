"""Labels on many photos: one given to all, taken from all, or all of a set taken away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import any_, select
from sqlalchemy.orm import Session

from app.bulk.acts import Act, Did, photos
from app.catalog import reading
from app.database import array
from app.errors import NotFound
from app.labels import giving, sets
from app.labels.giving import LabelAct
from app.labels.tables import Labelling, LabelValue
from app.review.tables import Operation


class GiveLabel(Act):
    """A label on every photo: of the set `set_id` the label `value_id`, or all of the set's where that is None; given,
    or taken away where `is_taken`. Another person's other answer stays unless it `replaces` them."""

    table = Labelling

    def checked(self, session: Session, catalog_id: int, value: dict[str, Any]) -> dict[str, Any]:
        act = _act(session, value)
        giving.check(act, catalog_id)
        return {
            "set_id": act.label_set.id, "value_id": act.value.id if act.value else None,
            "is_taken": act.is_taken, "replaces": bool(value.get("replaces")),
            "words": f"{act.label_set.name} “{act.value.name}”" if act.value else act.label_set.name,
        }  # fmt: skip

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        there = sorted(reading.held(session, image_ids, operation.catalog_id))
        act = _act(session, operation.value)
        is_current = (Labelling.set_id == act.label_set.id, Labelling.superseded_at.is_(None))
        rows = session.execute(
            select(Labelling.image_id, Labelling.value_ids, Labelling.person_id, Labelling.created_at).where(
                Labelling.image_id == any_(array(there)), *is_current
            )
        )
        said = {row.image_id: row for row in rows}
        changing: list[int] = []
        already = 0
        for image_id in there:
            row = said.get(image_id)
            before = row.value_ids if row is not None else []
            if act.after(before) == before:
                already += 1
            elif row is None or act.adds or self._gives_way(operation, row):
                changing.append(image_id)
        giving.replace(session, changing, act, operation.person_id, operation.created_at, operation.id)
        return Did(len(changing), already, len(image_ids) - len(changing) - already)

    def said(self, operation: Operation, count: int) -> str:
        words = operation.value["words"]
        return (
            f"Took {words} from {photos(count)}" if operation.value["is_taken"] else f"Gave {words} to {photos(count)}"
        )

    def said_passed_over(self, count: int) -> str:
        return f"{count:,} {'keeps' if count == 1 else 'keep'} what somebody else said"

    def after(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> None:
        pass  # nothing follows from a label

    def _gives_way(self, operation: Operation, row: Any) -> bool:
        """Whether what was said of a photo may be replaced: nothing that was said since this was asked for."""
        is_own = row.person_id == operation.person_id or not row.value_ids
        return bool(is_own or operation.value["replaces"]) and bool(row.created_at <= operation.created_at)


def _act(session: Session, value: dict[str, Any]) -> LabelAct:
    label_set = sets.get(session, value["set_id"])
    number = value["value_id"]
    label = session.get(LabelValue, number, populate_existing=True) if number is not None else None
    if number is not None and label is None:
        raise NotFound(f"“{label_set.name}” has no such label.")
    return LabelAct(label_set, label, bool(value["is_taken"]))
