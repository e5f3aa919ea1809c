"""A freeze reads picture files that changed since they were last read, and no others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image
from app.datasets import checked_files, freezing, picture_files
from app.datasets.arranging import arrange
from app.errors import Refused
from app.storage import Storage, sha256_of
from tests import cast
from tests.datasets.cast import frozen, kept


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read; those written a moment ago are remembered too."""
    names: list[str] = []

    def read(path: Path) -> str:
        names.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(picture_files, "sha256_of", read)
    monkeypatch.setattr(checked_files, "SETTLED_NS", -10_000_000_000)
    return names


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


def photos(session: Session, storage: Storage, pile: Catalog, count: int) -> list[Image]:
    made = [kept(session, storage, pile) for _ in range(count)]
    for photo in made:
        photo.was_read_strictly = True
    session.flush()
    return made


def test_only_new_files_are_read_again(session: Session, storage: Storage, pile: Catalog, reads: list[str]) -> None:
    photos(session, storage, pile, 3)
    first = frozen(session, storage, pile)
    assert len(reads) == 3
    assert frozen(session, storage, pile).content_hash == first.content_hash
    assert len(reads) == 3, "none was read again"
    (new,) = photos(session, storage, pile, 1)
    frozen(session, storage, pile)
    assert reads[3:] == [Path(new.render_path).name]


@pytest.mark.parametrize("has_its_old_time", [False, True])
def test_a_file_that_was_changed_since_is_refused(
    has_its_old_time: bool, session: Session, storage: Storage, pile: Catalog, reads: list[str]
) -> None:
    photo = photos(session, storage, pile, 3)[1]
    frozen(session, storage, pile)
    file = storage.root / photo.render_path
    before = file.stat()
    file.write_bytes(b"x" * before.st_size)
    if has_its_old_time:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    version = freezing.request_freeze(session, pile.id)
    with pytest.raises(Refused, match="not the one that was taken in any more"):
        arrange(storage, freezing.gather(session, version))
    file.unlink()
    with pytest.raises(Refused, match="is missing"):
        arrange(storage, freezing.gather(session, version))


def test_what_was_written_a_moment_ago_and_what_is_kept_no_more_is_read_again(
    session: Session, storage: Storage, pile: Catalog, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked_files, "SETTLED_NS", 3_600_000_000_000)
    photos(session, storage, pile, 2)
    frozen(session, storage, pile)
    frozen(session, storage, pile)
    assert len(reads) == 4
    monkeypatch.setattr(checked_files, "SETTLED_NS", -10_000_000_000)
    frozen(session, storage, pile)
    (kept_in,) = storage.cache_folder.rglob("*.npy")
    kept_in.write_bytes(kept_in.read_bytes()[:-7])
    frozen(session, storage, pile)
    assert len(reads) == 8


def test_how_far_it_is_is_heard(session: Session, storage: Storage, pile: Catalog, reads: list[str]) -> None:
    photos(session, storage, pile, 5)
    version = freezing.request_freeze(session, pile.id)
    heard: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_files, "AT_ONCE", 2)
        arrange(storage, freezing.gather(session, version), 0, heard.append)
    assert heard == [2, 4, 5]
