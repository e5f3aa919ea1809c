"""Pages by key, neighbours and facets, compared with the plain way of doing it."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from sqlalchemy import Connection, case, func, select
from sqlalchemy.orm import Session

from app.captions.tables import Caption, CaptionCheck
from app.catalog.tables import Catalog, Image, Signals
from app.errors import NotFound, Refused
from app.review.decisions import apply_rules, decide
from app.review.tables import Decision
from app.selection import browse
from app.selection.ordering import SORTS
from app.selection.query import joined, parse
from app.selection.tables import PhotoIndex
from tests import cast


@pytest.fixture(scope="module")
def pile(connection: Connection) -> Catalog:
    """Forty photos of all kinds, that no test changes."""
    with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
        made = forty_photos(session)
        session.commit()
        session.refresh(made)
        session.expunge(made)
    return made


def forty_photos(session: Session) -> Catalog:
    draw = random.Random(5)
    pile, ana = cast.catalog(session), cast.person(session)
    for number in range(40):
        photo = cast.image(
            session,
            pile,
            title=draw.choice(("Red kettle", "Blue mug")),
            category=draw.choice(("Kettles", "Mugs", None)),
            sharpness=draw.choice((None, 0.05, 0.3, 0.3, 0.9)),
            background=draw.choice(("white", "plain", "scene", "cannot tell")),
            caption=draw.choice((None, "Red kettle.", "Green mug.")),
        )
        photo.width_px = draw.choice((600, 800))
        photo.notes = [["laid-on-white"], ["laid-on-white", "largest-page"], [], [], []][number % 5]
        session.get_one(Signals, photo.id).fill = number / 40
        if number % 3 == 0:
            apply_rules(session, [photo.id])
        elif number % 3 == 1:
            decide(session, photo, ana, draw.choice(("kept", "rejected")))
    session.flush()
    return pile


NOTED = ("note:largest-page", "note:none,largest-page kettle", "note:laid-on-white fill:>30", "note:broken-profile")
FILTERS = ("", "decision:kept,unseen", "background:white,plain sharpness:0.2..1", "kettle fill:>30", "category:none")
AUTHORS = (
    "by:rule",
    "by:person,none",
    "decision:kept,needs_work by:rule",
    "decision:rejected,unseen by:person,rule sharpness:>0.2",
)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("query", [*FILTERS, "decision:kept,needs_work by:rule"])
def test_pages_by_key_give_everything_once_in_order(session: Session, pile: Catalog, sort: str, query: str) -> None:
    chosen = parse(query, pile.id)
    seen: list[int] = []
    while page := browse.page(session, chosen, sort, seen[-1] if seen else None, size=7):
        seen += [tile.id for tile in page]
    order = SORTS[sort]
    ordering = [column.desc() if order.is_descending else column.asc() for column in (order.key, Image.id)]
    assert seen == list(session.scalars(chosen.select(Image.id).order_by(*ordering)))
    assert browse.count(session, chosen) == len(seen)
    if len(seen) > 5:
        before, after = browse.neighbours(session, chosen, sort, seen[4], before=2, after=3)
        assert (before, after) == (seen[2:4], seen[5:8])
        assert browse.position(session, chosen, sort, seen[4]) == 5
        assert browse.at(session, chosen, sort, 4) == seen[2]
    assert browse.at(session, chosen, sort, 1) is None


@pytest.mark.parametrize("query", [*FILTERS, *AUTHORS, "decision:kept rule:clean colour:red fill:10..90", *NOTED])
def test_facets_count_what_choosing_would_show(session: Session, pile: Catalog, query: str) -> None:
    chosen = parse(query, pile.id)
    facets = browse.facets(session, chosen)
    assert facets.total == len(session.scalars(chosen.select(Image.id)).all())
    for key, options in facets.options.items():
        free = chosen.narrowed(**{key: ()})
        for option in options:
            alone = free.toggled(key, option.value)
            assert option.count == len(session.scalars(alone.select(Image.id)).all()), (key, option)
            assert option.is_on == (option.value in chosen.values(key))
    for key in ("sharpness", "fill"):
        free = chosen.narrowed(**{key: ()})
        column = getattr(Signals, key)
        values = [value for value in session.scalars(free.select(column)) if value is not None]
        bins = Counter(min(int(value * browse.BINS), browse.BINS - 1) for value in values)
        assert list(facets.bars[key]) == [bins[place] for place in range(browse.BINS)]


@pytest.mark.parametrize("decision", [(), ("kept",), ("rejected", "needs_work"), ("unseen",), ("kept", "unseen")])
@pytest.mark.parametrize("by", [(), ("person",), ("rule",), ("none",), ("person", "rule"), ("person", "rule", "none")])
def test_decisions_and_who_took_them(
    session: Session, pile: Catalog, decision: tuple[str, ...], by: tuple[str, ...]
) -> None:
    """`decision` asks about people; where `by` asks for rules, also about what they suggest of photos unseen."""
    rows = session.execute(
        select(Image.id, Decision.verdict, Decision.rule)
        .outerjoin(Decision, (Decision.image_id == Image.id) & Decision.superseded_at.is_(None))
        .where(Image.catalog_id == pile.id)
    ).all()

    def matches(verdict: str | None, rule: str | None) -> bool:
        author = "none" if verdict is None else "rule" if rule else "person"
        decided = verdict if author == "person" else "unseen"
        is_meant = decided in decision or (author == "rule" and "rule" in by and verdict in decision)
        return (not by or author in by) and (not decision or is_meant)

    chosen = parse("", pile.id).narrowed(decision=decision, by=by)
    assert parse(chosen.query, pile.id) == chosen
    assert set(session.scalars(chosen.select(Image.id))) == {row[0] for row in rows if matches(row[1], row[2])}


def test_choices_of_the_language_stay_with_no_photos(session: Session) -> None:
    facets = browse.facets(session, parse("category:Hats", cast.catalog(session).id))
    assert [option.value for option in facets.options["decision"]] == ["kept", "rejected", "needs_work", "unseen"]
    assert facets.options["category"] == (browse.Option("Hats", 0, True),)
    assert facets.total == 0


def test_spellings_of_a_name_are_one_facet_in_the_one_of_most_photos(session: Session) -> None:
    pile = cast.catalog(session)
    for category in ("Möbel", "Mo\u0308bel", "Möbel", "MÖBEL ", "lamps", None):
        cast.image(session, pile, category=category)
    options = browse.facets(session, parse("", pile.id)).options["category"]
    assert [(option.value, option.count) for option in options] == [("Möbel", 4), ("lamps", 1), (None, 1)]
    chosen = browse.facets(session, parse("category:mÖbel", pile.id))
    assert (chosen.total, chosen.options["category"][0]) == (4, browse.Option("Möbel", 4, True))


def test_file_names_sort_by_their_numbers(session: Session) -> None:
    pile = cast.catalog(session)
    names = ["P2.jpg", "p10.jpg", "p010b.jpg", "e\u0301tui 3.jpg", "Étui 12.jpg", "p1/20.jpg", "p1/3.jpg", "p_.jpg"]
    for name in names:
        cast.image(session, pile, title=None).file_name = name
    session.flush()
    shown = [tile.name for tile in browse.page(session, parse("", pile.id), "name")]
    assert shown == [
        "e\u0301tui 3.jpg", "Étui 12.jpg", "p1/3.jpg", "p1/20.jpg", "P2.jpg", "p10.jpg", "p010b.jpg", "p_.jpg",
    ]  # fmt: skip


def test_a_tile_carries_what_its_caption_gets_wrong(session: Session) -> None:
    pile = cast.catalog(session)
    wrong = cast.image(session, pile, caption="Green kettle.")
    right = cast.red_kettle(session, pile)
    found = browse.tiles(session, [right.id, wrong.id, 10**9])
    assert [tile.id for tile in found] == [right.id, wrong.id]
    assert found[0].contradictions == ()
    assert "green" in found[1].contradictions[0]


def test_unknown_orders_and_photos_are_refused(session: Session, pile: Catalog) -> None:
    with pytest.raises(Refused, match="best"):
        browse.page(session, parse("", pile.id), "best")
    with pytest.raises(NotFound):
        browse.page(session, parse("", pile.id), after=10**9)


def test_standing_repeats_what_it_stands_for(session: Session, pile: Catalog) -> None:
    rows = session.execute(
        joined(
            select(
                PhotoIndex.image_id, PhotoIndex.category, PhotoIndex.background, PhotoIndex.colour,
                PhotoIndex.sharpness, PhotoIndex.fill, PhotoIndex.captioned_by, PhotoIndex.verdict, PhotoIndex.rule,
                PhotoIndex.suggested, PhotoIndex.decided_by, PhotoIndex.confidence, PhotoIndex.cropped,
                PhotoIndex.is_contradicted, Image.category,
                func.coalesce(Signals.background, "cannot tell"), Signals.subject_colour, Signals.sharpness,
                Signals.fill,
                func.coalesce(Caption.written_by, "none"),
                case((Decision.person_id.is_not(None), Decision.verdict), else_="unseen"), Decision.rule,
                case((Decision.rule.is_not(None), Decision.verdict)),
                case((Decision.person_id.is_not(None), "person"), (Decision.rule.is_not(None), "rule"), else_="none"),
                Signals.confidence, case((Signals.is_cropped, "yes"), (~Signals.is_cropped, "no"), else_="cannot tell"),
                func.coalesce(CaptionCheck.contradiction.is_not(None), False),
            )
            .outerjoin(CaptionCheck, CaptionCheck.image_id == PhotoIndex.image_id)
        ).where(PhotoIndex.catalog_id == pile.id)
    ).all()  # fmt: skip
    assert len(rows) == 40
    assert all(tuple(row[1:14]) == tuple(row[14:]) for row in rows)
    assert {row.decided_by for row in rows} == {"person", "rule", "none"}
