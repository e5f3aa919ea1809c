"""Many rows, and many values, in one statement."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, Text, delete, event, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.catalog.tables import Signals
from app.database import array, recordset, utc_now
from app.selection.changes import PhotoChange
from tests import cast


def test_rows_arrive_as_they_were_sent(session: Session) -> None:
    pile = cast.catalog(session)
    ids = [cast.image(session, pile, name).id for name in ("a.jpg", "b.jpg")]
    session.execute(delete(Signals))
    at = datetime(2026, 12, 1, 9, 30, 15, 123456, tzinfo=UTC)
    rows = [
        {"image_id": ids[0], "version": 3, "measured_at": at, "background": "“white” \\ ' \n", "sharpness": 0.1 + 0.2,
         "box": [0.1, 0.25, 1 / 3, 1.0], "is_cropped": True, "cropped_edges": ["left"], "frame_keys": b"\0\xff\\x41"},
        {"image_id": ids[1], "version": 4, "measured_at": at, "background": "x", "sharpness": None,
         "box": None, "is_cropped": None, "cropped_edges": [], "frame_keys": None},
    ]  # fmt: skip
    session.execute(insert(Signals).from_select(list(rows[0]), select(recordset(Signals, rows))))
    for row in rows:
        there = session.get_one(Signals, row["image_id"])
        assert {name: getattr(there, name) for name in row} == row
    # An absent value is NULL and no JSON null.
    assert session.scalars(select(Signals.image_id).where(Signals.box.is_(None))).all() == [ids[1]]


def test_many_rows_are_one_statement_and_run_triggers_once(session: Session) -> None:
    pile = cast.catalog(session)
    ids = [cast.image(session, pile, f"{number}.jpg").id for number in range(20)]
    session.execute(delete(Signals))
    notes = select(func.count()).select_from(PhotoChange).where(PhotoChange.catalog_id == pile.id)
    before, statements = session.scalar(notes) or 0, list[str]()
    event.listen(session.connection(), "before_cursor_execute", lambda *sent: statements.append(sent[2]))
    rows = [{"image_id": image_id, "version": 3, "background": "white"} for image_id in ids]
    session.execute(insert(Signals).from_select(list(rows[0]), select(recordset(Signals, rows))))
    assert len(statements) == 1
    assert (session.scalar(notes) or 0) - before == 1


def test_values_arrive_as_one_array(session: Session) -> None:
    texts = ["", "NULL", None, 'a "quoted", {braced} \\ text', "naïve ’ 猫", "two\nlines"]
    moments = [utc_now(), None]
    arrays = (array([3, -1, 2**40]), array([]), array(texts, Text()), array(moments, DateTime(timezone=True)))
    assert session.execute(select(*arrays)).one() == ([3, -1, 2**40], [], texts, moments)
