"""Freezing whose worker is killed at random moments ends with the version of one that was left alone, once."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from app import jobs
from app.catalog.tables import Signals
from app.database import transaction
from app.datasets import freezing
from app.datasets.manifest import content_hash, read_manifest
from app.datasets.repeats import Repeat
from app.datasets.tables import DatasetVersion, Member
from app.jobs import Job
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.datasets.cast import kept
from tests.faults.lost_workers import lost_workers
from workers.signals.measure import SIGNALS_VERSION

PHOTOS = 300
KILLS = 2


def test_a_version_is_the_same_and_there_once_whoever_is_killed(
    engine: Engine, emptied: None, settings: Settings
) -> None:
    storage = Storage(settings.data_dir)
    with transaction(engine) as session:
        pile = cast.catalog(session)
        for number in range(PHOTOS):
            photo = kept(session, storage, pile, product=f"P{number // 3}", category=f"Kind {number % 7}")
            session.get_one(Signals, photo.id).version = SIGNALS_VERSION
        repeated = [Repeat('category:"kind 3"', 3)]
        alone = freezing.request_freeze(session, pile.id, seed=7, repeated=repeated)
        jobs.get(session, alone.job_id or 0).state = "done"
        freezing.freeze(session, storage, alone)
        killed = freezing.request_freeze(session, pile.id, seed=7, repeated=repeated)
        asked, number = killed.job_id or 0, killed.id
    with lost_workers(engine, settings) as workers:
        job = workers.do(asked, KILLS)
        print(f"kills: {workers.kills}")
        assert job.state == "done", job.failure
    with transaction(engine) as session:
        versions = session.scalars(select(DatasetVersion).order_by(DatasetVersion.id)).all()
        assert [version.id for version in versions] == [alone.id, number]
        assert versions[0].content_hash == versions[1].content_hash is not None
        assert versions[0].summary == versions[1].summary
        counts = dict(session.execute(select(Member.version_id, func.count()).group_by(Member.version_id)).all())
        assert counts == {alone.id: PHOTOS, number: PHOTOS}
        rows = read_manifest(storage.dataset_folder(number) / freezing.MANIFEST)
        assert content_hash(rows) == versions[1].content_hash
        assert session.scalar(select(Job.id).where(Job.state != "done")) is None
    left = [file.name for file in storage.dataset_folder(number).iterdir()]
    assert left == [freezing.MANIFEST], "no half-written manifest is left beside it"
