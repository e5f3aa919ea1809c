"""Captions of several kinds for one photo: each with its own history, and the long one is what filters ask."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions import writing
from app.captions.tables import OF_KIND, Caption, CaptionText, Kind
from app.errors import Conflict, Refused
from app.selection.tables import PhotoIndex
from tests import cast


def test_each_kind_has_its_own_current_text_and_history(session: Session) -> None:
    ana = cast.person(session)
    photo = cast.image(session, cast.catalog(session), caption="A red kettle on white.")
    long = writing.current(session, [photo.id])[photo.id]
    short = writing.rewrite(session, photo.id, "Red kettle", ana, None, "short")
    writing.rewrite(session, photo.id, "Kettle, red", ana, short.id, "short")
    writing.rewrite(session, photo.id, "kettle, red, steel", ana, None, "tags")
    assert writing.current(session, [photo.id])[photo.id] is long, "the caption is the long one"
    assert {kind: row.text for kind, row in writing.current_kinds(session, photo.id).items()} == {
        "long": "A red kettle on white.", "short": "Kettle, red", "tags": "kettle, red, steel",
    }  # fmt: skip
    assert [row.text for row in writing.history(session, photo.id, "short")] == ["Kettle, red", "Red kettle"]
    assert writing.restore(session, short.id, ana).kind == "short"
    with pytest.raises(Conflict, match="Ana wrote another caption meanwhile"):
        writing.rewrite(session, photo.id, "A kettle", ana, short.id, "short")
    assert len(list(session.scalars(select(Caption)))) == 1
    assert len(list(session.scalars(select(CaptionText)))) == 5


def test_the_index_follows_the_long_caption_alone(session: Session) -> None:
    ana = cast.person(session)
    photo = cast.image(session, cast.catalog(session), caption="A red kettle on white.")
    writing.rewrite(session, photo.id, "Red", ana, None, "short")
    session.expire_all()
    row = session.get_one(PhotoIndex, photo.id)
    assert (row.caption_words, row.captioned_by) == (5, "captioner")


@pytest.mark.parametrize("kind", list(OF_KIND))
def test_a_machine_never_overwrites_a_person_of_any_kind(session: Session, kind: Kind) -> None:
    photo = cast.image(session, cast.catalog(session))
    proposed = writing.propose(session, photo, "Kettle", "org/model", {}, kind)
    assert proposed is not None and proposed.kind == kind
    person = writing.rewrite(session, photo.id, "Red kettle", cast.person(session), proposed.id, kind)
    assert writing.propose(session, photo, "Pot", "org/other", {}, kind) is None
    assert writing.current_kinds(session, photo.id) == {kind: person}


@pytest.mark.parametrize(
    ("raw", "kept"), [("red,kettle", "red, kettle"), (" a ;b、A，b, c ", "a, b, c"), ("size 1.5 l", "size 1.5 l")]
)
def test_tags_are_kept_once_each(raw: str, kept: str) -> None:
    assert writing.tidy_kind(raw, "tags") == kept
    assert writing.tidy_kind(kept, "tags") == kept
    with pytest.raises(Refused, match="cannot be empty"):
        writing.tidy_kind(" ,; ", "tags")
