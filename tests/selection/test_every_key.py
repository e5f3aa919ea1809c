"""Every key of the language, alone and with every other, chosen and left out, against plain Python over the rows.

Whatever asks with a selection agrees with it: the grid, the count, the facets, a photo's place, the bulk act's photos
and the members of a version frozen from it.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from app.bulk import operations
from app.captions import linting, writing
from app.captions.lint import Lint, LintKind
from app.captions.tables import Caption, CaptionTokens, Kind
from app.catalog import embeddings
from app.catalog.embeddings import EmbedderFacts
from app.catalog.tables import Catalog, Image, Lettering, MapSet, PhotoMap, Signals
from app.datasets import freezing
from app.datasets.tables import DatasetVersion
from app.errors import Refused
from app.labels import giving, sets
from app.people import Person
from app.review.decisions import apply_rules, decide
from app.review.tables import Assignment, Decision
from app.selection import browse, near
from app.selection.keys import ASKED, LISTED, MEASURED, MEASURES, SEVERAL
from app.selection.kinds import Column, Label
from app.selection.query import Selection, parse
from app.selection.tables import PhotoIndex
from app.selection.tree import Node, either, left_out, plainest, together
from tests import cast
from tests.selection.meaning import MEANINGS, matches, photos_of


@pytest.fixture(scope="module", autouse=True)
def _few_are_near() -> Iterator[None]:
    """So that thirty photos are told apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "NEAREST", 8)
        yield


SHARED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
OTHER_CAPTIONS: dict[Kind, tuple[str, ...]] = {
    "short": ("A red kettle.", "Blue crème mug"),
    "tags": ("kettle, red", "leather, 新款"),
    "facts": ("Kettle of cotton by AB.",),
}
TITLES = ("Red kettle", "Kettle & AB", "100 % wool", "Crème brûlée", "新款红色水壶 Pro", "lamp", None)


class Shelf:
    """Thirty photos of all kinds, as rows, and somebody to decide on them."""

    def __init__(self, session: Session, catalog: Catalog, person: Person) -> None:
        self.catalog_id, self.person_id = catalog.id, person.id
        self.photos = photos_of(session, catalog.id)
        session.expunge_all()

    def ids(self, selection: Selection) -> list[int]:
        return [photo.image.id for photo in self.photos if matches(photo, selection)]

    def drawn(self, chance: random.Random, key: str, is_not: bool, chosen: Selection) -> Selection:
        """`chosen` with one or two values of a key that hold of some photo."""
        values = [chance.choice(list(MEANINGS[key].values(chance.choice(self.photos)))) for _ in range(2)]
        most = ASKED[key].most if key not in ("like", "unlike") else 1  # two photos are equally near to their middle
        return chosen.with_term(key, values[: min(most, chance.choice((1, 2)))], is_not)

    def tree(self, chance: random.Random, keys: list[str]) -> Selection:
        """These keys, each chosen or left out, joined by "and", "or", "not" and brackets by chance."""
        nothing = Selection(self.catalog_id)
        parts: list[Node] = []
        for key in keys:
            parts += self.drawn(chance, key, chance.random() < 0.3, nothing).terms
        while len(parts) > 1:
            some = [parts.pop(chance.randrange(len(parts))) for _ in range(min(len(parts), chance.choice((2, 2, 3))))]
            part = either(some) if chance.random() < 0.5 else plainest(together((), some))
            parts.append(left_out(part) if chance.random() < 0.3 else part)
        return nothing.asking(together((), parts))


@pytest.fixture(scope="module")
def shelf(connection: Connection) -> Shelf:
    with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
        catalog, ana = cast.catalog(session), cast.person(session)
        fill(session, catalog, ana)
        cast.red_kettle(session, cast.catalog(session))  # in another catalog: never found
        session.commit()
        return Shelf(session, catalog, ana)


