"""`packshot captions` and `packshot labels`: out of one catalog, into another, from the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.captions import writing
from app.catalog.tables import Image
from app.cli import main
from app.labels import giving, sets
from app.labels.tables import LabelSet
from tests import cast


def packshot(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.usefixtures("emptied")
def test_captions_and_labels_go_out_and_in(
    engine: Engine,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PACKSHOT_DATABASE_URL", database_url)
    monkeypatch.setenv("PACKSHOT_DATA_DIR", str(tmp_path / "data"))
    with Session(engine, expire_on_commit=False) as session, session.begin():
        ana, eve = cast.person(session), cast.person(session, "Eve", "annotator")
        pile, other = cast.catalog(session), cast.catalog(session)
        photo, twin = cast.red_kettle(session, pile), cast.image(session, other)
        twin.sha256, twin.file_name = photo.sha256, photo.file_name
        writing.rewrite(session, photo.id, "Ana’s own.", ana, writing.history(session, photo.id)[0].id)
        tags = sets.define(session, pile.id, ana, "Tags", "many", ["red"])
        giving.give(session, photo, ana, giving.LabelAct(tags, tags.values[0]))
    out, sidecars, labels = tmp_path / "c.jsonl", tmp_path / "c.zip", tmp_path / "l.zip"
    assert packshot("captions", "export", pile.id, out, "--history") == 0
    assert packshot("captions", "export", pile.id, sidecars) == 0
    assert packshot("captions", "export", pile.id, out) == 2, "nothing is written over"
    assert packshot("captions", "export", pile.id, tmp_path / "c.xlsx") == 2
    assert packshot("labels", pile.id, labels, "--set", "tags") == 0
    capsys.readouterr()
    assert packshot("captions", "import", other.id, out, "--as", ana.email, "--look") == 0
    assert capsys.readouterr().out == "1 new, 1 of the history.\n"
    assert packshot("captions", "import", other.id, out, "--as", eve.email) == 2
    assert "Only a lead can bring such files in." in capsys.readouterr().err
    assert packshot("captions", "import", other.id, out, "--as", ana.email) == 0
    assert capsys.readouterr().out.endswith("Brought in captions of 1 photo from “c.jsonl”.\n")
    assert packshot("captions", "import", other.id, sidecars, "--as", ana.email) == 0
    assert capsys.readouterr().out == "1 the same.\nNothing was changed; 1 had them already.\n"
    into = ("labels", other.id, labels, "--set", "Tags", "--bring-in-as")
    assert packshot(*into, eve.email) == 2
    assert "Only a lead can bring such files in." in capsys.readouterr().err
    assert packshot(*into, ana.email, "--look") == 0
    assert capsys.readouterr().out == "1 new, 2 to be made, sets and labels.\n"
    assert packshot(*into, ana.email) == 0
    assert capsys.readouterr().out.endswith("Brought in labels of 1 photo from “l.zip”.\n")
    with Session(engine) as session:
        brought = writing.history(session, session.get_one(Image, twin.id).id)
        assert [(row.text, row.written_by) for row in brought] == [
            ("Ana’s own.", "person"), ("Red kettle, centred on a pure white background.", "captioner"),
        ]  # fmt: skip
        assert [row.name for row in session.query(LabelSet).filter_by(catalog_id=other.id)] == ["Tags"]
