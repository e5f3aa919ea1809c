"""Whatever is measured of a photo has a unit, range and version, a key, bars, "cannot tell", and an overlay."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.catalog import embeddings
from app.catalog.embeddings import EmbedderFacts
from app.catalog.measures import SCALE_OF
from app.catalog.tables import Image, Lettering, PhotoMap, Signals
from app.selection import browse
from app.selection.keys import KEYS, LISTED, MEASURES, SEVERAL
from app.selection.kinds import Measure
from app.selection.query import parse
from app.web.views.evidence import OVERLAYS, parts_of
from tests import cast

DOCS = runpy.run_path(str(Path(__file__).resolve().parents[2] / "docs" / "list_signals.py"))
# What a signal was measured on, drawn over the photo or compared with others; and when.
BESIDE = {
    Signals: {
        "image_id", "version", "measured_at", "compared_at", "frame_keys", "frame_thumbs", "box", "cropped_edges",
        "subject_lab", "border_lines", "seam_lines", "outline",
    },
    Lettering: {"image_id", "version", "read_at", "lines", "words"},
}  # fmt: skip
NUMBERS = [column.key for column in Signals.__table__.columns if column.key in SCALE_OF and column.key != "parts"]


def test_the_page_of_signals_is_what_is_declared() -> None:
    assert DOCS["page"]() == DOCS["PAGE"].read_text(), "run `make docs`"


@pytest.mark.parametrize("table", BESIDE, ids=lambda table: table.__tablename__)
def test_whatever_is_stored_of_a_photo_can_be_asked_for_and_shown(table: type) -> None:
    kept = {column.key for column in table.__table__.columns} - BESIDE[table]  # type: ignore[attr-defined]
    assert kept == {column for owner, column in map(DOCS["stored"], map(KEYS.get, OVERLAYS)) if owner is table}


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_signal_has_its_unit_range_and_bars(name: str) -> None:
    key, overlay = KEYS[name], OVERLAYS[name]
    assert name in MEASURES | LISTED | SEVERAL
    assert overlay.shows and overlay.untold and (overlay.parts or overlay.mark)
    assert f"| `{name}:` |" in DOCS["page"]()
    if isinstance(key, Measure):
        scale, unit = SCALE_OF[key.column.key], key.top / key.full
        assert key.bottom <= scale.low * unit and scale.high * unit <= key.top, "all of its range can be asked for"


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_cannot_be_told_can_be_asked_for(session: Session, name: str) -> None:
    pile = cast.catalog(session)
    told, bare = cast.image(session, pile), cast.image(session, pile)
    measured = session.get_one(Signals, told.id)
    for column in NUMBERS:
        setattr(measured, column, 0.25)
    measured.parts, measured.is_cropped, measured.background_colour = 1, False, "white"
    session.add(Lettering(image_id=told.id, version=1, lines=[], place="none"))
    session.delete(session.get_one(Signals, bare.id))
    session.flush()
    asked = DOCS["untold"](KEYS[name])
    if name == "apart":
        both = browse.page(session, parse(asked, pile.id))
        assert {tile.id for tile in both} == {told.id, bare.id}, "neither is on a map"
    elif asked:
        assert [tile.id for tile in browse.page(session, parse(asked, pile.id))] == [bare.id]
    else:
        assert DOCS["stored"](KEYS[name])[0] is Image


def test_the_map_tells_how_far_a_photo_is_from_the_others(session: Session) -> None:
    pile = cast.catalog(session)
    ids = [cast.image(session, pile).id for _ in range(3)]
    space = embeddings.space_of(session, EmbedderFacts("drawn", "1", "none", 2, False))
    values = {"took_s": 1.0, "method": "pca", "seed": 1, "photos": 3, "neighbours": 2, "neighbours_kept": 1.0}
    made = PhotoMap(
        catalog_id=pile.id, space_id=space, image_ids=ids[:2], points=b"", apart=[0.25, 1.5], same_kind=None,
        categorised=0, **values,
    )  # fmt: skip
    session.add(made)
    session.flush()

    def found(query: str) -> list[int]:
        return [tile.id for tile in browse.page(session, parse(query, pile.id), "oldest")]

    assert found("apart:>1") == [ids[1]] and found("apart:none") == [ids[2]]
    made.image_ids, made.apart = ids[1:], [0.5, None]
    session.flush()
    assert found("apart:0.4..0.6") == [ids[1]] and found("apart:none") == [ids[0], ids[2]]


def test_parts_are_boxed_and_holes_are_not() -> None:
    big, hole, speck = (
        "M100 100L500 100L500 900L100 900Z",
        "M200 200L300 200L300 300L200 300Z",
        "M950 950L960 950L960 960Z",
    )
    other = "M600 100L900 100L900 900L600 900Z"
    assert parts_of(big + hole + speck + other) == ((0.1, 0.1, 0.5, 0.9), (0.6, 0.1, 0.9, 0.9))
    assert parts_of("") == ()


def test_a_photo_of_which_nothing_is_told_says_why(client: TestClient, session: Session) -> None:
    bare = cast.image(session, cast.catalog(session))
    session.delete(session.get_one(Signals, bare.id))
    session.flush()
    page = client.get(f"/images/{bare.id}").text
    for name, overlay in OVERLAYS.items():
        says = re.search(rf'<option value="{name}" data-says="([^"]+)"', page)
        is_known = DOCS["stored"](KEYS[name])[0] is Image
        assert says and says[1] == (overlay.shows if is_known else overlay.untold), name