def fill(session: Session, catalog: Catalog, ana: Person) -> None:
    draw = random.Random(8)
    named = [
        sets.define(session, catalog.id, ana, "Fit", "one", ["slim", "Möglich"]),
        sets.define(session, catalog.id, ana, "Faults", "many", ["stain", "creases"]),
    ]
    space = embeddings.space_of(session, EmbedderFacts("drawn", "1", "none", 3, True))
    embeddings.record_phrase(session, space, "red dress", [0.6, 0.8, 0.0])
    for number in range(30):
        photo = cast.image(
            session, catalog,
            title=draw.choice(TITLES),
            category=draw.choice(("Kettles", "KETTLES ", "Möbel", "Mo\u0308bel", "none", None)),
            product=draw.choice(("K-1", "k-1", "Café", None)),
            sharpness=draw.choice((None, 0.05, 0.3, 0.9)),
            background=draw.choice(("white", "plain", "scene", "cannot tell")),
            caption=draw.choice((None, "Red kettle.", "Green mug on a table.")),
        )  # fmt: skip
        photo.file_name = draw.choice(("shelf/IMG_1.jpg", "100%_wool.png", "Café.jpg", f"p{number}.jpg"))
        photo.extra = draw.choice((
            {}, {"License": "CC BY 4.0", "url": "https://shop.example/a.jpg"},
            {"License": "cc by 4.0", "opt_out": "yes"}, {"url": "https://Photos.example/b", "opt_out": "no"},
        ))  # fmt: skip
        photo.copies = draw.choice(("none", "pixels", "photo", "product"))
        photo.is_best, photo.is_linked = photo.copies != "none" and number % 4 == 0, number % 5 == 1
        photo.mend_id = number if number % 6 == 2 else None
        photo.notes = draw.choice(([], [], ["laid-on-white"], ["laid-on-white", "largest-page"]))
        measured = session.get_one(Signals, photo.id)
        measured.fill, measured.subject_colour = number / 40, draw.choice(("red", "blue", None))
        if number % 5:  # a few were not embedded yet
            angle = draw.random() * 3
            embeddings.record(session, space, {photo.id: [math.cos(angle), math.sin(angle), 0.0]})
        for name in ("clipped_light", "clipped_dark", "blockiness", "detail", "border", "seam"):
            setattr(measured, name, draw.choice((None, 0.0, 0.1, 0.5)))
        for name in ("brightness", "shadow", "chroma"):
            setattr(measured, name, draw.choice((None, 0.0, 7.0, 60.0)))
        measured.parts = draw.choice((None, 1, 3))
        for name in ("offset_x", "offset_y"):
            setattr(measured, name, draw.choice((None, -0.25, 0.0, 0.125)))
        for name in ("coverage", "whiteness", "uniformity"):
            setattr(measured, name, draw.choice((None, 0.0, 0.25, 0.9)))
        measured.background_delta_e, measured.is_cropped = (
            draw.choice((None, 1.5, 40.0)),
            draw.choice((None, True, False)),
        )
        measured.background_colour = draw.choice((None, "pale blue", "pure white"))
        measured.contrast, measured.confidence = draw.choice((None, 1.0, 7.0, 60.0)), draw.choice((0.3, 0.9))
        if number % 7 == 0:
            session.delete(measured)
        written = writing.current(session, [photo.id]).get(photo.id)
        if written is not None and number % 5:
            counts = ({}, {"clip": 5, "t5": 7, "nano": 90}, {"clip": 78, "gemma": 9, "qwen": 20})[number % 3]
            session.add(CaptionTokens(caption_id=written.id, image_id=photo.id, counts=counts, counted_by="drawn"))
        for kind, texts in OTHER_CAPTIONS.items():
            if said := draw.choice((None, *texts)):
                writing.rewrite(session, photo.id, said, ana, None, kind)
        if number % 3 == 0:
            whose = ana.id if number % 2 else None
            session.add(Assignment(image_id=photo.id, assignee_id=whose, person_id=ana.id))
        if number % 4:
            words, place = draw.choice((("", "none"), ("ORGANIC tea\n100 %", "product"), ("Sale −20 %", "beside")))
            session.add(
                Lettering(
                    image_id=photo.id,
                    version=1,
                    lines=[],
                    words=words,
                    place=place,
                    kinds=draw.choice(([], ["price"], ["price", "text"])),
                    share=draw.choice((0.0, 0.0625, 0.5)),
                )
            )
        session.flush()
        for label_set in draw.choice(([], named[:1], named[1:], named)):
            giving.give(session, photo, ana, giving.LabelAct(label_set, draw.choice(label_set.values)))
        if number % 6 == 1:
            giving.give(session, photo, ana, giving.LabelAct(named[1], draw.choice(named[1].values)))
        if number % 3 == 0:
            apply_rules(session, [photo.id])
        elif number % 3 == 1:
            decide(session, photo, ana, draw.choice(("kept", "rejected", "needs_work")))
        if number in (9, 19):
            name = f"lasso-{number // 9}"
            ids = [photo.id, photo.id - 2, 10**6]
            session.add(MapSet(catalog_id=catalog.id, name=name, kind="lasso", image_ids=ids, person_id=ana.id))

    look_at_captions(session, catalog)
    note_times(session, catalog, ana)
    ids = list(session.scalars(select(Image.id).where(Image.catalog_id == catalog.id)))
    apart = [draw.choice((0.125, 0.75, None)) for _ in ids[1:]]
    made = {"took_s": 1.0, "method": "pca", "seed": 1, "photos": 30, "neighbours": 5, "neighbours_kept": 0.5}
    session.add(PhotoMap(catalog_id=catalog.id, space_id=space, image_ids=ids[1:], points=b"", apart=apart,
                         same_kind=None, categorised=0, **made))  # fmt: skip
    session.flush()


