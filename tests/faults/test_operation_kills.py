"""An act on many photos whose worker is killed at random moments, and its undo, end as if nobody had killed it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from app.bulk import operations
from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.database import transaction
from app.labels import sets
from app.labels.tables import Labelling
from app.people import Person
from app.review.tables import Assignment, Decision, Operation
from app.selection.query import parse
from app.selection.tables import PhotoIndex
from app.settings import Settings
from tests import cast
from tests.faults.lost_workers import lost_workers

PHOTOS = 20_000
KILLS = 4
# What the photo index says of a photo on which the act was done.
DONE: dict[str, Any] = {
    "decide": PhotoIndex.verdict == "kept",
    "label": func.cardinality(PhotoIndex.labels) == 1,
    "assign": PhotoIndex.assignee_id.is_not(None),
    "recaption": PhotoIndex.captioned_by == "captioner",
}


@pytest.mark.parametrize(
    ("kind", "photos"), [("decide", PHOTOS), ("label", PHOTOS), ("assign", PHOTOS), ("recaption", 4000)]
)
def test_what_was_asked_for_is_done_once_and_taken_back_whole(
    engine: Engine, emptied: None, settings: Settings, kind: str, photos: int
) -> None:
    with transaction(engine) as session:
        pile, ana, mei = cast.catalog(session), cast.person(session), cast.person(session, "Mei")
        pile_id, ana_id, mei_id = pile.id, ana.id, mei.id
        fill(session, pile, photos)
        value = value_of(session, pile, mei, kind)
        theirs = operations.begin(session, parse("", pile.id), mei, "decide", {"verdict": "rejected"}, "")
        while operations.do_next(session, theirs.id):
            pass
        before = standing(session)
    with transaction(engine) as session:
        ana = session.get_one(Person, ana_id)
        operation = operations.begin(session, parse("", pile_id), ana, kind, value, "", photos)
        doing = operations.carry_out(session, operation, ana)
        assert doing is not None
    with lost_workers(engine, settings) as workers:
        job = workers.do(doing.id, KILLS)
        assert (job.state, job.done) == ("done", photos), job.failure
        with transaction(engine) as session:
            done = session.get_one(Operation, operation.id)
            assert (done.state, done.changed, done.already) == ("done", photos, 0)
            table = operations.ACTS[kind].table
            of_act = select(func.count(), func.count(table.image_id.distinct()))
            counted = session.execute(of_act.where(table.operation_id == operation.id)).one()
            assert tuple(counted) == (photos, photos), "each photo once"
            assert session.scalar(select(func.count()).where(DONE[kind])) == photos
            undoing = operations.undo(session, operation.id, session.get_one(Person, mei_id))
            assert undoing is not None
        job = workers.do(undoing.id, KILLS)
        print(f"kills: {workers.kills}")
        assert job.state == "done", job.failure
    with transaction(engine) as session:
        assert session.get_one(Operation, operation.id).taken_back == photos
        assert session.scalar(select(func.count()).where(DONE[kind])) == 0
        assert standing(session) == before


def value_of(session: Session, pile: Catalog, mei: Person, kind: str) -> dict[str, Any]:
    """What is done to all photos."""
    if kind == "label":
        label_set, tag = sets.tag(session, pile.id, mei, "summer")
        return {"set_id": label_set.id, "value_id": tag.id, "is_taken": False}
    return {"decide": {"verdict": "kept"}, "assign": {"person_id": mei.id}, "recaption": {"model": None}}[kind]


def fill(session: Session, pile: Catalog, photos: int) -> None:
    """So many photos, all alike."""
    first = cast.image(session, pile)
    columns = [column.name for column in Image.__table__.columns if column.computed is None]
    own = {"id": "nextval(pg_get_serial_sequence('image', 'id'))", "sha256": "md5(n::text)", "file_name": "n::text"}
    wanted = ", ".join(own.get(name, name) for name in columns)
    session.execute(
        text(
            f"insert into image ({', '.join(columns)}) select {wanted} from image, "  # noqa: S608
            f"generate_series(2, {photos}) as n where id = {first.id}"
        )
    )


def standing(session: Session) -> list[tuple[int, int]]:
    """How many rows of each history are current, and the sum of their numbers."""
    counted = []
    for table in (Decision, Labelling, Assignment, Caption):
        current = select(func.count(), func.coalesce(func.sum(table.id), 0)).where(table.superseded_at.is_(None))
        count, total = session.execute(current).one()
        counted.append((int(count), int(total)))
    return counted
