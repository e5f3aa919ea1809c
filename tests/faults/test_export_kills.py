"""An export whose worker is killed at random moments ends with the bytes of one that was left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from app.database import transaction
from app.exports import asking, writing
from app.exports.members import gather
from app.exports.shards import Wish
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.datasets.cast import frozen, kept
from tests.exports.cast import digest
from tests.faults.lost_workers import lost_workers

PHOTOS = 320
PHOTO_BYTES = 4 << 20
KILLS = 4


@pytest.mark.parametrize("name", ["webdataset", "imagefolder"])
def test_an_export_is_the_same_bytes_whoever_is_killed(
    name: str, engine: Engine, emptied: None, settings: Settings, tmp_path: Path
) -> None:
    files = Storage(settings.data_dir)
    rng = np.random.default_rng(5)
    with transaction(engine) as session:
        pile = cast.catalog(session)
        for number in range(PHOTOS):
            photo = kept(session, files, pile, product=f"P{number}", caption=f"Kettle {number}.")
            sha256 = files.put("originals", rng.bytes(PHOTO_BYTES), ".jpg")
            photo.render_path = files.path("originals", sha256, ".jpg").relative_to(files.root).as_posix()
            photo.was_read_strictly = True
        session.flush()
        version = frozen(session, files, pile)
        export = asking.request_export(session, version.id, name, cast.person(session))
    with lost_workers(engine, settings) as workers:
        job = workers.do(export.job_id, KILLS)
        print(f"kills: {workers.kills}")
        assert job.state == "done", job.failure
    with transaction(engine) as session:
        outgoing = gather(session, files, version.id)
    writing.write(tmp_path / "undisturbed", outgoing, name, Wish())
    folder = asking.folder_of(files, export.id)
    assert digest(folder) == digest(tmp_path / "undisturbed")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