def look_at_captions(session: Session, catalog: Catalog) -> None:
    """Have most captions looked at: some found better without something, some not, one changed or read anew since."""
    draw = random.Random(10)
    lists = linting.lists(session, catalog.id)
    some = [each for each in linting.unchecked(session, catalog.id, lists.version, 0) if draw.random() < 0.8]
    kinds: list[list[LintKind]] = [draw.choice(([], ["hedging"], ["banned", "spelling"], ["printed"])) for _ in some]
    linting.record(session, some, [[Lint(kind, "") for kind in each] for each in kinds], lists.version)
    session.flush()


def note_times(session: Session, catalog: Catalog, ana: Person) -> None:
    """Have photos of all sizes, taken in, decided on and captioned on several days and by two people."""
    draw = random.Random(9)
    bo = cast.person(session, "Bo Ångström")
    days = [datetime(2026, 11, day, hour, tzinfo=UTC) for day in (1, 2, 3) for hour in (0, 23)]
    days.append(datetime.now(UTC))
    for photo in session.scalars(select(Image).where(Image.catalog_id == catalog.id)):
        photo.taken_in_at = draw.choice(days)
        photo.width_px, photo.height_px = draw.choice((600, 1000, 2400)), draw.choice((600, 1001))
        photo.size_bytes = draw.choice((1_000, 2_500_000, 7_000_001))
    for caption in session.scalars(select(Caption).join(Image).where(Image.catalog_id == catalog.id)):
        caption.created_at = draw.choice(days)
        if author := draw.choice((None, ana, bo)):
            caption.written_by, caption.person_id = "person", author.id
    for decision in session.scalars(select(Decision).join(Image).where(Image.catalog_id == catalog.id)):
        decision.created_at = draw.choice(days)
        if decision.person_id:
            decision.person_id = draw.choice((ana, bo)).id
    session.flush()


def test_every_key_is_told_in_plain_python() -> None:
    assert MEANINGS.keys() == ASKED.keys()


