"""Files of photos that went missing come back when their folder is taken in again."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.catalog.tables import Image
from app.storage import Storage
from tests import cast
from tests.intake.test_ingest import Begin, add, take_in


def test_a_picture_whose_file_is_gone_gets_it_back(
    session: Session, begin: Begin, storage: Storage, folder: Path
) -> None:
    pile = cast.catalog(session)
    add(folder, "a.jpg", "b.jpg")
    take_in(session, begin, storage, pile, folder)
    image = session.scalars(select(Image).where(Image.file_name == "a.jpg")).one()
    (storage.root / image.render_path).unlink()
    _, result = take_in(session, begin, storage, pile, folder)
    assert (storage.root / image.render_path).is_file()
    assert (result["accepted"], result["refused"]) == (0, 0)
    assert session.scalar(select(func.count()).select_from(Image)) == 2
