"""Photos whose owners opted out of training stay out of versions; whose a photo is goes into every manifest."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app.datasets import balance, freezing
from app.datasets.manifest import read_manifest
from app.errors import Refused
from app.storage import Storage
from tests import cast
from tests.datasets.cast import kept
from tests.datasets.test_freezing import members


def test_photos_opted_out_of_training_stay_out_unless_asked_for(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    free, refused = (kept(session, storage, pile, product=name) for name in ("a", "b"))
    free.extra = {"licence": "CC0", "url": "https://shop.example/a.jpg", "credit": "Ana"}
    refused.extra = {"opt_out": "yes"}
    session.flush()
    offer = freezing.offer(session, pile.id)
    assert (offer.seen_captioned, offer.opted_out, offer.seen_opted_out) == (1, 1, 1)
    counted = balance.of_selection(session, freezing.allowed(freezing.taken(offer.selection, takes_unseen=False)))
    assert [sum(part.count for part in each.portions) for each in counted] == [1, 1, 1]
    version = freezing.request_freeze(session, pile.id, expected_count=1)
    freezing.freeze(session, storage, version)
    assert set(members(session, version)) == {free.id} and version.opted_out_count == 1
    (row,) = read_manifest(storage.dataset_folder(version.id) / freezing.MANIFEST)
    assert (row.source, row.licence, row.credit, row.opt_out) == ("https://shop.example/a.jpg", "CC0", "Ana", None)
    every = freezing.request_freeze(session, pile.id, expected_count=2, takes_opted_out=True)
    assert "optout:yes,no" in every.selection
    freezing.freeze(session, storage, every)
    assert set(members(session, every)) == {free.id, refused.id} and every.opted_out_count == 0
    rows = read_manifest(storage.dataset_folder(every.id) / freezing.MANIFEST)
    assert {row.opt_out for row in rows} == {None, "opt_out: yes"}


def test_a_selection_of_nothing_but_opted_out_photos_is_refused_in_words(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    kept(session, storage, pile).extra = {"opt_out": "yes"}
    session.flush()
    with pytest.raises(Refused, match="opted out of training"):
        freezing.request_freeze(session, pile.id)
