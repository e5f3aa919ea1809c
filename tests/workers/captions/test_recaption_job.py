"""An operation's photos captioned anew by a model: batch by batch, shared by workers, stopped, killed, taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, select

from app import jobs
from app.bulk import operations
from app.captions import writing
from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.database import transaction, utc_now
from app.jobs import Job
from app.people import Person
from app.review.tables import Operation
from app.selection.query import parse
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.workers.captions.test_caption_job import Parrot, add_photo
from workers import celery_app, cpu
from workers.captions import recaption_job
from workers.celery_app import Work
from workers.devices.model_cache import ModelCache

pytestmark = pytest.mark.usefixtures("committed")
PHOTOS = 5


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "BATCH", 160)
    monkeypatch.setattr(recaption_job, "BATCHES_AT_ONCE", 1)


@pytest.fixture
def asked(engine: Engine, settings: Settings) -> Operation:
    """Ana's recaption of five photos, of which the last has her own words, in batches of two, each a part."""
    with transaction(engine) as session:
        pile: Catalog = cast.catalog(session)
        ana = cast.person(session)
    photos = [add_photo(engine, pile, Storage(settings.data_dir)) for _ in range(PHOTOS)]
    with transaction(engine) as session:
        writing.rewrite(session, photos[-1].id, "Ana’s words.", session.get_one(Person, ana.id), None)
        person = session.get_one(Person, ana.id)
        value = {"model": "org/parrot", "replaces": False}
        operation = operations.begin(session, parse("", pile.id), person, "recaption", value, "", PHOTOS)
        operations.carry_out(session, operation, person)
        return operation


def work(engine: Engine, settings: Settings, asked: Operation, body: Callable[[Work], Any]) -> tuple[Operation, Job]:
    """Let workers do the operation's newest job and its parts, until nothing of it waits; both as they are then."""
    with transaction(engine) as session:
        whole = session.get_one(Operation, asked.id).job_id
    while True:
        with transaction(engine) as session:
            of_job = (Job.id == whole) | (Job.whole_id == whole)
            waiting = session.scalars(select(Job.id).where(of_job, Job.state == "queued").order_by(Job.id)).first()
        if waiting is None:
            break
        celery_app.do(waiting, body, settings)
    with transaction(engine) as session:
        return session.get_one(Operation, asked.id), jobs.get(session, whole or 0)


def looking(parrot: Parrot) -> Callable[[Work], Any]:
    return lambda work: recaption_job.look(work, ModelCache(threads=1), load=lambda *_: parrot)  # type: ignore[return-value, arg-type]


def texts(engine: Engine) -> list[str]:
    with transaction(engine) as session:
        now = select(Caption.text).join(Image, Image.id == Caption.image_id).where(Caption.superseded_at.is_(None))
        return list(session.scalars(now.order_by(Image.id)))


def test_a_model_captions_them_part_by_part_and_the_undo_leaves_none(
    engine: Engine, settings: Settings, asked: Operation
) -> None:
    parrot = Parrot(says=("A red kettle.",))
    operation, job = work(engine, settings, asked, looking(parrot))
    assert (job.state, job.parts, job.done, job.total) == ("done", 3, PHOTOS, PHOTOS), job.failure
    assert (operation.state, operation.changed, operation.passed_over) == ("done", PHOTOS - 1, 1)
    assert len(parrot.asked) == PHOTOS - 1, "a photo with a person's caption is not looked at"
    assert texts(engine) == ["A red kettle."] * (PHOTOS - 1) + ["Ana’s words."]
    with transaction(engine) as session:
        operations.undo(session, asked.id, session.get_one(Person, asked.person_id))
    operation, _ = work(engine, settings, asked, cpu.undo_operation)
    assert (operation.state, operation.taken_back, texts(engine)) == ("undone", PHOTOS - 1, ["Ana’s words."])


def test_a_stop_keeps_whole_batches_and_the_rest_goes_on_later(
    engine: Engine, settings: Settings, asked: Operation
) -> None:
    parrot = Parrot()

    def stop() -> None:
        if len(parrot.asked) == 2:
            with transaction(engine) as session:
                jobs.cancel(session, session.get_one(Operation, asked.id).job_id or 0)

    parrot.on_look = stop
    operation, job = work(engine, settings, asked, looking(parrot))
    assert job.state == "cancelled"
    assert operation.state == "open" and operation.changed in (2, 4)
    with transaction(engine) as session:
        row = operations.row_of(session, session.get_one(Operation, asked.id))
        assert row.is_half_done and row.may_be_undone
        operations.go_on(session, asked.id, session.get_one(Person, asked.person_id))
    operation, job = work(engine, settings, asked, looking(Parrot()))
    assert (operation.state, operation.changed, operation.passed_over) == ("done", PHOTOS - 1, 1)


def test_nothing_more_is_looked_at_of_a_catalog_that_was_removed(
    engine: Engine, settings: Settings, asked: Operation
) -> None:
    parrot = Parrot()

    def remove() -> None:
        with transaction(engine) as session:
            session.get_one(Catalog, asked.catalog_id).removed_at = utc_now()

    parrot.on_look = remove
    operation, job = work(engine, settings, asked, looking(parrot))
    assert (job.state, "This catalog was removed" in (job.failure or "")) == ("failed", True)
    assert (len(parrot.asked), operation.changed, operation.state) == (2, 0, "open")


def test_a_batch_that_broke_is_looked_at_again_and_others_are_not(
    engine: Engine, settings: Settings, asked: Operation
) -> None:
    parrot = Parrot()

    def crash() -> None:
        if len(parrot.asked) == 2:
            raise MemoryError("no memory left")

    parrot.on_look = crash
    with pytest.raises(MemoryError):
        work(engine, settings, asked, looking(parrot))
    assert len(texts(engine)) == 3
    work(engine, settings, asked, looking(Parrot()))
    with transaction(engine) as session:
        operations.go_on(session, asked.id, session.get_one(Person, asked.person_id))
    fresh = Parrot()
    operation, job = work(engine, settings, asked, looking(fresh))
    assert (job.state, operation.state, operation.changed) == ("done", "done", PHOTOS - 1)
    assert len(fresh.asked) == 2 or len(texts(engine)) == PHOTOS
