"""What the database knows of a version's members, and what a worker told of the device."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog.mend_tables import Mend
from app.catalog.tables import Image
from app.datasets.tables import Member
from app.launch import devices, members
from app.launch.checks import MemberCounts
from app.launch.facts import DeviceFacts
from app.settings import Settings
from tests.training.cast import frozen_version


def test_shapes_and_captions_are_counted(session: Session) -> None:
    version = frozen_version(session, photos=12, validation=4)
    photos = session.scalars(select(Image).join(Member, Member.image_id == Image.id)).all()
    for photo in photos[:9]:
        photo.width_px, photo.height_px = 800, 790
    captions = session.scalars(select(Caption).join(Member, Member.caption_id == Caption.id)).all()
    for caption in captions[:6]:
        caption.text = "A red kettle.  It has a black handle and stands on white."
    session.flush()
    found = members.facts(session, version)
    assert (found.train, found.validation, found.products) == (8, 4, 12)
    assert (found.oblong_share, found.long_share) == (0.25, 0.5)
    # Half of the captions have 12 words, half of them 9.
    assert found.caption_words == 10.5


def test_empty_captions_and_leaks_are_found(session: Session) -> None:
    version = frozen_version(session, photos=12, validation=4)
    assert members.counted(session, version) == MemberCounts(
        version.id, 8, 4, 0, 0, 0, long_sides=((800, 12),), uncompared=None
    )
    rows = session.scalars(select(Member).where(Member.version_id == version.id).order_by(Member.image_id)).all()
    rows[0].group = rows[-1].group = "kettle"
    session.get_one(Caption, rows[3].caption_id).text = " \n "
    session.flush()
    found = members.counted(session, version)
    assert (found.empty_captions, found.leaking_products, found.leaking_pictures) == (1, 1, 0)


def test_masks_of_photos_to_learn_from_are_counted(session: Session) -> None:
    version = frozen_version(session, photos=4, validation=1)
    rows = session.scalars(select(Member).where(Member.version_id == version.id).order_by(Member.split)).all()
    for row, mask in zip(rows, ("ab", None, "cd", "ef"), strict=True):
        mend = Mend(image_id=row.image_id, edits={}, mended_mask_sha256=mask)
        session.add(mend)
        session.flush()
        row.mend_id = mend.id
    session.flush()
    assert [row.split for row in rows] == ["train"] * 3 + ["validation"]
    assert members.counted(session, version).masks == 2


def test_a_version_without_members_is_all_zeros(session: Session) -> None:
    version = frozen_version(session, photos=0, validation=0)
    assert members.facts(session, version).caption_words == 0


def test_the_device_is_what_a_worker_told(tmp_path: Path) -> None:
    here = Settings(data_dir=tmp_path, worker_threads=2)
    assert devices.known(here) == DeviceFacts("", None, 2, cores=2)
    devices.tell(tmp_path, "NVIDIA H100", 80 << 30)
    assert devices.known(here) == DeviceFacts("NVIDIA H100", 80 << 30, 2, cores=2)
    assert devices.known(here).has_gpu
    (tmp_path / devices.FILE).write_text("{")
    assert devices.known(here).name == ""


def test_without_a_word_about_threads_every_core_may_have_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    found = devices.known(Settings(data_dir=tmp_path))
    assert (found.threads, found.cores) == (5, 6)
