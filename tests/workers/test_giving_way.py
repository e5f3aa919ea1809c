"""What nothing waits for gives way: between two batches, to whatever is more urgent, and loses nothing by it."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image as Pillow
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from app import audit, broker, jobs, urgency
from app.captions import proposing
from app.catalog.files import view_path
from app.catalog.tables import Image, Lettering
from app.database import transaction
from app.jobs import Job
from app.settings import Settings
from app.storage import Storage
from tests import cast
from workers import celery_app, cpu
from workers.lettering import lettering_job

ASKED: dict[str, Any] = {"catalog_id": 1}


def state_of(engine: Engine, job_id: int) -> Job:
    with transaction(engine) as session:
        return jobs.get(session, job_id)


@pytest.mark.parametrize(("kind", "arguments", "expected"), [
    ("captions.propose", {"image_ids": [7]}, urgency.AT_ONCE),
    ("captions.look", {"image_ids": [7]}, urgency.AT_ONCE),
    ("captions.propose", {"image_ids": None}, urgency.IN_TURN),
    ("captions.propose", {"image_ids": list(range(urgency.FEW + 1))}, urgency.IN_TURN),
    ("dataset.freeze", {}, urgency.AT_ONCE),
    ("intake.take_in", {}, urgency.IN_TURN),
    ("signals.measure", {}, urgency.IN_TURN),
    ("review.apply_rules", {}, urgency.IN_TURN),
    *((kind, {}, urgency.LATER) for kind in ("photos.group", "photos.embed", "photos.encode", "photos.map",
                                             "photos.read_text")),
])  # fmt: skip
def test_what_people_wait_for_is_sent_before_steps_of_photos_and_these_before_the_rest(
    session: Session, kind: str, arguments: dict[str, Any], expected: int
) -> None:
    assert jobs.request(session, kind, ASKED | arguments).urgency == expected


def test_the_most_urgent_is_sent_first_and_parts_are_as_urgent_as_their_whole(session: Session) -> None:
    whole = jobs.request(session, "photos.read_text", ASKED)
    claim = jobs.claim(session, whole.id, "here:1")
    assert claim is not None
    jobs.cut(session, claim, [jobs.JobPart({"image_ids": [number]}, 1) for number in range(40)])
    rules = jobs.request(session, "review.apply_rules", ASKED)
    caption = jobs.request(session, "captions.propose", ASKED | {"image_ids": [7]})
    sent = broker.unsent(session)
    mine = [job for job in sent if job.id >= whole.id]
    assert [job.id for job in mine[:2]] == [caption.id, rules.id]
    assert {job.urgency for job in mine[2:]} == {urgency.LATER}
    assert len(mine) == 2 + broker.PARTS_AHEAD


def test_what_a_person_asks_for_moves_up_where_it_waits_already(session: Session) -> None:
    pile, person = cast.catalog(session), cast.person(session)
    waiting = jobs.request_once(session, "photos.map", {"catalog_id": pile.id})
    waiting.sent_at = waiting.requested_at
    session.info[audit.FROM_ADDRESS] = "10.0.0.7"
    try:
        asked = jobs.request_once(session, "photos.map", {"catalog_id": pile.id}, person)
    finally:
        del session.info[audit.FROM_ADDRESS]
    assert (asked.id, asked.urgency, asked.sent_at) == (waiting.id, urgency.IN_TURN, None)


def test_reading_gives_way_to_a_caption_between_two_batches_and_goes_on_behind_it(
    engine: Engine, settings: Settings, committed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lettering_job, "BATCH", 4)
    storage = Storage(settings.data_dir)
    with transaction(engine) as session:
        pile = cast.catalog(session)
        photos = [cast.image(session, pile) for _ in range(20)]
        for photo in photos:
            view = view_path(storage, photo.view_sha256)
            view.parent.mkdir(parents=True, exist_ok=True)
            Pillow.new("RGB", (32, 32), "white").save(view, "JPEG")
        catalog_id, photo_id = pile.id, photos[0].id
        whole_id = jobs.request(session, "photos.read_text", {"catalog_id": catalog_id}).id
    celery_app.do(whole_id, cpu.read_text, settings)
    with transaction(engine) as session:
        part_ids = session.scalars(select(Job.id).where(Job.whole_id == whole_id).order_by(Job.id)).all()
        caption_id = proposing.request_captions(session, catalog_id, settings, image_ids=[photo_id]).id
    assert len(part_ids) == 2
    celery_app.do(part_ids[0], cpu.read_text, settings)
    part = state_of(engine, part_ids[0])
    assert (part.state, part.done, part.total, part.attempts, part.failure) == ("queued", 4, 16, 0, None)
    assert state_of(engine, whole_id).done == 4
    celery_app.do(caption_id, cpu.propose_captions, settings)
    assert state_of(engine, caption_id).state == "done"
    for kind in ("review.apply_rules",):
        with transaction(engine) as session:
            following = session.scalars(select(Job.id).where(Job.kind == kind)).one()
        celery_app.do(following, cpu.apply_rules, settings)
    for part_id in part_ids:
        celery_app.do(part_id, cpu.read_text, settings)
    assert [state_of(engine, part_id).state for part_id in part_ids] == ["done", "done"]
    whole = state_of(engine, whole_id)
    assert (whole.state, whole.done, whole.total) == ("queued", 20, 20)
    with transaction(engine) as session:
        read = session.scalar(select(func.count()).select_from(Lettering).join(Image))
    assert read == 20


def test_what_is_as_urgent_as_the_rest_does_not_give_way(engine: Engine, settings: Settings, committed: None) -> None:
    with transaction(engine) as session:
        freeze = jobs.request(session, "dataset.freeze", {"version_id": 1})
        jobs.request(session, "captions.propose", ASKED | {"image_ids": [7]})
        claim = jobs.claim(session, freeze.id, "here:1")
        assert claim is not None and not jobs.is_outranked(session, claim)
        embed = jobs.claim(session, jobs.request(session, "photos.encode", ASKED).id, "here:1")
        assert embed is not None and not jobs.is_outranked(session, embed), "the cpu’s work is not the gpu’s"
