"""A version keeps the picture that it froze, with the mend and its mask, whatever is done to the photo later."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog import mends
from app.catalog.mend_tables import Mend
from app.catalog.tables import Image
from app.datasets import comparing, freezing, reading, verifying
from app.datasets.manifest import read_manifest
from app.datasets.tables import Member
from app.errors import Refused
from app.people import Person
from app.removal import files, photos
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.datasets.cast import frozen, kept

EDITS = mends.Edits(turns=1, crop=(0.1, 0.2, 0.9, 0.8), has_mask=True)


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return Storage(settings.data_dir)


def mended(session: Session, storage: Storage, photo: Image) -> Mend:
    """The photo, mended as a worker leaves it: with files of its own and a mask."""
    by = session.scalars(select(Person).limit(1)).one()
    base = mends.newest(session, photo.id)
    mask = storage.put("masks", b"drawn", ".png")
    mend = mends.request(session, photo.id, EDITS, mask, by, base.id if base else 0)
    render = storage.path("renders", storage.put("renders", b"mended", ".png"), ".png")
    mend.render_path = render.relative_to(storage.root).as_posix()
    mend.thumb_sha256, mend.view_sha256 = storage.put("thumbs", b"t", ".jpg"), storage.put("views", b"v", ".jpg")
    mend.width_px, mend.height_px = 360, 640
    mend.mended_mask_sha256 = storage.put("masks", b"in frame", ".png")
    mends.show(session, mend, by)
    return mend


def test_a_version_keeps_the_mended_picture_after_the_mend_was_taken_back(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photo = kept(session, storage, pile)
    plain = frozen(session, storage, pile)
    mend = mended(session, storage, photo)
    version = frozen(session, storage, pile)
    manifest = storage.dataset_folder(version.id) / freezing.MANIFEST
    before = manifest.read_bytes()
    (row,) = read_manifest(manifest)
    edits = asdict(EDITS)
    assert row.mend == {"id": mend.id, **edits, "crop": list(EDITS.crop)}
    assert (manifest.parent / str(row.mask)).read_bytes() == b"in frame"
    assert (manifest.parent / row.file).read_bytes() == b"mended"
    assert (row.width_px, row.height_px) == (360, 640)
    assert version.content_hash != plain.content_hash
    first = mends.of(session, photo.id)[-1]
    mends.restore(session, first.id, session.scalars(select(Person).limit(1)).one(), mend.id)
    assert manifest.read_bytes() == before
    assert (manifest.parent / row.file).is_file()
    (change,) = comparing.listed(session, version, plain, "mended")
    assert (change.mend_before, change.mend_now) == (None, mend.id)
    (change,) = comparing.listed(session, plain, version, "mended")
    assert (change.mend_before, change.mend_now) == (mend.id, None)
    shown = {number: reading.members(session, number)[0].mend_id for number in (plain.id, version.id)}
    assert shown == {plain.id: None, version.id: mend.id}
    members = session.scalars(select(Member.mend_id).order_by(Member.version_id)).all()
    assert members == [None, mend.id]


def test_only_a_mask_makes_another_version(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photo = kept(session, storage, pile)
    mend = mended(session, storage, photo)
    first = frozen(session, storage, pile)
    mend.mended_mask_sha256 = storage.put("masks", b"another", ".png")
    assert frozen(session, storage, pile).content_hash != first.content_hash


def test_a_mask_that_is_gone_is_named(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photo = kept(session, storage, pile)
    mend = mended(session, storage, photo)
    storage.path("masks", mend.mended_mask_sha256 or "", ".png").unlink()
    with pytest.raises(Refused, match=f"The mask of {photo.file_name} is missing"):
        frozen(session, storage, pile)


def test_a_mask_that_changed_since_is_not_whole(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    mend = mended(session, storage, kept(session, storage, pile))
    version = frozen(session, storage, pile)
    rows = verifying.manifest_of(session, storage, version)
    assert list(verifying.faults(storage, version.id, rows)) == [(1, [])]
    mask = storage.path("masks", mend.mended_mask_sha256 or "", ".png")
    mask.chmod(0o600)
    mask.write_bytes(b"another")
    assert list(verifying.faults(storage, version.id, rows)) == [(1, [rows[0].mask])]


def test_removing_a_photo_takes_its_mends_and_their_files_along(session: Session, storage: Storage) -> None:
    pile, owner = cast.catalog(session), cast.person(session, "Olu", "owner")
    photo = kept(session, storage, pile)
    mend = mended(session, storage, photo)
    its_files, photo_sha256 = mends.files_of(session, storage, [photo.id]), photo.sha256
    assert {mend.render_path, f"files/masks/{mend.mask_sha256[:2]}/{mend.mask_sha256}.png"} <= its_files  # type: ignore[index]
    assert files.unneeded(session, its_files) == [], "while the photo is there"
    assert "1 mend of its picture" in photos.consequences(session, photo).goes
    removed = photos.remove(session, storage, photo.id, owner, "")
    assert its_files <= set(removed.files)
    assert session.scalars(select(Mend.id)).all() == []
    mended_files = {file for file in its_files if photo_sha256 not in file}
    assert set(files.unneeded(session, mended_files)) == mended_files


def test_a_removed_photo_that_a_version_holds_keeps_its_mends(session: Session, storage: Storage) -> None:
    pile, owner = cast.catalog(session), cast.person(session, "Olu", "owner")
    photo = kept(session, storage, pile)
    mended(session, storage, photo)
    frozen(session, storage, pile)
    its_files = mends.files_of(session, storage, [photo.id])
    photos.remove(session, storage, photo.id, owner, "")
    assert files.unneeded(session, its_files) == []
