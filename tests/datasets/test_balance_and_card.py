"""What a version is made of, counted, and its card."""

from __future__ import annotations

import pytest
import yaml
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.catalog.tables import Image, Signals
from app.datasets import balance, card, freezing
from app.datasets.repeats import Repeat
from app.errors import Refused
from app.selection.query import parse
from app.storage import Storage
from tests import cast
from tests.datasets.cast import frozen, kept


def coloured(session: Session, storage: Storage, red: int, blue: int, repeats: int = 1) -> balance.Balance:
    """The balance of colours of a version of so many photos, the blue ones repeated."""
    pile = cast.catalog(session)
    for number in range(red + blue):
        photo = kept(session, storage, pile, product="P")
        colour = "red" if number < red else "blue"
        session.execute(update(Signals).where(Signals.image_id == photo.id).values(subject_colour=colour))
    version = freezing.request_freeze(session, pile.id, repeated=[Repeat("colour:blue", repeats)])
    freezing.freeze(session, storage, version)
    offered = balance.of_selection(session, parse("decision:kept", pile.id))
    kept_now = balance.of_summary(version.summary or {})
    counts = [[(one.value, one.count) for one in each[1].portions] for each in (offered, kept_now)]
    assert counts[0] == counts[1]
    return kept_now[1]


def test_one_value_that_has_nearly_all_is_named_with_what_to_do(session: Session, storage: Storage) -> None:
    colours = coloured(session, storage, 14, 1)
    assert colours.suggestion == "93 % are red: keep fewer, or repeat others."
    assert [(one.value, one.count, round(one.share, 2)) for one in colours.portions] == [
        ("red", 14, 0.93),
        ("blue", 1, 0.07),
    ]


@pytest.mark.parametrize(("red", "blue", "repeats"), [(8, 1, 1), (15, 0, 1), (14, 1, 10), (7, 5, 1)])
def test_nothing_is_suggested_of_few_of_one_value_alone_or_where_others_are_repeated(
    session: Session, storage: Storage, red: int, blue: int, repeats: int
) -> None:
    assert coloured(session, storage, red, blue, repeats).suggestion == ""


def test_others_count_as_often_as_they_are_shown(
    session: Session, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance, "LISTED_AT_MOST", 2)
    pile = cast.catalog(session)
    for colour in ["red"] * 14 + ["blue"] * 2 + ["green"]:
        photo = kept(session, storage, pile, product="P")
        session.execute(update(Signals).where(Signals.image_id == photo.id).values(subject_colour=colour))
    told = []
    for times in (1, 10):
        version = freezing.request_freeze(session, pile.id, repeated=[Repeat("colour:green", times)])
        freezing.freeze(session, storage, version)
        colours = balance.of_summary(version.summary or {})[1]
        told.append((colours.others, colours.others_shown, colours.suggestion))
    assert told == [(1, 1, "82 % are red: keep fewer, or repeat others."), (1, 10, "")]


def test_a_version_keeps_what_was_counted_whatever_becomes_of_its_photos(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photo = kept(session, storage, pile, category="Hats")
    version = frozen(session, storage, pile)
    photo.category = "Shoes"
    session.flush()
    assert [one.value for one in balance.of_summary(version.summary or {})[0].portions] == ["Hats"]


def test_the_card_has_the_fields_of_the_hub_and_lets_nothing_mark_up(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session, "Autumn | <b>2026</b>: [x](y)")
    photo = kept(session, storage, pile, category="Hats | `caps`")
    photo.extra = {"licence": "CC BY 4.0", "source": "https://shop.example/a.jpg"}
    session.flush()
    version = frozen(session, storage, pile)
    text = card.card(session, version.id)
    _, head, body = text.split("---\n", 2)
    told_hub = yaml.safe_load(head)
    assert told_hub["pretty_name"] == "Autumn | <b>2026</b>: [x](y), version 1"
    assert (told_hub["license"], told_hub["size_categories"]) == ("cc-by-4.0", ["n<1K"])
    assert told_hub["task_categories"] == ["text-to-image"]
    for part in (
        "Dataset description",
        "Dataset structure",
        "Sources",
        "Licences",
        "Opt-outs",
        "Captions by author",
        "Bias, risks and limitations",
    ):
        assert f"# {part}\n" in body
    assert (
        "| shop.example | 1 |" in body
        and "| CC BY 4.0 | 1 |" in body
        and "| captioner | 1 |" in body.replace("the facts captioner", "captioner")
    )
    assert "<b>" not in body.replace("\\<b\\>", "") and "Hats \\| \\`caps\\`" in body
    assert version.sentence in body and f"`{version.content_hash}`" in body and "Nothing is held out" in body


def test_licences_that_differ_or_are_not_known_are_no_licence_of_the_whole(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    first, _ = kept(session, storage, pile), kept(session, storage, pile)
    version = frozen(session, storage, pile)
    assert "license: other\nlicense_name: unknown\n" in card.card(session, version.id)
    session.execute(update(Image).where(Image.id == first.id).values(extra={"licence": "CC0"}))
    text = card.card(session, frozen(session, storage, pile).id)
    assert "license: other\nlicense_name: various\n" in text and "The licence of 1 photos is not known" in text


def test_a_version_of_earlier_days_is_counted_now(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    kept(session, storage, pile)
    version = frozen(session, storage, pile)
    before = card.card(session, version.id)
    version.summary = None
    session.flush()
    assert card.card(session, version.id) == before
    with pytest.raises(Refused, match="not frozen yet"):
        card.card(session, freezing.request_freeze(session, pile.id).id)
