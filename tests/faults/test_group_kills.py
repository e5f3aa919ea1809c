"""Grouping whose worker is killed at random moments ends with the groups of one that was left alone."""

from __future__ import annotations

from sqlalchemy import Engine, select

from app import jobs
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup, DuplicateMember, PixelHash
from app.catalog.tables import Signals
from app.database import transaction
from app.jobs import Job
from app.settings import Settings
from tests import cast
from tests.faults.lost_workers import lost_workers
from tests.pictures import again, patches
from workers.signals.fingerprint import fingerprint

ORIGINALS = 60
REPEATED = 20  # of each photo
KILLS = 4


def test_groups_are_the_same_whoever_is_killed(engine: Engine, emptied: None, settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with transaction(engine) as session:
        pile = cast.catalog(session)
        intake = cast.image(session, pile)
        session.flush()
        for seed in range(ORIGINALS):
            for name, picture in (("png", patches(seed)), ("jpg", again(patches(seed), "JPEG", quality=60))):
                mark, path = fingerprint(picture), f"{seed}.{name}"
                picture.save(settings.data_dir / path)
                for _ in range(REPEATED // 2):
                    photo = cast.image(session, pile)
                    photo.render_path = path
                    signals = session.get_one(Signals, photo.id)
                    signals.frame_keys, signals.frame_thumbs = mark.keys, mark.thumbs
        asked = jobs.request(session, "photos.group", {"catalog_id": pile.id}).id
        assert intake.id
    with lost_workers(engine, settings) as workers:
        job = workers.do(asked, KILLS)
        print(f"kills: {workers.kills}")
        assert job.state == "done", job.failure
    with transaction(engine) as session:
        groups = session.scalars(select(DuplicateGroup)).all()
        assert [(group.grade, group.size) for group in groups] == [("photo", REPEATED)] * ORIGINALS
        members = session.scalars(select(DuplicateMember.image_id)).all()
        assert len(members) == len(set(members)) == ORIGINALS * REPEATED
        assert len(session.scalars(select(PixelHash.image_id)).all()) == ORIGINALS * REPEATED
        assert len(session.scalars(select(PixelHash.sha256).distinct()).all()) == 2 * ORIGINALS
        assert session.scalar(select(CopyPair.first_id).where(CopyPair.first_id >= CopyPair.second_id)) is None
        again_id = jobs.request(session, "photos.group", {"catalog_id": pile.id}).id
    with lost_workers(engine, settings) as workers:
        job = workers.do(again_id, 0)
        assert (job.result["photos"], job.result["hashed"]) == (0, 0)
    with transaction(engine) as session:
        assert session.scalars(select(DuplicateMember.image_id)).all() == members
        assert session.scalar(select(Job.id).where(Job.state != "done")) is None
