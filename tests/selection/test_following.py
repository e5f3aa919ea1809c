"""The catalog in memory follows what others commit: exactly that, in whatever order, and nothing half."""

from __future__ import annotations

import random
import threading

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.captions import writing
from app.catalog.tables import Catalog, Image, Signals
from app.database import transaction
from app.people import Person
from app.review.decisions import decide
from app.review.rules import RuleSettings
from app.selection import browse, changes, rulings
from app.selection.changes import PhotoChange
from app.selection.columns import memory, numbers, room, rows, shape
from app.selection.keys import ASKED
from app.selection.kinds import Range
from app.selection.query import Selection
from app.selection.tables import PhotoIndex
from tests import cast
from tests.selection.test_columns import answers_agree, write_unseen
from tests.selection.test_every_key import Shelf, fill


@pytest.fixture
def catalog_id(engine: Engine, emptied: None) -> int:
    with transaction(engine) as session:
        catalog, ana = cast.catalog(session), cast.person(session)
        fill(session, catalog, ana)
        return catalog.id


@pytest.mark.parametrize(("seed", "most_codes"), [(0, numbers.MOST_CODES), (1, 20)])
def test_any_writes_are_followed(
    engine: Engine, catalog_id: int, seed: int, most_codes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "MOST_CODES", most_codes)  # with few codes, columns outgrow them on the way
    chance = random.Random(seed)
    for _ in range(8):
        with transaction(engine) as session:
            ana = session.query(Person).first()
            assert ana is not None
            for _ in range(chance.randint(1, 4)):
                change(session, catalog_id, ana, chance)
        chosen = Selection(catalog_id)
        with Session(engine) as session:
            shelf = Shelf(session, session.get_one(Catalog, catalog_id), ana)
            session.rollback()
            for key in chance.sample([key for key in ASKED if key not in ("in", "looks")], 2):
                chosen = shelf.drawn(chance, key, chance.random() < 0.3, chosen)
        photos = [photo.image.id for photo in shelf.photos]
        with Session(engine) as session, Session(engine) as plain:
            write_unseen(plain)
            answers_agree(session, plain, chosen, photos)
            answers_agree(session, plain, Selection(catalog_id), photos)


def test_one_that_commits_late_is_seen_though_others_came_after(engine: Engine, catalog_id: int) -> None:
    everything = Selection(catalog_id).narrowed(category=("Late",))
    with Session(engine) as early:
        cast.image(early, early.get_one(Catalog, catalog_id), category="Late")
        early.flush()
        for _ in range(3):
            with transaction(engine) as later:
                cast.image(later, later.get_one(Catalog, catalog_id), category="Late")
        with Session(engine) as session:
            assert browse.count(session, everything) == 3
        early.commit()
    with Session(engine) as session:
        assert browse.count(session, everything) == 4


def test_what_was_undone_is_never_seen(engine: Engine, catalog_id: int) -> None:
    with Session(engine) as session:
        before = browse.facets(session, Selection(catalog_id))
    with Session(engine) as writer:
        cast.image(writer, writer.get_one(Catalog, catalog_id))
        writer.flush()
        assert browse.count(writer, Selection(catalog_id)) == before.total + 1, "a person sees their own writes"
        writer.rollback()
    with Session(engine) as session:
        assert browse.facets(session, Selection(catalog_id)) == before


def test_one_page_is_of_one_moment(engine: Engine, catalog_id: int) -> None:
    everything = Selection(catalog_id)
    with Session(engine) as session:
        before = browse.facets(session, everything)
        with memory.one_look(session, catalog_id):
            shown = [tile.id for tile in browse.page(session, everything)]
            with transaction(engine) as other:
                late = cast.image(other, other.get_one(Catalog, catalog_id))
            assert browse.facets(session, everything) == before, "counts and photos belong together"
            assert browse.count(session, everything) == len(shown)
            assert [tile.id for tile in browse.page(session, everything)] == shown
        assert browse.page(session, everything)[0].id == late.id
        assert browse.count(session, everything) == before.total + 1


def test_a_page_that_fails_drops_nothing(engine: Engine, catalog_id: int) -> None:
    with Session(engine) as session:
        with pytest.raises(ZeroDivisionError), memory.one_look(session, catalog_id):
            browse.count(session, Selection(catalog_id))
            raise ZeroDivisionError
        assert memory.kept_catalogs(engine).known() == [catalog_id]
        assert browse.count(session, Selection(catalog_id)) == 30


