"""Work on photos whose workers are killed at random moments ends as if nobody had killed them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from sqlalchemy import Engine, delete, func, select

from app import jobs
from app.captions.tables import Caption
from app.catalog.tables import Image, Intake, IntakeRemark, Signals, SourceFile
from app.database import transaction
from app.demo.drawing import draw
from app.demo.worlds import base_world
from app.intake import ingest
from app.intake.tables import IntakeFile
from app.jobs import Job
from app.settings import Settings
from tests import cast
from tests.faults.lost_workers import lost_workers

PHOTOS = 159
KILLS = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Drawn packshots, no two alike: a third in a folder, a third in a ZIP, a third in a packed shard with captions."""
    place = tmp_path / "photos"
    place.mkdir()
    rng = np.random.default_rng(3)
    drawn = list[bytes]()
    for scene, _ in base_world(PHOTOS, 21):
        file = io.BytesIO()
        noisy = np.clip(draw(scene, 256) + rng.integers(-2, 3, (256, 256, 1)), 0, 255).astype(np.uint8)
        Pillow.fromarray(noisy).save(file, "PNG")
        drawn.append(file.getvalue())
    with zipfile.ZipFile(place / "b.zip", "w") as archive, tarfile.open(place / "c.tar.gz", "w:gz") as shard:
        for number, data in enumerate(drawn):
            name = f"{number}.png"
            if number % 3 == 0:
                (place / name).write_bytes(data)
            elif number % 3 == 1:
                archive.writestr(f"mugs/{name}", data)
            else:
                _add(shard, name, data)
                _add(shard, f"{number}.txt", f"caption {number}".encode())
        # The same bytes once more, in another share.
        _add(shard, "again.png", drawn[0])
    rows = "\n".join(f"{number}.png,Title {number}" for number in range(0, PHOTOS, 3))
    (place / "metadata.csv").write_text(f"file_name,title\n{rows}\n")
    return place


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    shard.addfile(info, io.BytesIO(data))


def test_photos_are_taken_in_and_measured_once_each_whoever_is_killed(
    engine: Engine, emptied: None, settings: Settings, folder: Path
) -> None:
    with transaction(engine) as session:
        asked = ingest.request_intake(session, cast.catalog(session), folder, cast.person(session, role="owner"))
        intake_id, taking_in = asked.id, asked.job_id
    assert taking_in is not None
    with lost_workers(engine, settings) as workers:
        job = workers.do(taking_in, KILLS)
        print(f"kills: {workers.kills}")
        assert job.state == "done", job.failure
        counts = [job.result[name] for name in ("accepted", "already_there", "refused", "captions_given")]
        assert counts == [PHOTOS, 1, 0, PHOTOS // 3]
        assert (job.done, job.total) == (PHOTOS + 1, PHOTOS + 1)
        with transaction(engine) as session:
            parts = session.scalars(select(Job).where(Job.whole_id == taking_in)).all()
            following = session.scalars(select(Job.id).where(Job.kind == "signals.measure")).one()
        assert workers.do(following, 0).result["photos"] == 0
        with transaction(engine) as session:
            # As a version that measured otherwise would have left them.
            session.execute(delete(Signals))
            whole = {"catalog_id": asked.catalog_id, "image_ids": None}
            measuring = jobs.request(session, "signals.measure", whole).id
        assert len(parts) > 1
        job = workers.do(measuring, KILLS)
        print(f"kills: {workers.kills}")
        assert (job.state, job.done, job.total) == ("done", PHOTOS, PHOTOS), job.failure
    with transaction(engine) as session:
        parts = [*parts, *session.scalars(select(Job).where(Job.whole_id == measuring))]
        assert all(part.state == "done" and part.attempts <= jobs.MAX_ATTEMPTS for part in parts)
        assert session.scalar(select(func.count()).select_from(Signals)) == PHOTOS
        photos = dict(session.execute(select(Image.file_name, Image.title)).all())
        assert photos == {name: title for name, (title, _) in expected().items()}
        given = select(Image.file_name, Caption.text).join(Caption, Caption.image_id == Image.id)
        given = given.where(Caption.written_by == "given")
        assert sorted(tuple(row) for row in session.execute(given)) == sorted(
            (name, caption) for name, (_, caption) in expected().items() if caption
        )
        files = dict(session.execute(select(SourceFile.file_name, SourceFile.outcome)).all())
        assert files == dict.fromkeys(expected(), "accepted") | {"c.tar.gz/again.png": "same_bytes"}
        assert session.scalars(select(IntakeRemark)).all() == []
        assert session.scalars(select(IntakeFile)).all() == []
        intake = session.get_one(Intake, intake_id)
        assert (intake.accepted, intake.already_there, intake.refused) == (PHOTOS, 1, 0)


def expected() -> dict[str, tuple[str | None, str | None]]:
    """Title and caption of each photo by its name."""
    photos: dict[str, tuple[str | None, str | None]] = {}
    for number in range(PHOTOS):
        name = (f"{number}.png", f"b.zip/mugs/{number}.png", f"c.tar.gz/{number}.png")[number % 3]
        is_titled, is_captioned = number % 3 == 0, number % 3 == 2
        photos[name] = (f"Title {number}" if is_titled else None, f"caption {number}" if is_captioned else None)
    return photos
