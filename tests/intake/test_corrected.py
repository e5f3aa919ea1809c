"""Metadata taken in again, corrected: renamed columns, removed rows, other words, other rights. The newest word counts,
a person's stays, and what changed is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions import writing
from app.catalog import rights
from app.catalog.tables import Catalog, Image, IntakeRemark
from app.intake import ingest, planning, settling
from app.intake.fetching import Fetched
from app.intake.taking import Share, take_share
from app.storage import Storage
from tests import cast
from tests.intake.conftest import encoded, picture
from tests.intake.test_sources import TakeIn, captions, pictures
from tests.intake.test_sources import pile as pile
from tests.intake.test_sources import take_in as take_in

Begin = Callable[[], AbstractContextManager[Session]]


def write(folder: Path, kind: str, rows: list[dict[str, Any]]) -> None:
    for old in folder.glob("metadata.*"):
        old.unlink()
    place = folder / f"metadata.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), place)
    elif kind == "jsonl":
        place.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        columns = list(dict.fromkeys(column for row in rows for column in row))
        lines = [",".join(str(row.get(column, "")) for column in columns) for row in rows]
        place.write_text("\n".join([",".join(columns), *lines]))


def changed(session: Session) -> dict[str, str]:
    last = session.scalars(select(IntakeRemark.intake_id).order_by(IntakeRemark.intake_id.desc()).limit(1)).first()
    query = select(IntakeRemark).where(IntakeRemark.intake_id == last, IntakeRemark.kind == "changed")
    said: dict[str, str] = {}
    for row in session.scalars(query):
        said[row.name] = " ".join([said.get(row.name, ""), row.sentence]).strip()
    return said


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_corrected_table_corrects_what_it_says_and_nothing_else(
    session: Session, take_in: TakeIn, folder: Path, kind: str
) -> None:
    for name, data in pictures("1.jpg", "2.jpg", "3.jpg").items():
        (folder / name).write_bytes(data)
    first = {"licence": "CC BY 4.0", "do_not_train": "no", "Colour": "red"}
    rows = [{"file_name": f"{number}.jpg", "title": f"Mug {number}", "text": f"a mug {number}"} for number in (1, 2, 3)]
    write(folder, kind, [row | first for row in rows])
    take_in()
    person = cast.person(session, role="owner")
    image = session.scalars(select(Image).where(Image.file_name == "2.jpg")).one()
    current = writing.current(session, [image.id])[image.id]
    writing.rewrite(session, image.id, "a mug that a person saw", person, current.id)

    # Columns renamed, a row gone, words and rights changed.
    second = {"license": "All rights reserved", "opt_out": "yes", "colour": "dark red"}
    write(folder, kind, [row | second | {"text": f"a cup {row['file_name'][0]}"} for row in rows[:2]])
    result = take_in()
    photos = {image.file_name: image for image in session.scalars(select(Image))}
    assert [(photos[name].licence, photos[name].opt_out) for name in sorted(photos)] == [
        ("All rights reserved", "yes"), ("All rights reserved", "yes"), ("CC BY 4.0", "no"),
    ]  # fmt: skip
    assert photos["1.jpg"].extra == second and photos["3.jpg"].extra == first
    assert {name: text for name, (text, _) in captions(session).items()} == {
        "1.jpg": "a cup 1", "2.jpg": "a mug that a person saw", "3.jpg": "a mug 3",
    }  # fmt: skip
    said = changed(session)["1.jpg"]
    for words in ("“license” none → “All rights reserved”", "“licence” “CC BY 4.0” → none", "“opt_out” none → “yes”",
                  "“do_not_train” “no” → none", "“Colour” “red” → none"):  # fmt: skip
        assert words in said
    assert result["remarks"]["unused"] == 1  # the caption that a person's stands above

    write(folder, kind, [rows[0] | {"opt_out": "no"}])
    take_in()
    session.expire_all()
    assert session.scalars(select(Image.opt_out).where(Image.file_name == "1.jpg")).one() == "no"


@pytest.mark.parametrize(
    ("extra", "said", "gone"),
    [
        ({"license": "a", "x": 1}, {"licence": "b"}, []),
        ({"licence": "a", "x": 1}, {"license": "b"}, ["licence"]),
        ({"License": "a"}, {"license": "b"}, ["License"]),
        ({"rights": "a"}, {"licence": "b"}, []),  # read after the row's
        ({"url": "a", "origin": "c"}, {"link": "b"}, ["url"]),
        ({"url": "a", "link": "c"}, {"source_url": "b"}, []),
        ({"do_not_train": "yes", "No AI": "yes"}, {"opt_out": "no"}, ["do_not_train", "No AI"]),
        ({"tdm-reservation": "1", "x-robots-tag": "noai"}, {"opt_out": "no"}, []),
        ({"tdm-reservation": "1"}, {"TDM Reservation": "0"}, ["tdm-reservation"]),
        ({"colour": "red", "brand": "x"}, {"size": "L"}, []),
    ],
)
def test_what_a_renamed_column_takes_the_place_of(extra: dict[str, Any], said: dict[str, Any], gone: list[str]) -> None:
    assert rights.replaced(extra, said) == gone


def test_what_a_server_says_later_of_training_counts_and_is_said(
    session: Session, storage: Storage, folder: Path, begin: Begin, pile: Catalog
) -> None:
    (folder / "metadata.csv").write_text(
        "url\nhttps://a.example/1.jpg\nhttps://b.example/1.jpg\nhttps://a.example/2.jpg\n"
    )
    heads: dict[str, dict[str, str]] = {}

    def fetch(url: str, max_bytes: int) -> Fetched:
        return Fetched(encoded(picture(int(url[-5]))), heads.get(url, {}))

    def take() -> dict[str, Any]:
        intake = ingest.request_intake(session, pile, folder, cast.person(session))
        ids = planning.plan(begin, lambda **_: None, intake.id).ids  # type: ignore[misc]
        take_share(begin, lambda **_: None, storage, Share(intake.id, ids[0], ids[-1]), 60, fetch=fetch)  # type: ignore[misc]
        result = settling.settle(begin, intake.id)
        session.expire_all()
        return result

    heads["https://b.example/1.jpg"] = {"x-robots-tag": "noai"}  # the second address of the same bytes
    take()
    opted_out = select(Image.file_name).where(Image.opt_out == "yes").order_by(Image.file_name)
    assert session.scalars(opted_out).all() == ["https://a.example/1.jpg"]

    heads.clear()
    heads["https://a.example/2.jpg"] = {"tdm-reservation": "1"}
    heads["https://b.example/1.jpg"] = {"x-robots-tag": "noindex"}  # takes nothing back for the other address
    result = take()
    assert session.scalars(opted_out).all() == ["https://a.example/1.jpg", "https://a.example/2.jpg"]
    assert result["remarks"]["changed"] == 2
    assert changed(session)["https://a.example/2.jpg"] == (
        "https://a.example/2.jpg: “tdm-reservation” none → “1”, by its server."
    )
