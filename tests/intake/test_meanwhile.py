"""Taking in what changed meanwhile: a catalog that was removed, an upload that waited for days, a file met twice."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Intake
from app.database import utc_now
from app.errors import NotFound
from app.intake import ingest, taking, uploads
from app.storage import Storage
from tests import cast
from tests.intake.conftest import encoded, picture

Begin = Callable[[], AbstractContextManager[Session]]


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


def ask(session: Session, pile: Catalog, folder: Path) -> Intake:
    return ingest.request_intake(session, pile, folder, cast.person(session))


def tell(done: int | None = None, total: int | None = None, note: str | None = None) -> None:
    """Nobody listens."""


def test_a_file_that_an_archive_holds_twice_is_one_photo(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(folder / "a.zip", "w") as archive:
        warnings.simplefilter("ignore")
        for seed in (1, 1, 2):
            archive.writestr("a.jpg", encoded(picture(seed)))
    asked = ask(session, pile, folder)
    result = taking.take_in(begin, tell, storage, asked.id, max_megapixels=50)
    session.expire_all()
    assert (result["accepted"], result["already_there"], result["refused"]) == (2, 1, 0)
    assert (session.get_one(Intake, asked.id).accepted, session.get_one(Intake, asked.id).already_there) == (2, 1)


def test_nothing_comes_into_a_catalog_that_was_removed_since(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    (folder / "a.jpg").write_bytes(encoded(picture()))
    asked = ask(session, pile, folder)
    pile.removed_at = utc_now()
    session.flush()
    with pytest.raises(NotFound, match="was removed"):
        taking.take_in(begin, tell, storage, asked.id, max_megapixels=50)


def test_an_upload_that_waits_to_be_taken_in_is_kept_however_long(
    session: Session, storage: Storage, pile: Catalog
) -> None:
    ana = cast.person(session)
    waiting, left = (storage.root / uploads.FOLDER / uploads.begin(session, storage, ana) for _ in range(2))
    for place in (waiting, left):
        (place / "a.jpg").write_bytes(encoded(picture()))
        os.utime(place, (1, 1))
    uploads.request_intake(session, storage, pile, waiting.name, ana)
    os.utime(waiting, (1, 1))
    uploads.begin(session, storage, ana)
    assert (waiting.is_dir(), left.is_dir()) == (True, False)
