"""The tasks that do an act on many photos and take it back: batch by batch, stopped half-way, gone on with."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select

from app import jobs
from app.bulk import operations
from app.catalog.tables import Catalog
from app.database import transaction, utc_now
from app.jobs import Job
from app.people import Person
from app.review.tables import Decision, Operation
from app.selection.query import parse
from app.settings import Settings
from tests import cast
from workers import celery_app, cpu, operation_job

pytestmark = pytest.mark.usefixtures("committed")
PHOTOS = 5


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "BATCH", 2)
    monkeypatch.setattr(operations, "AT_ONCE", 1)


@pytest.fixture
def asked(engine: Engine) -> Operation:
    """Ana's keep of five photos, which waits for a worker."""
    with transaction(engine) as session:
        pile: Catalog = cast.catalog(session)
        for _ in range(PHOTOS):
            cast.image(session, pile)
        ana = cast.person(session)
        chosen = parse("", pile.id)
        operation = operations.begin(session, chosen, ana, "decide", {"verdict": "kept"}, "", PHOTOS)
        operations.carry_out(session, operation, ana)
        return operation


def work_on(engine: Engine, settings: Settings, asked: Operation) -> tuple[Operation, Job]:
    """Let a worker do the operation's newest job; both as they are then."""
    with transaction(engine) as session:
        job = jobs.get(session, session.get_one(Operation, asked.id).job_id or 0)
    celery_app.do(job.id, cpu.do_operation if job.kind == operations.DO else cpu.undo_operation, settings)
    with transaction(engine) as session:
        return session.get_one(Operation, asked.id), jobs.get(session, job.id)


def kept(engine: Engine) -> int:
    with transaction(engine) as session:
        return len(session.scalars(select(Decision.id).where(Decision.superseded_at.is_(None))).all())


def undo(engine: Engine, asked: Operation) -> None:
    with transaction(engine) as session:
        operations.undo(session, asked.id, session.get_one(Person, asked.person_id))


def test_all_batches_are_done_and_taken_back(engine: Engine, settings: Settings, asked: Operation) -> None:
    operation, job = work_on(engine, settings, asked)
    assert (job.state, job.done, job.total) == ("done", PHOTOS, PHOTOS)
    assert (operation.state, operation.changed, kept(engine)) == ("done", PHOTOS, PHOTOS)
    undo(engine, asked)
    operation, job = work_on(engine, settings, asked)
    assert (job.kind, job.state, job.done, job.total) == ("operation.undo", "done", PHOTOS, PHOTOS)
    assert (operation.state, operation.taken_back, kept(engine)) == ("undone", PHOTOS, 0)


def test_a_stop_half_way_keeps_what_was_done_and_the_rest_comes_when_it_is_asked_for(
    engine: Engine, settings: Settings, asked: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = operations.do_next

    def stopped_after_one(session: operations.Session, operation_id: int) -> int:
        count = done(session, operation_id)
        with transaction(engine) as other:
            jobs.cancel(other, operations.get(other, operation_id).job_id or 0)
        return count

    with monkeypatch.context() as patch:
        patch.setattr(operation_job.operations, "do_next", stopped_after_one)
        operation, job = work_on(engine, settings, asked)
    assert (job.state, job.done) == ("cancelled", 2)
    assert (operation.state, operation.changed, kept(engine)) == ("open", 2, 2)
    with transaction(engine) as session:
        operations.go_on(session, asked.id, session.get_one(Person, asked.person_id))
    operation, job = work_on(engine, settings, asked)
    assert (job.state, job.done, job.total) == ("done", 3, 3)
    assert (operation.state, operation.changed, kept(engine)) == ("done", PHOTOS, PHOTOS)


def test_an_act_that_cannot_go_on_ends_in_a_sentence_and_is_taken_back(
    engine: Engine, settings: Settings, asked: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = operations.do_next

    def removed_meanwhile(session: operations.Session, operation_id: int) -> int:
        count = done(session, operation_id)
        session.get_one(Catalog, asked.catalog_id).removed_at = utc_now()
        return count

    with monkeypatch.context() as patch:
        patch.setattr(operation_job.operations, "do_next", removed_meanwhile)
        operation, job = work_on(engine, settings, asked)
    assert (job.state, job.failure) == ("failed", "This catalog was removed. What its versions hold is kept with them.")
    assert (operation.state, operation.changed, kept(engine)) == ("open", 2, 2)
    undo(engine, asked)
    operation, _ = work_on(engine, settings, asked)
    assert (operation.state, kept(engine)) == ("undone", 0)


def test_a_worker_that_lost_its_lease_keeps_nothing(
    engine: Engine, settings: Settings, asked: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = operations.do_next

    def lost_meanwhile(session: operations.Session, operation_id: int) -> int:
        count = done(session, operation_id)
        with transaction(engine) as other:
            job = jobs.get(other, operations.get(other, operation_id).job_id or 0)
            job.state = "queued"
        return count

    with monkeypatch.context() as patch:
        patch.setattr(operation_job.operations, "do_next", lost_meanwhile)
        operation, job = work_on(engine, settings, asked)
    assert (job.state, operation.changed, kept(engine)) == ("queued", 0, 0)
    assert work_on(engine, settings, asked)[0].changed == PHOTOS