def test_every_key_with_every_other_chosen_and_left_out(session: Session, shelf: Shelf) -> None:
    chance = random.Random(1)
    for key in ASKED:
        tried = [shelf.drawn(chance, key, False, Selection(shelf.catalog_id)) for _ in range(20)]
        assert any(0 < len(shelf.ids(chosen)) < 30 for chosen in tried), f"{key} tells no photos apart"
    for one, other in itertools.combinations_with_replacement(ASKED, 2):
        for signs in itertools.product((False, True), repeat=2):
            chosen = Selection(shelf.catalog_id)
            for key, is_not in zip((one, other), signs, strict=True):
                chosen = shelf.drawn(chance, key, is_not, chosen)
            shown = [tile.id for tile in browse.page(session, chosen, "oldest", size=100)]
            assert shown == shelf.ids(chosen), chosen.query
            assert browse.count(session, chosen) == len(shown), chosen.query


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(list(ASKED)), min_size=1, max_size=4))
@SHARED
def test_all_that_asks_agrees(session: Session, shelf: Shelf, chance: random.Random, keys: list[str]) -> None:
    chosen = Selection(shelf.catalog_id)
    for key in keys:
        chosen = shelf.drawn(chance, key, chance.random() < 0.4, chosen)
    assert parse(chosen.query, shelf.catalog_id) == chosen
    ids = shelf.ids(chosen)
    for sort in ("oldest", "name"):
        assert sorted(tile.id for tile in browse.page(session, chosen, sort, size=100)) == ids
    assert sorted(session.scalars(chosen.select(Image.id))) == ids
    for photo in shelf.photos[:3]:
        assert browse.holds(session, chosen, photo.image.id) == (photo.image.id in ids)
    facets_agree(shelf, chosen, browse.facets(session, chosen))
    if any(photo.caption for photo in shelf.photos if photo.image.id in ids):
        version = DatasetVersion(catalog_id=shelf.catalog_id, number=1, selection=chosen.query)
        try:
            members = freezing.gather(session, version).candidates
        except Refused:
            members = []
        captioned = [photo.image.id for photo in shelf.photos if photo.caption and photo.image.id in ids]
        if not any(term.key == "optout" for term in chosen.terms):
            refused = {photo.image.id for photo in shelf.photos if photo.image.extra.get("opt_out") == "yes"}
            captioned = [image_id for image_id in captioned if image_id not in refused]
        assert [member.image_id for member in members] == captioned


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(list(ASKED)), min_size=2, max_size=7))
@SHARED
def test_brackets_agree(session: Session, shelf: Shelf, chance: random.Random, keys: list[str]) -> None:
    chosen = shelf.tree(chance, keys)
    assert parse(chosen.query, shelf.catalog_id) == chosen
    ids = shelf.ids(chosen)
    assert [tile.id for tile in browse.page(session, chosen, "oldest", size=100)] == ids, chosen.query
    facets_agree(shelf, chosen, browse.facets(session, chosen))


def facets_agree(shelf: Shelf, chosen: Selection, facets: browse.Facets) -> None:
    ids = set(shelf.ids(chosen))
    suggested = {photo.image.id for photo in shelf.photos if photo.decision and photo.decision.rule}
    assert (facets.total, facets.suggested) == (len(ids), len(ids & suggested))
    for key, listed in (LISTED | SEVERAL).items():
        counts = {option.value: option.count for option in facets.options[key]}
        alone = {value: shelf.ids(only(chosen, key, value)) for value in counts}
        assert counts == {value: len(ids) for value, ids in alone.items()}, (chosen.query, key)
        if isinstance(listed, Label):
            assert set().union(*alone.values()) == set(shelf.ids(free_of(chosen, key))), (chosen.query, key)
        are_on = {listed.identity(option.value) for option in facets.options[key] if option.is_on}
        assert are_on == {listed.identity(value) for value in chosen.values(key)}
        assert len({listed.identity(value) for value in counts}) == len(counts), "each name is one facet"
    for key in MEASURED:
        there = shelf.ids(free_of(chosen, key))
        photos = [photo for photo in shelf.photos if photo.image.id in there]
        values = [value for photo in photos if (value := getattr(photo.signals, key, None)) is not None]
        bins = Counter(min(int(value * browse.BINS), browse.BINS - 1) for value in values)
        assert list(facets.bars[key]) == [bins[place] for place in range(browse.BINS)], (chosen.query, key)


