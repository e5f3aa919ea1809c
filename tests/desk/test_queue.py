"""The review queue: its order, its ends, and that two people start apart."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.desk.queue import TIERS, recent, upcoming, waiting
from app.review.decisions import apply_rules, decide
from app.selection.tables import PhotoIndex
from tests import cast


def tiers(session: Session, ids: list[int]) -> list[str]:
    rows = [session.get_one(PhotoIndex, one, populate_existing=True) for one in ids]
    doubts = ("rejected", "needs_work")
    return [
        "contradicted" if row.rule == "contradicted" else "doubted" if row.suggested in doubts else row.verdict
        for row in rows
    ]


def test_contradictions_first_then_doubts_then_unseen_then_needs_work(session: Session) -> None:
    pile, ana = cast.catalog(session), cast.person(session)
    kinds = []
    for _ in range(4):
        kinds += [
            cast.image(session, pile),
            cast.image(session, pile, caption="Green kettle."),
            cast.image(session, pile, background="scene", caption="Red kettle."),
            cast.red_kettle(session, pile),
        ]
    apply_rules(session, [photo.id for photo in kinds if photo.id % 2])
    apply_rules(session, [photo.id for photo in (*kinds[1::4], *kinds[2:10:4])])
    decide(session, kinds[3], ana, "needs_work")
    decide(session, kinds[7], ana, "kept")
    ids = upcoming(session, pile.id, ana, count=100)
    found = tiers(session, ids)
    assert found == sorted(found, key=lambda name: TIERS.index(name))
    left = waiting(session, pile.id)
    assert (left.contradicted, left.needs_work, left.total, left.photos) == (4, 1, len(ids), 16)
    assert set(found) == set(TIERS) and kinds[7].id not in ids and len(ids) == 15


def test_it_goes_on_behind_a_photo_and_decided_ones_leave(session: Session) -> None:
    pile, ana = cast.catalog(session), cast.person(session)
    photos = {photo.id: photo for photo in (cast.red_kettle(session, pile) for _ in range(6))}
    order = upcoming(session, pile.id, ana)
    assert upcoming(session, pile.id, ana, after=order[2]) == order[3:]
    decide(session, photos[order[0]], ana, "kept")
    decide(session, photos[order[2]], ana, "rejected")
    assert upcoming(session, pile.id, ana, after=order[2]) == [order[1], *order[3:]]
    assert recent(session, pile.id, ana) == [order[0], order[2]]
    for one in order:
        decide(session, photos[one], ana, "kept")
    assert upcoming(session, pile.id, ana) == []
    assert waiting(session, pile.id).total == 0


def test_people_start_apart_and_see_all(session: Session) -> None:
    pile = cast.catalog(session)
    for _ in range(30):
        cast.red_kettle(session, pile)
    orders = [upcoming(session, pile.id, cast.person(session, name), count=30) for name in ("Ana", "Mei", "Jo")]
    assert len({tuple(order) for order in orders}) == 3
    assert all(set(order) == set(orders[0]) for order in orders)
    assert len({order[0] for order in orders}) == 3


def test_an_empty_catalog_has_nothing_waiting(session: Session) -> None:
    pile, ana = cast.catalog(session), cast.person(session)
    assert upcoming(session, pile.id, ana) == []
    assert waiting(session, pile.id).total == 0
