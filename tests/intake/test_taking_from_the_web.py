"""A table of web addresses is taken in like a folder: photos, words, refusals, and what servers say of training."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Image, SourceFile
from app.intake import ingest, planning, settling
from app.intake.fetching import Fetched
from app.intake.sources.entry import Unopened
from app.intake.taking import Share, take_share
from app.storage import Storage
from tests import cast
from tests.intake.conftest import encoded, picture

TABLE = """image_url,title,licence
https://shop.example/red.jpg,Red kettle,CC BY 4.0
https://shop.example/blue.jpg,Blue kettle,
https://shop.example/gone.jpg,Gone kettle,
"""


def fetch(url: str, max_bytes: int) -> Fetched:
    if "gone" in url:
        raise Unopened("The server answers 404 Not Found.")
    return Fetched(encoded(picture(len(url))), {"x-robots-tag": "noai"} if "blue" in url else {})


def test_photos_of_a_table_of_addresses_keep_whose_they_are(
    session: Session, storage: Storage, folder: Path, begin: Callable[[], AbstractContextManager[Session]]
) -> None:
    (folder / "metadata.csv").write_text(TABLE)
    pile = cast.catalog(session)
    intake = ingest.request_intake(session, pile, folder, cast.person(session))
    listed = planning.plan(begin, lambda **_: None, intake.id)
    share = Share(intake.id, listed.ids[0], listed.ids[-1])
    assert take_share(begin, lambda **_: None, storage, share, 60, fetch=fetch) == 3
    settling.settle(begin, intake.id)
    session.expire_all()
    photos = {row.title: row for row in session.scalars(select(Image).where(Image.catalog_id == pile.id))}
    assert set(photos) == {"Red kettle", "Blue kettle"}
    red, blue = photos["Red kettle"], photos["Blue kettle"]
    assert (red.source, red.licence, red.opt_out) == ("https://shop.example/red.jpg", "CC BY 4.0", "no")
    assert (blue.source, blue.licence, blue.opt_out) == ("https://shop.example/blue.jpg", None, "yes")
    (refused,) = session.scalars(select(SourceFile).where(SourceFile.outcome == "refused"))
    assert refused.reason == "The server answers 404 Not Found."