def test_every_measure_has_bars(session: Session, shelf: Shelf) -> None:
    """From where a histogram begins to where it ends; what lies beyond is in its last bar."""
    for query in ("", "cropped:yes", "width:>700 offsetx:-30..20"):
        chosen = parse(query, shelf.catalog_id)
        facets = browse.facets(session, chosen, MEASURES)
        for name, key in MEASURES.items():
            ids = shelf.ids(free_of(chosen, name))
            owner: Any = key.column.class_
            number = owner.id if owner is Image else owner.image_id
            values = [
                value for value in session.scalars(select(key.column).where(number.in_(ids))) if value is not None
            ]
            places = [int((value - key.bars_from) * (browse.BINS / key.bars_over)) for value in values]
            bins = Counter(min(place, browse.BINS - 1) for place in places)
            assert list(facets.bars[name]) == [bins[place] for place in range(browse.BINS)], (query, name)
            assert values, name
            assert facets.untold[name] == len(ids) - len(values), (query, name)


def free_of(chosen: Selection, key: str) -> Selection:
    return chosen.with_term(key, ()).with_term(key, (), is_not=True)


def only(chosen: Selection, key: str, value: str | None) -> Selection:
    """What choosing this value of a key alone shows."""
    return chosen.with_term(key, (), is_not=True).with_term(key, (value,))


@pytest.mark.parametrize("is_not", [False, True], ids=["chosen", "left out"])
@pytest.mark.parametrize("key", ASKED)
def test_a_bulk_act_takes_the_photos_that_were_shown(session: Session, shelf: Shelf, key: str, is_not: bool) -> None:
    chosen = shelf.drawn(random.Random(3), key, is_not, Selection(shelf.catalog_id))
    ids = shelf.ids(chosen)
    ana = session.get_one(Person, shelf.person_id)
    value = {"verdict": "needs_work"}
    if not ids:
        with pytest.raises(Refused, match="The filter gives no photo"):
            operations.begin(session, chosen, ana, "decide", value, chosen.query, expected_count=0)
        return
    decided = operations.begin(session, chosen, ana, "decide", value, chosen.query, expected_count=len(ids))
    operations.carry_out(session, decided, ana)
    assert decided.changed + decided.already == len(ids)


@pytest.mark.parametrize(
    ("column", "spelling", "title"),
    [
        (Catalog.name, Catalog.name, ""),  # of no table that a photo is known by
        (Image.product_key, Image.product, "Product"),  # a facet that the index cannot count
        (PhotoIndex.category_key, Image.category, "Category"),
    ],
)
def test_a_key_that_no_statement_joins_cannot_be_declared(column: Column, spelling: Column, title: str) -> None:
    with pytest.raises(TypeError):
        Label(name="owner", title=title, column=column, spelling=spelling, sample=(), say=lambda values, is_one: "")


def test_photos_picked_by_number_are_those(session: Session, shelf: Shelf) -> None:
    ids = [photo.image.id for photo in shelf.photos[:3]]
    chosen = parse(f"id:{','.join(map(str, ids))}", shelf.catalog_id)
    assert [tile.id for tile in browse.page(session, chosen, "oldest")] == ids
    assert browse.facets(session, chosen).total == 3
    assert browse.position(session, chosen, "oldest", ids[2]) == 3


@given(
    st.lists(st.sampled_from(ASKED["decision"].allowed), max_size=2), st.booleans(),
    st.lists(st.sampled_from(ASKED["by"].allowed), max_size=2), st.booleans(),
)  # fmt: skip
@SHARED
def test_counts_and_freezes_keep_rules_and_people_apart(
    session: Session, shelf: Shelf, decisions: list[str], is_not: bool, authors: list[str], is_not_by: bool
) -> None:
    chosen = Selection(shelf.catalog_id).with_term("decision", decisions, is_not).with_term("by", authors, is_not_by)
    ids = set(shelf.ids(chosen))
    suggested = {photo.image.id for photo in shelf.photos if photo.decision and photo.decision.rule}
    assert browse.facets(session, chosen).suggested == len(ids & suggested)
    if chosen.is_everything:
        return
    offer = freezing.offer(session, shelf.catalog_id, chosen.query)
    by = session.scalars(freezing.taken(chosen, takes_unseen=False).select(PhotoIndex.decided_by)).all()
    assert set(by) <= {"person"}
    refused = freezing.taken(chosen, takes_unseen=False).narrowed(optout=("yes",))
    assert len(by) == offer.seen + browse.count(session, refused)
    if offer.unseen:
        assert browse.count(session, parse(offer.unseen_query, shelf.catalog_id)) == offer.unseen
