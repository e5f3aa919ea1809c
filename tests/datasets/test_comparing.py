"""How two versions differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.captions import writing
from app.catalog.tables import Image
from app.datasets import comparing, freezing
from app.datasets.arranging import Placed
from app.datasets.comparing import KINDS, CaptionPiece, VersionChanges, word_by_word
from app.datasets.repeats import Repeat
from app.errors import Refused
from app.review import decisions
from app.storage import Storage
from tests import cast
from tests.datasets.cast import frozen, kept


def test_every_kind_of_change_is_counted_and_listed(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photos = [kept(session, storage, pile, product="P") for _ in range(6)]
    by = cast.person(session)
    first = [
        writing.rewrite(session, photos[number].id, "A red kettle.", by, None, kind)
        for number, kind in ((2, "short"), (3, "short"), (4, "tags"))
    ]
    older = frozen(session, storage, pile)
    writing.rewrite(session, photos[3].id, "A blue kettle.", by, first[1].id, "short")
    writing.rewrite(session, photos[3].id, "tin", by, None, "tags")
    added = kept(session, storage, pile)
    decisions.decide(session, photos[0], by, "rejected")
    old = writing.current(session, [photos[1].id])[photos[1].id]
    writing.rewrite(session, photos[1].id, "Blue kettle, centred on a pure white background.", by, old.id)
    same = writing.current(session, [photos[2].id])[photos[2].id]
    writing.rewrite(session, photos[2].id, same.text, by, same.id)
    mended = photos[3].render_path.replace(photos[3].render_path[-10:-4], "abcdef")
    (storage.root / mended).write_bytes((storage.root / photos[3].render_path).read_bytes())
    session.execute(update(Image).where(Image.id == photos[3].id).values(render_path=mended))

    version = freezing.request_freeze(session, pile.id, repeated=[Repeat(f"id:{photos[4].id},{photos[5].id}", 3)])
    gathered = freezing.gather(session, version)
    names = {place.image_id for place in gathered.candidates}
    assert names == {*(photo.id for photo in photos[1:]), added.id}
    placed = [
        Placed(each, each.sha256, "validation" if each.image_id == photos[5].id else "train")
        for each in gathered.candidates
    ]
    freezing.record(session, storage, version, placed)

    assert comparing.changes(session, version, older) == VersionChanges(1, 1, 1, 1, 1, 1, 1)
    ids = {kind: [one.image_id for one in comparing.listed(session, version, older, kind)] for kind in KINDS}
    assert ids == {
        "added": [added.id],
        "removed": [photos[0].id],
        "mended": [photos[3].id],
        "recaptioned": [photos[1].id],
        "other_captions": [photos[3].id],
        "moved": [photos[5].id],
        "repeated": [photos[4].id],
    }
    (change,) = comparing.listed(session, version, older, "recaptioned")
    assert list(change.pieces)[:2] == [CaptionPiece("gone", "Red "), CaptionPiece("new", "Blue ")]
    (change,) = comparing.listed(session, version, older, "other_captions")
    assert change.others == {
        "short caption": word_by_word("A red kettle.", "A blue kettle."),
        "tags": [CaptionPiece("new", "tin")],
    }
    assert comparing.changes(session, older, version) == VersionChanges(1, 1, 1, 1, 1, 1, 1)
    assert comparing.changes(session, version, version).is_none
    older.keeps_kinds = False  # frozen before captions of other kinds were kept: nothing is known of them
    assert comparing.changes(session, version, older).other_captions == 0
    assert comparing.listed(session, version, older, "other_captions") == []


def test_versions_of_two_catalogs_are_compared_by_their_originals(session: Session, storage: Storage) -> None:
    one, other = cast.catalog(session, "One"), cast.catalog(session, "Other")
    first, second = kept(session, storage, one), kept(session, storage, other)
    kept(session, storage, other)
    session.execute(update(Image).where(Image.id == second.id).values(sha256=first.sha256))
    older, newer = frozen(session, storage, one), frozen(session, storage, other)
    counted = comparing.changes(session, newer, older)
    assert (counted.added, counted.removed) == (1, 0)
    assert older in [version for version, _ in comparing.others(session, newer)]


def test_changes_come_page_by_page(session: Session, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "PAGE", 2)
    pile = cast.catalog(session)
    kept(session, storage, pile)
    older = frozen(session, storage, pile)
    added = [kept(session, storage, pile).id for _ in range(5)]
    newer = frozen(session, storage, pile)
    seen: list[int] = []
    while page := comparing.listed(session, newer, older, "added", seen[-1] if seen else 0):
        assert len(page) <= 2
        seen += [change.image_id for change in page]
    assert seen == added


def test_what_is_not_frozen_is_not_compared(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    kept(session, storage, pile)
    older = frozen(session, storage, pile)
    with pytest.raises(Refused, match="Version 2 is not frozen"):
        comparing.changes(session, freezing.request_freeze(session, pile.id), older)


@given(st.text(max_size=60), st.text(max_size=60))
def test_pieces_give_both_captions_back(old: str, new: str) -> None:
    pieces = word_by_word(old, new)
    assert "".join(piece.text for piece in pieces if piece.kind != "new") == old
    assert "".join(piece.text for piece in pieces if piece.kind != "gone") == new


@pytest.mark.parametrize(
    ("old", "new", "pieces"),
    [
        ("Four red tomatoes.", "Five red tomatoes.",
         [CaptionPiece("gone", "Four "), CaptionPiece("new", "Five "), CaptionPiece("same", "red tomatoes.")]),
        ("红色水壶", "蓝色水壶",
         [CaptionPiece("gone", "红"), CaptionPiece("new", "蓝"), CaptionPiece("same", "色水壶")]),
        (None, "A mug.", [CaptionPiece("new", "A mug.")]),
        ("A mug.", None, [CaptionPiece("gone", "A mug.")]),
        (None, None, []),
    ],
)  # fmt: skip
def test_captions_are_compared_word_by_word(old: str | None, new: str | None, pieces: list[CaptionPiece]) -> None:
    assert word_by_word(old, new) == pieces
