"""An act on many photos whose worker is killed at random moments, and its undo, end as if nobody had killed it."""

from __future__ import annotations

from sqlalchemy import Engine, func, select, text

from app.catalog.tables import Image
from app.database import transaction
from app.people import Person
from app.review import operations
from app.review.tables import Decision, Operation
from app.selection.query import parse
from app.selection.tables import PhotoIndex
from app.settings import Settings
from tests import cast
from tests.faults.lost_workers import lost_workers

PHOTOS = 20_000
KILLS = 4


def test_what_was_asked_for_is_done_once_and_taken_back_whole(
    engine: Engine, emptied: None, settings: Settings
) -> None:
    with transaction(engine) as session:
        pile, ana, mei = cast.catalog(session), cast.person(session), cast.person(session, "Mei")
        pile_id, ana_id, mei_id = pile.id, ana.id, mei.id
        first = cast.image(session, pile)
        columns = [column.key for column in Image.__mapper__.column_attrs]
        own = {"id": "nextval(pg_get_serial_sequence('image', 'id'))", "sha256": "md5(n::text)", "file_name": "n::text"}
        wanted = ", ".join(own.get(name, name) for name in stored(columns))
        session.execute(
            text(
                f"insert into image ({', '.join(stored(columns))}) select {wanted} from image, "  # noqa: S608
                f"generate_series(2, {PHOTOS}) as n where id = {first.id}"
            )
        )
        theirs = operations.begin(session, parse("", pile.id), mei, "decide", {"verdict": "rejected"}, "")
        while operations.do_next(session, theirs.id):
            pass
        before = standing(session)
    with transaction(engine) as session:
        ana = session.get_one(Person, ana_id)
        operation = operations.begin(session, parse("", pile_id), ana, "decide", {"verdict": "kept"}, "", PHOTOS)
        doing = operations.carry_out(session, operation, ana)
        assert doing is not None
    with lost_workers(engine, settings) as workers:
        job = workers.do(doing.id, KILLS)
        assert (job.state, job.done) == ("done", PHOTOS), job.failure
        with transaction(engine) as session:
            done = session.get_one(Operation, operation.id)
            assert (done.state, done.changed, done.already) == ("done", PHOTOS, 0)
            of_act = select(func.count(), func.count(Decision.image_id.distinct()))
            counted = session.execute(of_act.where(Decision.operation_id == operation.id)).one()
            assert tuple(counted) == (PHOTOS, PHOTOS), "each photo once"
            kept = select(func.count()).where(PhotoIndex.verdict == "kept")
            assert session.scalar(kept) == PHOTOS
            undoing = operations.undo(session, operation.id, session.get_one(Person, mei_id))
            assert undoing is not None
        job = workers.do(undoing.id, KILLS)
        print(f"kills: {workers.kills}")
        assert job.state == "done", job.failure
    with transaction(engine) as session:
        assert session.get_one(Operation, operation.id).taken_back == PHOTOS
        assert standing(session) == before


def stored(columns: list[str]) -> list[str]:
    """Columns of a photo that are written, and not worked out by the database."""
    return [name for name in columns if Image.__table__.c[name].computed is None]


def standing(session: operations.Session) -> tuple[int, int]:
    """How many decisions are current, and the sum of their numbers."""
    current = select(func.count(), func.sum(Decision.id)).where(Decision.superseded_at.is_(None))
    count, total = session.execute(current).one()
    return int(count), int(total)