def test_many_changes_are_read_anew(engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_FEW", 5)
    with Session(engine) as session:
        browse.facets(session, Selection(catalog_id))
    with transaction(engine) as session:
        session.execute(text("update image set category = 'All'"))
    with Session(engine) as session:
        assert browse.count(session, Selection(catalog_id).narrowed(category=("all",))) == 30


def test_one_read_too_long_ago_is_read_anew(engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its changes may have been taken away meanwhile."""
    with Session(engine) as session:
        browse.facets(session, Selection(catalog_id))
    with transaction(engine) as session:
        cast.image(session, session.get_one(Catalog, catalog_id))
        session.execute(PhotoChange.__table__.delete())
    monkeypatch.setattr(rows, "KEPT_HOURS", 0)
    with Session(engine) as session:
        assert browse.count(session, Selection(catalog_id)) == 31


def test_notes_of_changes_go_after_a_day(engine: Engine, catalog_id: int) -> None:
    with transaction(engine) as session:
        session.execute(text("update photo_change set noted_at = now() - interval '25 hours' where id % 2 = 0"))
        before = session.scalar(text("select count(*) from photo_change where noted_at > now() - interval '1 hour'"))
        changes.forget_old(session)
        assert session.scalar(text("select count(*) from photo_change")) == before


def test_a_large_catalog_is_read_beside_the_request(
    engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_WITHIN_REQUEST", 10)
    kept = memory.kept_catalogs(engine)
    with kept.reading(catalog_id) as read:
        assert read is None
    kept.settle()
    with kept.reading(catalog_id) as read:
        assert read is not None and read[0].columns.count == 30


def test_a_column_of_a_large_catalog_is_read_beside_the_request(
    engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_WITHIN_REQUEST", 10)
    kept = memory.kept_catalogs(engine)
    kept.load(catalog_id)
    with transaction(engine) as session:
        session.execute(text("update signals set contrast = image_id"))
    measured = Selection(catalog_id).narrowed(contrast=(Range(None, 1e9),))
    with Session(engine) as session, Session(engine) as plain:
        write_unseen(plain)
        for _ in range(2):
            assert browse.count(session, measured) == browse.count(plain, measured) > 0
            kept.settle()
    assert catalog_id in kept._kept, "what was read before stays"
    assert shape.name_of(PhotoIndex.contrast) in kept._kept[catalog_id][0].columns._kept
    with transaction(engine) as session:
        session.execute(text("update signals set contrast = null"))
    with Session(engine) as session:
        assert browse.count(session, measured) == 0


def test_columns_do_not_wait_for_codes_of_looks(
    engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_WITHIN_REQUEST", 10)
    kept, are_read = memory.kept_catalogs(engine), threading.Event()
    kept.load(catalog_id)
    kept._do_beside(catalog_id, "looks", lambda _: are_read.wait())
    with Session(engine) as session:
        browse.count(session, Selection(catalog_id).narrowed(contrast=(Range(None, 1e9),)))
        are_read.set()
        kept.settle()
    assert shape.name_of(PhotoIndex.contrast) in kept._kept[catalog_id][0].columns._kept


def test_what_rules_look_at_is_read_at_once(engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_WITHIN_REQUEST", 10)
    kept = memory.kept_catalogs(engine)
    kept.load(catalog_id)
    with Session(engine) as session:
        first = rulings.changes(session, catalog_id, RuleSettings())
        kept.settle()
        monkeypatch.setattr(rulings, "_ruled_in_sql", None)
        monkeypatch.setattr(rulings, "_histograms_in_sql", None)
        assert rulings.changes(session, catalog_id, RuleSettings()) == first
        rulings.histograms(session, catalog_id)


def test_a_web_process_reads_the_catalogs_at_its_start(engine: Engine, catalog_id: int) -> None:
    with transaction(engine) as session:
        cast.image(session, cast.catalog(session))
        session.execute(text("update catalog set removed_at = now() where id <> :id"), {"id": catalog_id})
    kept = memory.kept_catalogs(engine)
    kept.forget()
    kept._load_largest()
    assert list(kept._kept) == [catalog_id]


def test_a_process_keeps_only_so_many_photos(engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "STAYS_S", -1.0)
    with transaction(engine) as session:
        other = cast.catalog(session)
        cast.image(session, other)
    kept = memory.kept_catalogs(engine)
    monkeypatch.setattr(kept, "most_bytes", 0)
    for number in (catalog_id, other.id):
        kept.load(number)
    assert list(kept._kept) == [other.id]


def test_what_was_not_asked_for_longest_goes_first(
    engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = memory.kept_catalogs(engine)
    contrast, width = (Selection(catalog_id).narrowed(**{key: (Range(None, 1e9),)}) for key in ("contrast", "width"))

    def columns() -> set[str]:
        held = kept._kept[catalog_id][0].columns
        return {name for name in held._kept if name not in held.staying}

    with Session(engine) as session:
        for chosen in (width, contrast):
            browse.count(session, chosen)
        both = columns()
        monkeypatch.setattr(kept, "most_bytes", kept._kept[catalog_id][0].memory_bytes - 1)
        browse.count(session, contrast)
        assert columns() == both, "what was just asked for stays"
        monkeypatch.setattr(room, "STAYS_S", 0.0)
        browse.count(session, Selection(catalog_id))
        assert columns() == {shape.name_of(PhotoIndex.contrast)} < both


def test_an_error_half_way_leaves_nothing_half_followed(
    engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(engine) as session:
        browse.facets(session, Selection(catalog_id))
    kept = memory.kept_catalogs(engine)
    with Session(engine) as session, pytest.raises(ZeroDivisionError):
        memory.in_memory(session, catalog_id, lambda held, link: 1 // 0)
    assert not kept._kept
    with Session(engine) as session:
        assert browse.count(session, Selection(catalog_id)) == 30


def change(session: Session, catalog_id: int, ana: Person, chance: random.Random) -> None:
    """Something that people, workers or an owner do to a photo of the catalog."""
    photos = session.query(Image).filter_by(catalog_id=catalog_id).order_by(Image.id).all()
    photo = chance.choice(photos)
    match chance.randint(0, 7):
        case 0 | 1:
            added = cast.image(
                session, session.get_one(Catalog, catalog_id), category=chance.choice(("New", None)),
                title=chance.choice(("Red kettle", "lamp")), sharpness=chance.choice((None, 0.2, 0.7)),
            )  # fmt: skip
            added.file_name = f"{chance.choice('acz')}{chance.randint(1, 20)}.jpg"
        case 2:
            now = session.query(type(photo)).filter_by(id=photo.id).one()
            try:
                decide(session, now, ana, chance.choice(("kept", "rejected", "needs_work")))
            except Exception:
                return
        case 3:
            seen = writing.current(session, [photo.id]).get(photo.id)
            writing.rewrite(
                session, photo.id, chance.choice(("Kettle words.", "Nothing.")), ana, seen.id if seen else None
            )
        case 4:
            measured = session.get(Signals, photo.id)
            if measured:
                measured.sharpness, measured.fill = chance.random(), chance.random()
        case 5:
            photo.category, photo.copies = chance.choice(("New", "Other", None)), chance.choice(("none", "photo"))
            photo.notes = chance.choice(([], ["laid-on-white"]))
        case 6:
            photo.file_name = f"{chance.choice('acz')}{chance.randint(1, 20)}.png"
        case 7 if len(photos) > 20:
            session.delete(photo)
        case _:
            photo.width_px = chance.randint(1, 4000)


def test_a_photo_that_leaves_for_another_catalog_is_followed(engine: Engine, catalog_id: int) -> None:
    """So is one that an owner removes while a version holds it: it moves to a hidden catalog."""
    everything = Selection(catalog_id)
    with Session(engine) as session:
        before = browse.count(session, everything)
        gone = browse.page(session, everything).pop().id
    with transaction(engine) as session:
        other = cast.catalog(session).id
        session.get_one(Image, gone).catalog_id = other
    with Session(engine) as session:
        assert browse.count(session, everything) == before - 1
        assert gone not in [tile.id for tile in browse.page(session, everything)]
        assert [tile.id for tile in browse.page(session, Selection(other))] == [gone]
