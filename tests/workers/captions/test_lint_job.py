"""Captions are looked at as they stand, whoever wrote them, and again where what they are held against is new."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.captions import word_lists, writing
from app.catalog.tables import Image, Lettering
from app.database import transaction, utc_now
from app.jobs import Job
from app.people import Person
from app.selection import counting
from app.selection.query import parse
from app.selection.tables import PhotoIndex
from app.settings import Settings
from tests import cast
from workers import celery_app, cpu


def ids(session: Session, catalog_id: int, query: str) -> list[int]:
    return sorted(session.scalars(parse(query, catalog_id).select(PhotoIndex.image_id)))


def looked_at(engine: Engine, settings: Settings) -> int:
    """How many captions the job that waits has looked at; none waits behind it."""
    with transaction(engine) as session:
        counting.request_due(session)
        job = session.scalars(select(Job).where(Job.kind == "captions.lint", Job.state == "queued")).one()
    celery_app.do(job.id, cpu.lint_captions, settings)
    with transaction(engine) as session:
        counting.request_due(session)
        assert not session.scalars(select(Job).where(Job.kind == "captions.lint", Job.state == "queued")).all()
        return int((session.get_one(Job, job.id).result or {})["captions"])


@pytest.mark.usefixtures("emptied")
def test_captions_are_looked_at_once_and_again_where_something_is_new(engine: Engine, settings: Settings) -> None:
    texts = ("Red ketle.", "Possibly a red kettle.", "Cap lettered “KENSO”.", "Red kettle.", None)
    with transaction(engine) as session:
        pile = cast.catalog(session)
        slip, hedge, cap, good, bare = (cast.image(session, pile, caption=text).id for text in texts)
        assert ids(session, pile.id, "lint:unchecked") == [slip, hedge, cap, good]
        assert ids(session, pile.id, "lint:none") == [bare]
    assert looked_at(engine, settings) == 4
    with transaction(engine) as session:
        assert ids(session, pile.id, "lint:spelling") == [slip]
        assert ids(session, pile.id, "lint:hedging") == [hedge]
        assert ids(session, pile.id, "lint:any") == [slip, hedge]
        assert ids(session, pile.id, "lint:none") == [cap, good, bare]
        # A caption rewritten, a text read in the picture, and a title that has the word.
        ana = session.scalars(select(Person)).first() or cast.person(session)
        old = writing.current(session, [good])[good]
        writing.rewrite(session, good, "Red kettle, likely enamel.", ana, old.id)
        session.add(
            Lettering(image_id=cap, version=1, lines=[], words="KENZO", place="product", kinds=[], share=0.1,
                      read_at=utc_now())
        )  # fmt: skip
        session.get_one(Image, slip).title = "A ketle of ours"
        session.flush()
        assert ids(session, pile.id, "lint:unchecked") == [slip, cap, good]
    assert looked_at(engine, settings) == 3
    with transaction(engine) as session:
        assert ids(session, pile.id, "lint:hedging") == [hedge, good]
        assert ids(session, pile.id, "lint:printed") == [cap]
        assert ids(session, pile.id, "lint:spelling") == []
        # Another list of words: all are looked at.
        word_lists.save(session, pile.id, "banned", ("red",), session.get_one(Person, ana.id), 0)
    assert looked_at(engine, settings) == 4
    with transaction(engine) as session:
        assert ids(session, pile.id, "lint:banned") == [slip, hedge, good]
        assert ids(session, pile.id, "lint:hedging") == []
