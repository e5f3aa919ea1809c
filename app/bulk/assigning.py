"""Assigning many photos: whose they are to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, any_, cast, func, insert, literal, select, update
from sqlalchemy.orm import Session

from app import people
from app.bulk.acts import Act, Did, photos
from app.catalog import reading
from app.database import array
from app.errors import NotFound
from app.review.tables import Assignment, Operation


class Assign(Act):
    """Every photo is a person's to look at, `person_id`, or nobody's where that is None; `name` as it was then."""

    table = Assignment

    def checked(self, session: Session, catalog_id: int, value: dict[str, Any]) -> dict[str, Any]:
        number = value["person_id"]
        if number is None:
            return {"person_id": None, "name": None}
        person = people.get(session, number)
        if person.deleted_at is not None:
            raise NotFound(f"{person.name} is not on the team any more.")
        return {"person_id": person.id, "name": person.name}

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        there = sorted(reading.held(session, image_ids, operation.catalog_id))
        assignee = operation.value["person_id"]
        is_current = (Assignment.image_id == any_(array(there)), Assignment.superseded_at.is_(None))
        current = session.execute(
            select(Assignment.image_id, Assignment.assignee_id, Assignment.created_at).where(*is_current)
        ).all()
        so = {row.image_id for row in current if row.assignee_id == assignee}
        if assignee is None:
            so |= set(there) - {row.image_id for row in current}
        newer = {row.image_id for row in current if row.created_at > operation.created_at} - so
        changing = [image_id for image_id in there if image_id not in so and image_id not in newer]
        before = (
            update(Assignment)
            .where(Assignment.image_id == any_(array(changing)), Assignment.superseded_at.is_(None))
            .values(superseded_at=operation.created_at)
            .returning(Assignment.id, Assignment.image_id)
            .cte("before")
        )
        chosen = func.unnest(array(changing)).table_valued("id").render_derived()
        rows = (
            select(
                chosen.c.id, before.c.id, cast(assignee, BigInteger), literal(operation.person_id),
                literal(operation.created_at), literal(operation.id),
            )
            .select_from(chosen)
            .outerjoin(before, before.c.image_id == chosen.c.id)
        )  # fmt: skip
        names = ["image_id", "parent_id", "assignee_id", "person_id", "created_at", "operation_id"]
        if changing:
            session.execute(insert(Assignment).from_select(names, rows))
        session.expire_all()
        return Did(len(changing), len(so), len(image_ids) - len(changing) - len(so))

    def said(self, operation: Operation, count: int) -> str:
        return f"Assigned {photos(count)} to {operation.value['name'] or 'nobody'}"

    def after(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> None:
        pass  # nothing follows from whose a photo is
