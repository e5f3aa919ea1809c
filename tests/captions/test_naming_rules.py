"""Names from files: what a rule takes from a path, which rules are offered, and that a person decides."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import AuditEntry
from app.captions import naming_history, proposing, writing
from app.captions.naming_rules import EXAMPLES, RULES, NamedPhoto, offers
from app.captions.tables import NamingRule
from app.catalog.tables import Catalog, Image, Signals
from app.errors import Conflict, NotFound, Refused
from app.jobs import Job
from tests import cast


@pytest.mark.parametrize(
    ("key", "path", "name"),
    [
        ("until-underscore", "Pineapple_Iconic.jpg", "pineapple"),
        ("until-underscore", "in/Royal-Gala_front_02.jpg", "royal gala"),
        ("until-underscore", "redMugs2_back.jpg", "red mug"),
        ("until-underscore", "Pineapple.jpg", None),
        ("until-underscore", "IMG_2024.jpg", None),
        ("until-hyphen", "t-shirt-01.jpg", None),
        ("until-hyphen", "kettle-01.jpg", "kettle"),
        ("whole", "Pineapple Iconic.jpg", "pineapple"),
        ("whole", "01 Red kettle front (2).jpg", "red kettle"),
        ("whole", "t-shirt_03.jpg", "t-shirt"),
        ("whole", "Äpfel_05.jpg", "äpfel"),
        ("whole", "茶壺_01.jpg", "茶壺"),
        ("whole", "041c6bde-e737-46fd-9586-984c1503941f.jpg", None),
        ("whole", "DSC_0042.jpg", None),
        ("whole", "4006381333931.jpg", None),
        ("whole", "xkcd1.jpg", None),
        ("whole", "a really long name that somebody wrote as a title.jpg", None),
        ("after-underscore", "0815_teapot.jpg", "teapot"),
        ("folder", "clothing/t-shirt/1.jpg", "t-shirt"),
        ("folder", "clothing/train/1.jpg", None),
        ("folder", "1.jpg", None),
        ("folder-above", "Apple/Royal-Gala/1.jpg", "apple"),
    ],
)
def test_what_a_rule_takes_from_a_path(key: str, path: str, name: str | None) -> None:
    assert RULES[key].name_of(path) == name


def photos(*paths: str) -> list[NamedPhoto]:
    return [NamedPhoto(number, path) for number, path in enumerate(paths, 1)]


def test_the_rule_whose_names_are_known_products_comes_first_and_is_seen_on_five_photos() -> None:
    fruit = ("Mango", "Lemon", "Kettle", "Teapot", "Vase", "Royal-Gala")
    some = photos(*(f"{name}_Iconic_{shot}.jpg" for name in fruit for shot in range(3)), "0001.jpg")
    first, *_ = offers(some)
    assert (first.rule.key, first.named, first.looked_at, first.distinct) == ("until-underscore", 18, 19, 6)
    assert len(first.examples) == EXAMPLES and len({name for _, name in first.examples}) == EXAMPLES
    assert first.names[0] == ("kettle", 3)


def test_a_rule_that_often_names_nothing_shows_that_too() -> None:
    some = photos(*(f"mug_{n}.jpg" for n in range(6)), *(f"{n}.jpg" for n in range(6)))
    first, *_ = offers(some)
    assert None in {name for _, name in first.examples} and len(first.examples) == EXAMPLES


@pytest.mark.parametrize("path", ["DSC_{:04}.jpg", "{:08}.jpg", "train/IMG_{:04}.jpg", "2024-11/{:x}abcdef00.jpg"])
def test_names_of_cameras_counters_and_splits_are_not_offered(path: str) -> None:
    assert offers(photos(*(path.format(number) for number in range(10, 30)))) == []


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


@pytest.fixture
def add(session: Session, pile: Catalog) -> Callable[..., Image]:
    """A photo under a path, without a title or a category but those given."""

    def photo(path: str, title: str | None = None, category: str | None = None) -> Image:
        image = cast.image(session, pile, title=title, category=category)
        image.file_name = path
        session.get_one(Signals, image.id).subject_colour = None
        session.flush()
        return image

    return photo


def captions_of(session: Session, *images: Image) -> list[str]:
    proposing.propose_facts(session, [image.id for image in images])
    current = writing.current(session, [image.id for image in images])
    return [current[image.id].text for image in images]


def test_a_file_and_a_folder_name_nothing_by_themselves(session: Session, add: Callable[..., Image]) -> None:
    mug, kettle = add("mugs/Mug_front.jpg", category="mugs"), add("Kettle_1.jpg")
    assert captions_of(session, mug, kettle) == ["Product, centred on a white background."] * 2


def test_names_and_first_captions_follow_an_accepted_rule_and_its_undoing(
    session: Session, pile: Catalog, add: Callable[..., Image]
) -> None:
    ana = cast.person(session)
    lemon, titled, filed = add("Lemon_1.jpg"), add("Mango_1.jpg", title="Red kettle"), add("x_1.jpg", category="Vases")
    mine = add("Peach_1.jpg")
    before = captions_of(session, lemon, titled, filed, mine)
    writing.rewrite(session, mine.id, "Ana's words.", ana, writing.current(session, [mine.id])[mine.id].id)
    seen = [photo.image_id for photo in naming_history.open_names(session, pile.id).photos]
    assert seen == [lemon.id, mine.id]
    row = naming_history.accept(session, pile.id, "until-underscore", seen, ana, expected_id=0)
    assert row.examples == [["Lemon_1.jpg", "lemon"], ["Peach_1.jpg", "peach"]]
    after = captions_of(session, lemon, titled, filed, mine)
    assert after == ["Lemon, centred on a white background.", before[1], before[2], "Ana's words."]
    job = session.scalars(select(Job).where(Job.kind == "captions.propose")).one()
    assert job.arguments == {"catalog_id": pile.id, "image_ids": None}
    undone = naming_history.take_back(session, pile.id, ana, expected_id=row.id)
    assert undone is not None and undone.rule is None and row.superseded_at is not None
    assert captions_of(session, lemon, titled, filed, mine) == [*before[:3], "Ana's words."]
    assert naming_history.take_back(session, pile.id, ana) is None
    told = session.scalars(select(AuditEntry).where(AuditEntry.act == "naming_decided").order_by(AuditEntry.id))
    assert [entry.facts["rule"] for entry in told] == ["until-underscore", None]
    assert [kept.rule for kept, _ in naming_history.history(session, pile.id)] == [None, "until-underscore"]


def test_nothing_is_named_that_nobody_saw(session: Session, pile: Catalog, add: Callable[..., Image]) -> None:
    ana, images = cast.person(session), [add(f"Lemon_{number}.jpg") for number in range(7)]
    elsewhere = cast.image(session, cast.catalog(session))
    for seen in ([], [images[0].id] * 5, [image.id for image in images[:4]], [elsewhere.id] * 5):
        with pytest.raises(Refused, match="on 5 photos first"):
            naming_history.accept(session, pile.id, "whole", seen, ana)
    with pytest.raises(Refused, match="no such rule"):
        naming_history.accept(session, pile.id, "magic", [image.id for image in images], ana)
    with pytest.raises(NotFound):
        naming_history.accept(session, 999_999, "whole", [], ana)
    assert session.scalars(select(NamingRule)).all() == []


def test_the_second_of_two_people_is_shown_what_the_first_decided(
    session: Session, pile: Catalog, add: Callable[..., Image]
) -> None:
    seen = [add(f"Lemon_{number}.jpg").id for number in range(5)]
    naming_history.accept(session, pile.id, "whole", seen, cast.person(session, "Ana"), expected_id=0)
    with pytest.raises(Conflict, match="Ana decided on names meanwhile"):
        naming_history.accept(session, pile.id, "until-underscore", seen, cast.person(session, "Mei"), expected_id=0)


def test_a_large_catalog_is_looked_at_in_part(
    session: Session, pile: Catalog, add: Callable[..., Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming_history, "LOOKED_AT", 5)
    for number in range(20):
        add(f"Lemon_{number}.jpg")
    names = naming_history.open_names(session, pile.id)
    assert (names.step, len(names.photos)) == (4, 5)
